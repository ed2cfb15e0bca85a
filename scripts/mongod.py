#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Starts and stops a real mongod for tests: a replica set of one member on a free loopback port.

mongod.py start FOLDER   data, log and state go to FOLDER; prints the connection string once a primary stands
mongod.py stop FOLDER    returns when the process is gone; FOLDER stays
"""
import os
import signal
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MONGOD = os.environ.get("KEYTURN_MONGOD", os.path.join(ROOT, ".deps/mongod/fiftyone/db/bin/mongod"))
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


def launch(folder, port):
    os.makedirs(f"{folder}/data", exist_ok=True)
    with open(f"{folder}/stdout", "wb") as out:
        process = subprocess.Popen(
            [MONGOD, "--dbpath", f"{folder}/data", "--logpath", f"{folder}/mongod.log", "--port", str(port),
             "--bind_ip", "127.0.0.1", "--nounixsocket", "--replSet", "kt", "--wiredTigerCacheSizeGB", "1",
             "--setParameter", "enableTestCommands=1",
             "--setParameter", "diagnosticDataCollectionEnabled=false"],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    with open(f"{folder}/pid", "w", encoding="utf-8") as state:
        state.write(str(process.pid))
    return process


def elect(process, port):
    """Initiates the set and waits for its primary; False when mongod ended instead."""
    import pymongo
    from pymongo.errors import PyMongoError

    config = {"_id": "kt", "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}
    deadline = time.monotonic() + START_SECONDS
    client = pymongo.MongoClient("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=1000)
    with client:
        while time.monotonic() < deadline and process.poll() is None:
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


def start(folder):
    if not os.access(MONGOD, os.X_OK):
        return f"no mongod at {MONGOD}; scripts/deps.sh installs one"
    os.makedirs(folder, exist_ok=True)
    # A port that was free a moment ago may be taken: try another.
    for _ in range(3):
        port = free_port()
        process = launch(folder, port)
        if elect(process, port):
            print(f"mongodb://127.0.0.1:{port}/?replicaSet=kt")
            return None
        stop(folder)
    with open(f"{folder}/stdout", encoding="utf-8", errors="replace") as out:
        return f"mongod did not start; see {folder}/mongod.log\n{out.read()[-2000:]}"


def stop(folder):
    try:
        with open(f"{folder}/pid", encoding="utf-8") as state:
            pid = int(state.read())
    except (OSError, ValueError):
        return None
    for wanted in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + STOP_SECONDS
        while alive(pid) and time.monotonic() < deadline:
            if wanted:
                os.kill(pid, wanted)
                wanted = None
            time.sleep(0.05)
    if alive(pid):
        return f"mongod {pid} did not end"
    os.unlink(f"{folder}/pid")
    return None


def main():
    actions = {"start": start, "stop": stop}
    if len(sys.argv) != 3 or sys.argv[1] not in actions:
        print(__doc__, file=sys.stderr)
        return 2
    problem = actions[sys.argv[1]](os.path.abspath(sys.argv[2]))
    if problem:
        print(f"mongod.py: {problem}", file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
