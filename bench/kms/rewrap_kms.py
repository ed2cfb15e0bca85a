#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rewrap against a KMS of 25 ms: DEKs a second of the program (ReEncrypt, and Decrypt with Encrypt as between two
accounts), of libmongocrypt's rewrap as drivers run it (one request after the other, a new TLS connection for each), and of
a client that sends all requests at once on new connections (bench/kms/fan_out.c); once more through HAProxy, over HTTP/2. All against the same fast responder,
labelled so: it is no KMS, checks no signatures, but wraps for real. Every DEK is compared afterwards.

    .deps/venv/bin/python bench/kms/rewrap_kms.py [--keys 50000] [--driver-keys 200] [--fan-out-keys 2000] [--delay 25]
                                                  [--rounds 3] [--json FILE]

The program runs on one core; the shares of CPU time are those of each process in its own run. Ends with 1 when a goal is
missed: 300 times the driver, 4 times the fan-out client. KEYTURN_BUILD names the build (default build/release)."""
import argparse
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/kmsjobs"))

import bson  # noqa: E402
from pymongocrypt.synchronous.state_machine import run_state_machine  # noqa: E402

import kmscrypt  # noqa: E402
import stage  # noqa: E402
from stage import launcher  # noqa: E402


GOALS = {"timesDriver": 300, "timesFanOut": 4}


def check(kms, deks, documents):
    for document in documents:
        assert kms.open(bytes(document["keyMaterial"])) == deks[bytes(document["_id"])]
    assert len(documents) == len(deks)


def target(kms):
    return {name: value for name, value in kms.cmk("new").items() if name != "provider"}


class Run:
    """One measured run: DEKs a second, CPU shares."""

    def __init__(self, keys, seconds, cpu, figures, calls=None, proxy_cpu=None):
        self.rate, self.seconds, self.calls = keys / seconds, seconds, calls
        self.cpu_each_us = cpu / keys * 1e6
        self.shares = {"client": round(cpu / seconds, 2), "responder": round(figures["cpuSeconds"] / seconds, 2)}
        if proxy_cpu is not None:
            self.shares["proxy"] = round(proxy_cpu / seconds, 2)
        self.connections = figures["connections"]


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def program(servers, folder, options, provider, proxied=False):
    kms = stage.Fast(servers, delay=options.delay)
    proxy = None
    if proxied:
        kms.port = servers.front(kms.port, backend_tls=True)
        proxy = servers.processes[-1]
    documents, deks = kms.vault(options.keys)
    (folder / "vault.bson").write_bytes(b"".join(map(bson.encode, documents)))
    accounts = {name: stage.FAST_CREDENTIALS["aws"] for name in ("aws", "aws:two")}
    tls = {name: {"tlsCAFile": servers.ca} for name in accounts}
    (folder / "kms.json").write_text(json.dumps({"kmsProviders": accounts, "tlsOptions": tls}))
    os.chmod(folder / "kms.json", 0o600)
    (folder / "new.bson").unlink(missing_ok=True)
    core = min(os.sched_getaffinity(0))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([stage.PROGRAM, "rewrap", "--key-vault", "vault.bson", "--to", "new.bson", "--kms-providers", "kms.json",
                    "--provider", provider, "--master-key", json.dumps(target(kms)), "--report", "report.json"],
                   cwd=folder, env=stage.CLEAN, stdout=subprocess.DEVNULL, check=True,
                   preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = json.loads((folder / "report.json").read_text())
    proxy_cpu = cpu_seconds(proxy) if proxy else None
    figures = kms.figures()
    assert (report["keys"]["rewrapped"], report["keys"]["failed"]) == (options.keys, 0)
    check(kms, deks, bson.decode_all((folder / "new.bson").read_bytes()))
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(options.keys, report["seconds"], cpu, figures, report["kms"]["calls"], proxy_cpu)


def driver(servers, options):
    kms = stage.Fast(servers, delay=options.delay)
    documents, deks = kms.vault(options.driver_keys)
    peer = kmscrypt.Driver(stage.FAST_CREDENTIALS, servers.ca, f"{servers.certs}/client.pem")
    peer.callback.by_id = {bytes(document["_id"]): bson.encode(document) for document in documents}
    began, cpu = time.perf_counter(), time.process_time()
    with peer.crypt.rewrap_many_data_key_context({}, "aws", target(kms)) as context:
        made = run_state_machine(context, peer.callback)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peer.close()
    check(kms, deks, bson.decode(made)["v"])
    return Run(options.driver_keys, seconds, cpu, kms.figures(), len(peer.requests))


def fan_out(servers, options):
    kms = stage.Fast(servers, delay=options.delay)
    documents, _ = kms.vault(options.fan_out_keys)
    lines = "".join(stage.b64(document["keyMaterial"]) + "\n" for document in documents)
    done = subprocess.run([str(stage.BUILD / "bench/kt_fan_out"), servers.ca, f"127.0.0.1:{kms.port}", stage.ARN + "old",
                           stage.ARN + "new"], input=lines, capture_output=True, text=True, check=False)
    figures = json.loads(done.stdout)
    run = Run(options.fan_out_keys, figures["seconds"], figures["cpuSeconds"], kms.figures(), 2 * options.fan_out_keys)
    run.failed = figures["failed"]
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=50000)
    parser.add_argument("--driver-keys", type=int, default=200)
    parser.add_argument("--fan-out-keys", type=int, default=2000)
    parser.add_argument("--delay", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    rows = {"keyturn, ReEncrypt": [], "keyturn, Decrypt and Encrypt": [], "fan-out, new connections": [],
            "keyturn, ReEncrypt, HAProxy": [], "driver, one by one": []}
    with launcher.Servers() as servers, tempfile.TemporaryDirectory(prefix="keyturn-bench-") as folder:
        folder = pathlib.Path(folder)
        for _ in range(options.rounds):
            rows["keyturn, ReEncrypt"].append(program(servers, folder, options, "aws"))
            rows["keyturn, Decrypt and Encrypt"].append(program(servers, folder, options, "aws:two"))
            rows["fan-out, new connections"].append(fan_out(servers, options))
        rows["keyturn, ReEncrypt, HAProxy"].append(program(servers, folder, options, "aws", proxied=True))
        rows["driver, one by one"].append(driver(servers, options))
    print(f"rewrap against the fast responder, {options.delay} ms; {os.cpu_count()} cores ({platform.machine()}), "
          f"load {os.getloadavg()[0]:.1f}")
    found = {}
    for name, runs in rows.items():
        rate = statistics.median(run.rate for run in runs)
        last = runs[-1]
        found[name] = {"deksPerSecond": round(rate, 1), "cpuMicrosecondsPerDek": round(last.cpu_each_us, 1),
                       "cpuShares": last.shares, "connections": last.connections, "calls": last.calls,
                       "failed": getattr(last, "failed", 0)}
        print(f"  {name:<30} {rate:>9,.0f} DEKs/s   {last.cpu_each_us:>6,.0f} us CPU a DEK   CPU of one core: "
              f"{', '.join(f'{who} {share:.0%}' for who, share in last.shares.items())}   {last.connections:,} connections"
              f"{'' if not getattr(last, 'failed', 0) else f', {last.failed} calls failed'}")
    best = found["keyturn, ReEncrypt"]["deksPerSecond"]
    ratios = {"timesDriver": round(best / found["driver, one by one"]["deksPerSecond"], 1),
              "timesFanOut": round(best / found["fan-out, new connections"]["deksPerSecond"], 2),
              "timesDriverWithoutReEncrypt": round(found["keyturn, Decrypt and Encrypt"]["deksPerSecond"]
                                                   / found["driver, one by one"]["deksPerSecond"], 1)}
    print(f"  {ratios['timesDriver']} times the driver ({ratios['timesDriverWithoutReEncrypt']} without ReEncrypt), "
          f"{ratios['timesFanOut']} times the fan-out client")
    missed = [name for name, goal in GOALS.items() if ratios[name] < goal]
    print("  goals, " + ", ".join(f"{name} {goal}: {'missed' if name in missed else 'reached'}" for name, goal in GOALS.items()))
    if options.json:
        options.json.write_text(json.dumps({"rows": found, **ratios, "goals": GOALS, "missed": missed}, indent=2) + "\n")
    return len(missed) > 0


if __name__ == "__main__":
    sys.exit(main())
