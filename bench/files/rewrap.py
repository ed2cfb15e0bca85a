#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rewrap of a key vault, file to file, from one local master key to another: DEKs a second, memory and time beside those
at a tenth of the keys, and the proof that nothing but the wrap has changed. Beside it libmongocrypt's own rewrap of
10,000 (its time grows with the square), and cp.

    .deps/venv/bin/python bench/files/rewrap.py [--keys 1000000] [--rounds 3] [--judged 1000] [--json FILE]

Fails when a DEK is another one afterwards, when anything but masterKey, keyMaterial and updateDate differs, or when memory
passes 64 MiB or 1.1 times that at a tenth of the keys."""

import argparse
import base64
import json
import pathlib
import random
import struct
import tempfile
import time

from measure import Figures, copy_and_sync, remove, run
import rawbson
from judge import Judge
from vault import Vault

MEMORY_KIB = 64 << 10
CHANGED = {"masterKey", "keyMaterial", "updateDate"}


def documents(path):
    with open(path, "rb") as vault:
        while head := vault.read(4):
            (n,) = struct.unpack("<i", head)
            yield head + vault.read(n - 4)


def rewrap(folder, to, keys, *more):
    """A run; keyturn says itself that every one was opened again and equal."""
    remove(folder / to)
    took = run(
        [
            "rewrap",
            "--key-vault",
            "demo/keyvault.bson",
            "--kms-providers",
            "demo/kms.json",
            "--provider",
            "local:new",
            "--to",
            to,
            "--report",
            "report.json",
            *more,
        ],
        folder,
    )
    report = json.loads((folder / "report.json").read_text())["keys"]
    if (report["rewrapped"], report["proven"], report["failed"]) != (keys, keys, 0):
        raise SystemExit(f"rewrap says {report}")
    return took


def compare(folder, keys, judged):
    """Every document beside its old one; some keys are opened by libmongocrypt and by Python."""
    providers = json.loads((folder / "demo/kms.json").read_text())["kmsProviders"]
    python = Vault([])
    python.masters = {name: base64.b64decode(p["key"]) for name, p in providers.items()}
    chosen = set(random.sample(range(keys), min(judged, keys)))
    olds, news, count = [], [], 0
    for i, (old, new) in enumerate(
        zip(documents(folder / "demo/keyvault.bson"), documents(folder / "new.bson"), strict=True)
    ):
        before, after = list(rawbson.elements(old)), list(rawbson.elements(new))
        if [e[0] for e in before] != [e[0] for e in after]:
            raise SystemExit(f"key {i}: fields are {[e[0] for e in after]}")
        changed = {o[0] for o, n in zip(before, after) if o != n}
        if changed != CHANGED:
            raise SystemExit(f"key {i}: {changed} differ")
        if i in chosen:
            olds.append(old)
            news.append(new)
        count += 1
    with Judge(olds, providers) as one, Judge(news, providers) as two:
        for old, new in zip(olds, news):
            key = rawbson.fields(old)["_id"][1][5:]
            # a deterministic payload needs all three parts of a DEK
            made = [judge.encrypt(rawbson.STRING, rawbson.string("the same DEK"), key, True) for judge in (one, two)]
            if made[0] != made[1] or python.open_key(old) != python.open_key(new):
                raise SystemExit(f"key {key.hex()} is another one")
    return count, len(olds)


def libmongocrypt(folder, keys):
    """DEKs a second, and a CPU second, of libmongocrypt's rewrap of so many."""
    providers = json.loads((folder / "demo/kms.json").read_text())["kmsProviders"]
    docs = [doc for doc, _ in zip(documents(folder / "demo/keyvault.bson"), range(keys))]
    with Judge(docs, providers) as judge:
        began, cpu = time.perf_counter(), time.process_time()
        made = judge.rewrap("local:new")
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    if len(list(rawbson.elements(rawbson.fields(made)["v"][1]))) != len(docs):
        raise SystemExit("libmongocrypt did not rewrap them all")
    return len(docs) / seconds, len(docs) / cpu


def bench(folder, args):
    figures = Figures(f"rewrap, file to file, local to local: {args.keys:,} DEKs")
    tenth = args.keys // 10
    run(["sample", "--to", "demo", "--documents", 0, "--keys", tenth], folder)
    small = [rewrap(folder, "new.bson", tenth) for _ in range(args.rounds)]
    remove(folder / "demo")
    run(["sample", "--to", "demo", "--documents", 0, "--keys", args.keys], folder)
    large, copies = [], []
    for _ in range(args.rounds):
        copies.append(copy_and_sync(folder / "demo/keyvault.bson", folder / "copy"))
        remove(folder / "copy")
        large.append(rewrap(folder, "new.bson", args.keys))
    compared, judged = compare(folder, args.keys, args.judged)
    figures.facts["compared"] = (
        f"{compared:,} documents: only {', '.join(sorted(CHANGED))} differ; {judged:,} DEKs opened "
        "by libmongocrypt and by Python: equal; all opened again by keyturn: equal"
    )
    rate = figures.add("keyturn", [args.keys / r.seconds for r in large], "DEKs/s")
    figures.add("keyturn, a tenth of the keys", [tenth / r.seconds for r in small], "DEKs/s")
    cpu_rate = figures.add("keyturn, a CPU second", [args.keys / r.cpu for r in large], "DEKs")
    tenth_cpu_rate = figures.add("keyturn, a CPU second, a tenth of the keys", [tenth / r.cpu for r in small], "DEKs")
    copy = figures.add("cp and sync", [s * 1000 for s in copies], "ms")
    took = figures.add("keyturn's time", [r.seconds * 1000 for r in large], "ms")
    peak = figures.add("peak memory (VmHWM)", [r.peak_kib / 1024 for r in large], "MiB")
    low = figures.add("peak memory, a tenth of the keys", [r.peak_kib / 1024 for r in small], "MiB")
    figures.ratio("keyturn's time / cp and sync", took / copy)
    figures.ratio("CPU time a key / at a tenth of the keys", tenth_cpu_rate / cpu_rate)
    figures.ratio("peak memory / at a tenth of the keys", peak / low)
    if args.peer:
        peer, peer_cpu = libmongocrypt(folder, args.peer)
        figures.add(f"libmongocrypt, {args.peer:,} DEKs", [peer], "DEKs/s")
        figures.add(f"libmongocrypt, a CPU second, {args.peer:,} DEKs", [peer_cpu], "DEKs")
        figures.ratio("keyturn / libmongocrypt", rate / peer)
        figures.ratio("keyturn / libmongocrypt, a CPU second", cpu_rate / peer_cpu)
    if peak * 1024 > MEMORY_KIB or peak > 1.1 * low:
        raise SystemExit(f"memory: {peak:.1f} MiB, {low:.1f} MiB at a tenth of the keys")
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--judged", type=int, default=1000)
    parser.add_argument("--peer", type=int, default=10_000, help="keys for libmongocrypt; 0: without it")
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keyturn-bench-", dir=args.folder) as folder:
        bench(pathlib.Path(folder), args).show(args.json)


if __name__ == "__main__":
    main()
