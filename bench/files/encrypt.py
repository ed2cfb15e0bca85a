#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""encrypt of a dump, file to file: documents of about 1 KB with five small fields. Beside it, in the same run, cp and a
Python script that does the same by explicit encryption with libmongocrypt, as applications do today.

    .deps/venv/bin/python bench/files/encrypt.py [--megabytes 1000] [--rounds 5] [--threads N] [--json FILE]

KEYTURN_BUILD names the build (default build/release); --folder is where the data lies and must have room for three
times its size."""

import argparse
import base64
import json
import pathlib
import tempfile
import time

import bson

import measure
from measure import Figures, copy_and_sync, remove, run
import rawbson
from judge import Judge

MB = 1_000_000
NS = "shop.customers"


def sample(folder, documents):
    """A sample of so many documents; its schema keeps the five small fields."""
    run(["sample", "--to", "demo", "--documents", documents, "--keys", 10], folder)
    path = folder / "demo/schema.json"
    schema = json.loads(path.read_text())
    del schema[NS]["properties"]["address"]
    path.write_text(json.dumps(schema))
    return folder / "demo/dump/shop/customers.bson"


def rules(folder):
    """{dotted path: (key id, deterministic)} of the schema."""
    properties = json.loads((folder / "demo/schema.json").read_text())[NS]["properties"]
    properties |= {f"payment.{name}": rule for name, rule in properties.pop("payment")["properties"].items()}
    return {
        name: (
            base64.b64decode(rule["encrypt"]["keyId"][0]["$binary"]["base64"]),
            rule["encrypt"]["algorithm"].endswith("Deterministic"),
        )
        for name, rule in properties.items()
    }


def peer(folder, source, megabytes):
    """MB/s, and MB a CPU second, of a script on pymongo's bson and libmongocrypt: decode, encrypt five fields one by
    one, encode, write."""
    providers = json.loads((folder / "demo/kms.json").read_text())["kmsProviders"]
    todo, taken = rules(folder), 0
    keys = rawbson.split((folder / "demo/keyvault.bson").read_bytes())
    with Judge(keys, providers) as judge, open(source, "rb") as dump, open(folder / "peer.bson", "wb") as out:
        began, cpu = time.perf_counter(), time.process_time()
        for document in bson.decode_file_iter(dump):
            for path, (key, deterministic) in todo.items():
                *parents, field = path.split(".")
                inner = document
                for name in parents:
                    inner = inner[name]
                plain = bson.encode({"v": inner[field]})
                inner[field] = bson.decode(judge.explicit(plain, key, deterministic))["v"]
            out.write(bson.encode(document))
            taken = dump.tell()
            if taken > megabytes * MB:
                break
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    remove(folder / "peer.bson")
    return taken / MB / seconds, taken / MB / cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="default: one a core")
    parser.add_argument("--peer-megabytes", type=float, default=5)
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keyturn-bench-", dir=args.folder) as folder:
        measured = bench(pathlib.Path(folder), args)
    measured.show(args.json)


def bench(folder, args):
    figures = Figures(f"encrypt, file to file: {args.megabytes} MB, documents of about 1 KB, five small fields")
    small = args.megabytes * MB // 1024 // 10
    sample(folder, small)
    threads = ["--threads", args.threads] if args.threads else []
    options = ["encrypt", "--config", "demo/keyturn.json", "--from", "demo/dump/shop/customers.bson"]
    sealed = ["--config", "demo/keyturn.json", "--ns-include", NS, "--from", "out"]
    low = run([*options, *threads, "--to", "out"], folder)
    remove(folder / "demo", folder / "out")
    source = sample(folder, 10 * small)
    megabytes = source.stat().st_size / MB
    figures.facts["documents"] = 10 * small

    copies, runs = [], {
        name: [] for name in ("encrypt", "encrypt to /dev/null", "the same, one thread", "verify", "decrypt")
    }
    for _ in range(args.rounds):
        copies.append(megabytes / copy_and_sync(source, folder / "copy"))
        remove(folder / "copy", folder / "out", folder / "back")
        runs["encrypt"].append(run([*options, *threads, "--to", "out"], folder))
        runs["encrypt to /dev/null"].append(run([*options, *threads, "--to", "/dev/null"], folder))
        runs["the same, one thread"].append(run([*options, "--threads", 1, "--to", "/dev/null"], folder))
        runs["verify"].append(run(["verify", *sealed, *threads], folder))
        runs["decrypt"].append(run(["decrypt", *sealed, *threads, "--to", "back"], folder))
    scripts = [peer(folder, source, args.peer_megabytes) for _ in range(min(3, args.rounds))]
    copy = figures.add("cp and sync", copies, "MB/s")
    script = figures.add("script on pymongo and libmongocrypt", [rate for rate, _ in scripts], "MB/s")
    script_cpu = figures.add("script, a CPU second", [rate for _, rate in scripts], "MB")
    rates = {
        name: figures.add(f"keyturn {name}", [megabytes / r.seconds for r in many], "MB/s")
        for name, many in runs.items()
    }
    cpu = figures.add("keyturn encrypt, a CPU second", [megabytes / r.cpu for r in runs["encrypt"]], "MB")
    null_cpu = figures.add(
        "keyturn encrypt to /dev/null, one thread, a CPU second",
        [megabytes / r.cpu for r in runs["the same, one thread"]],
        "MB",
    )
    peak = figures.add("peak memory (VmHWM)", [r.peak_kib / 1024 for r in runs["encrypt"]], "MiB")
    figures.add("peak memory at a tenth of the data", [low.peak_kib / 1024], "MiB")
    figures.ratio("keyturn / cp and sync", rates["encrypt"] / copy)
    figures.ratio("keyturn / script", rates["encrypt"] / script)
    figures.ratio("keyturn / script, a CPU second", cpu / script_cpu)
    figures.ratio("keyturn, one thread, to /dev/null / script, a CPU second", null_cpu / script_cpu)
    figures.ratio("peak memory / at a tenth of the data", peak / (low.peak_kib / 1024))
    remove(folder / "out")
    parts = measure.shares([*options, *threads, "--to", "out"], folder, folder / "perf.data")
    figures.facts["CPU shares by folder"] = (
        parts and [f"{name} {share:.1%}" for name, share in parts.items()] or "no perf"
    )
    if parts:
        ours = {n: s for n, s in parts.items() if n in ("engine", "csfle", "jobs", "io", "keys", "common", "tools")}
        figures.facts["largest folder"] = max(ours, key=ours.get)
    return figures


if __name__ == "__main__":
    main()
