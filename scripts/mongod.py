#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Starts and stops real mongods for tests: a replica set on free loopback ports, of one member unless said otherwise.

mongod.py start FOLDER [MEMBERS]   data, logs and state go to FOLDER; prints the connection string once a primary stands
mongod.py stop FOLDER              returns when the processes are gone; FOLDER stays
mongod.py run COMMAND...           with a set of its own in KEYTURN_TEST_MONGODB_URI, unless that is set already
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MONGOD = os.environ.get("KEYTURN_MONGOD", os.path.join(ROOT, ".deps/mongod/fiftyone/db/bin/mongod"))
URI = "KEYTURN_TEST_MONGODB_URI"
START_SECONDS = 60
STOP_SECONDS = 60


def alive(pid):
    """A zombie that nobody has reaped yet answers signal 0, so its state is read instead; and the name, as a
    stale file's number may be another process by now."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            name, _, rest = stat.read().rpartition(")")
        return name.endswith("(mongod") and rest.split()[0] not in "ZX"
    except OSError:
        return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def launch(folder, port, more=("--replSet", "kt")):
    os.makedirs(f"{folder}/data", exist_ok=True)
    with open(f"{folder}/stdout", "wb") as out:
        process = subprocess.Popen(
            [MONGOD, "--dbpath", f"{folder}/data", "--logpath", f"{folder}/mongod.log", "--port", str(port),
             "--bind_ip", "127.0.0.1", "--nounixsocket", *more, "--wiredTigerCacheSizeGB", "1",
             "--setParameter", "enableTestCommands=1",
             "--setParameter", "diagnosticDataCollectionEnabled=false"],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    with open(f"{folder}/pid", "w", encoding="utf-8") as state:
        state.write(str(process.pid))
    return process


def elect(processes, ports):
    """Initiates the set and waits for its primary, which is the first member; False when a mongod ended instead."""
    import pymongo
    from pymongo.errors import PyMongoError

    config = {"_id": "kt", "members": [{"_id": i, "host": f"127.0.0.1:{port}", "priority": 2 if i == 0 else 1}
                                       for i, port in enumerate(ports)]}
    if len(ports) > 1:
        config["settings"] = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}
    deadline = time.monotonic() + START_SECONDS
    client = pymongo.MongoClient("127.0.0.1", ports[0], directConnection=True, serverSelectionTimeoutMS=1000)
    with client:
        while time.monotonic() < deadline and all(process.poll() is None for process in processes):
            try:
                hello = client.admin.command("hello")
                if hello.get("isWritablePrimary"):
                    return True
                if "setName" not in hello:
                    client.admin.command("replSetInitiate", config)
            except PyMongoError:
                pass
            time.sleep(0.05)
    return False


def members(folder):
    """The folders of a set's members: its own, then numbered ones."""
    inner = sorted(name for name in os.listdir(folder) if name.startswith("member"))
    return [folder] + [f"{folder}/{name}" for name in inner]


def begin(folder, count=1):
    """Starts a set; its connection string, or None and what went wrong."""
    if not os.access(MONGOD, os.X_OK):
        return None, f"no mongod at {MONGOD}; scripts/deps.sh installs one"
    os.makedirs(folder, exist_ok=True)
    # A port that was free a moment ago may be taken: try another.
    folders = [folder] + [f"{folder}/member{i}" for i in range(1, count)]
    for _ in range(3):
        ports = [free_port() for _ in folders]
        processes = [launch(*pair) for pair in zip(folders, ports)]
        if elect(processes, ports):
            return "mongodb://" + ",".join(f"127.0.0.1:{port}" for port in ports) + "/?replicaSet=kt", None
        stop(folder)
    with open(f"{folder}/stdout", encoding="utf-8", errors="replace") as out:
        return None, f"mongod did not start; see {folder}/mongod.log\n{out.read()[-2000:]}"


def stop(folder):
    """Kills: what shuts down in good order waits for a successor, and the journal keeps the data anyway."""
    pids = []
    for member in members(folder):
        try:
            with open(f"{member}/pid", encoding="utf-8") as state:
                pids.append(int(state.read()))
            os.unlink(f"{member}/pid")
        except (OSError, ValueError):
            continue
    for pid in pids:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + STOP_SECONDS
    while any(map(alive, pids)):
        if time.monotonic() > deadline:
            return f"mongod {pids} did not end"
        time.sleep(0.01)
    return None


def start(folder, count="1"):
    uri, problem = begin(folder, int(count))
    if uri:
        print(uri)
    return problem


def run(*command):
    """Gives the command a set of its own. Without a mongod it goes on without, and tests skip themselves."""
    env, folder = dict(os.environ), None
    if URI not in env and os.access(MONGOD, os.X_OK):
        folder = tempfile.mkdtemp(prefix="keyturn-mongod-")
        env[URI], problem = begin(folder)
        if problem:
            return problem
    try:
        sys.exit(subprocess.run(command, env=env, check=False).returncode)
    finally:
        if folder:
            stop(folder)
            shutil.rmtree(folder, ignore_errors=True)


def main():
    name, args = sys.argv[1] if len(sys.argv) > 2 else None, sys.argv[2:]
    if name == "start" and len(args) <= 2:
        problem = start(os.path.abspath(args[0]), *args[1:])
    elif name == "stop" and len(args) == 1:
        problem = stop(os.path.abspath(args[0]))
    elif name == "run":
        problem = run(*args)
    else:
        print(__doc__, file=sys.stderr)
        return 2
    if problem:
        print(f"mongod.py: {problem}", file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
