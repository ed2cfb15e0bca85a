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
    """MB/s of a script on pymongo's bson and libmongocrypt: decode, encrypt five fields one by one, encode, write."""
    providers = json.loads((folder / "demo/kms.json").read_text())["kmsProviders"]
    todo, done = rules(folder), 0
    with Judge(rawbson.split((folder / "demo/keyvault.bson").read_bytes()), providers) as judge, open(
        source, "rb"
    ) as dump, open(folder / "peer.bson", "wb") as out:
        began = time.perf_counter()
        for document in bson.decode_file_iter(dump):
            for path, (key, deterministic) in todo.items():
                *parents, field = path.split(".")
                inner = document
                for name in parents:
                    inner = inner[name]
                plain = bson.encode({"v": inner[field]})
                inner[field] = bson.decode(judge.explicit(plain, key, deterministic))["v"]
            made = bson.encode(document)
            out.write(made)
            done += len(made)
            if done > megabytes * MB:
                break
        taken = dump.tell() if done > megabytes * MB else source.stat().st_size
        seconds = time.perf_counter() - began
    remove(folder / "peer.bson")
    return taken / MB / seconds


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
    _, low_peak = run([*options, *threads, "--to", "out"], folder)
    remove(folder / "demo", folder / "out")
    source = sample(folder, 10 * small)
    megabytes = source.stat().st_size / MB
    figures.facts["documents"] = 10 * small

    rates = {
        "cp and sync": [],
        "keyturn": [],
        "keyturn to /dev/null": [],
        "keyturn to /dev/null, one thread": [],
        "decrypt": [],
        "verify": [],
    }
    peaks = []
    for _ in range(args.rounds):
        rates["cp and sync"].append(megabytes / copy_and_sync(source, folder / "copy"))
        remove(folder / "copy", folder / "out", folder / "back")
        seconds, peak = run([*options, *threads, "--to", "out"], folder)
        rates["keyturn"].append(megabytes / seconds)
        peaks.append(peak)
        rates["keyturn to /dev/null"].append(megabytes / run([*options, *threads, "--to", "/dev/null"], folder)[0])
        rates["keyturn to /dev/null, one thread"].append(
            megabytes / run([*options, "--threads", 1, "--to", "/dev/null"], folder)[0]
        )
        seconds, _ = run(["verify", "--config", "demo/keyturn.json", "--from", "out", "--ns-include", NS], folder)
        rates["verify"].append(megabytes / seconds)
        seconds, _ = run(
            ["decrypt", "--config", "demo/keyturn.json", "--from", "out", "--ns-include", NS, "--to", "back"], folder
        )
        rates["decrypt"].append(megabytes / seconds)
    peer_rate = figures.add(
        "script on pymongo and libmongocrypt",
        [peer(folder, source, args.peer_megabytes) for _ in range(min(3, args.rounds))],
        "MB/s",
    )
    medians = {name: figures.add(name, values, "MB/s") for name, values in rates.items()}
    high_peak = figures.add("peak memory (VmHWM)", [p / 1024 for p in peaks], "MiB")
    figures.add("peak memory at a tenth of the data", [low_peak / 1024], "MiB")
    figures.ratio("keyturn / cp and sync", medians["keyturn"] / medians["cp and sync"])
    figures.ratio("keyturn / script", medians["keyturn"] / peer_rate)
    figures.ratio("keyturn, one thread, /dev/null / script", medians["keyturn to /dev/null, one thread"] / peer_rate)
    figures.ratio("peak memory / at a tenth of the data", high_peak / (low_peak / 1024))
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
