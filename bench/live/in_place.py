#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""encrypt in place beside what people do today, on one server and in one run; the order alternates.

in_place.py [--documents N] [--rounds N] [--build FOLDER]     KEYTURN_TEST_MONGODB_URI names the server
                                                              (scripts/mongod.py run starts one)
  keyturn      keyturn encrypt, 3 string fields
  ready-made   a libmongoc client that only sends ready-made $set updates by _id, with as many connections
  pymongo      a migration as people write it: explicit encryption, bulk_write of 1,000 (on a tenth of the documents)
  rewrap       keyturn rewrap of 20,000 local DEKs, beside pymongo's rewrap_many_data_key
and, with perf, a profile: where keyturn's own CPU time goes, by folder of the source tree and by library
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/e2e"), str(ROOT / "bench/files")]

import bson  # noqa: E402
import pymongo  # noqa: E402
from bson.binary import Binary  # noqa: E402
from bson.codec_options import CodecOptions  # noqa: E402
from pymongo.encryption import Algorithm, ClientEncryption  # noqa: E402

from vault import Vault  # noqa: E402

URI = os.environ.get("KEYTURN_TEST_MONGODB_URI")
DB = "keyturn_bench"
GOALS = {"ready-made": 1.3, "pymongo": 10, "rewrap": 40}
LANES = 4 * len(os.sched_getaffinity(0))


class Bench:
    def __init__(self, args):
        self.args = args
        self.client = pymongo.MongoClient(URI)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="keyturn-bench-"))
        self.build = pathlib.Path(args.build).resolve()
        self.program = self.build / "tools/keyturn"
        self.vault = Vault("abc")
        keys = self.client[DB]["__keyVault"]
        keys.drop()
        keys.insert_many([bson.decode(d) for d in self.vault.docs.values()])
        rules = {"a": self.vault.rule("a", True, "string"), "b": self.vault.rule("b"), "d": self.vault.rule("c")}
        self.config("config.json", {"from": URI, "schemaMap": {f"{DB}.docs": {"bsonType": "object", "properties": rules}}})

    def config(self, name, more):
        config = {"keyVaultNamespace": f"{DB}.__keyVault", "kmsProviders": self.vault.providers(), **more}
        (self.folder / name).write_text(json.dumps(config))
        os.chmod(self.folder / name, 0o600)

    def fill(self, number):
        docs = self.client[DB]["docs"]
        docs.drop()
        for at in range(0, number, 10000):
            docs.insert_many([{"_id": i, "a": f"name {i}", "b": f"street {i}", "d": f"+49 {i:08}", "rest": "x" * 300}
                              for i in range(at, min(at + 10000, number))])
        self.client.admin.command("fsync")
        return docs

    def keyturn(self):
        self.fill(self.args.documents)
        begun = time.monotonic()
        subprocess.run([self.program, "encrypt", "--config", "config.json", "--yes", "--quiet", "--report", "r.json"],
                       cwd=self.folder, check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - begun
        report = json.loads((self.folder / "r.json").read_text())["namespaces"][f"{DB}.docs"]
        assert report["values"] == 3 * self.args.documents
        return self.args.documents / seconds

    def profile(self):
        """{folder of the source tree, or library: share of keyturn's CPU time}; None without perf."""
        import measure  # takes the program from KEYTURN_BUILD
        self.fill(self.args.documents)
        return measure.shares(["encrypt", "--config", "config.json", "--yes", "--quiet"], self.folder, self.folder / "perf.data")

    def ready_made(self):
        self.fill(self.args.documents)
        out = subprocess.run([self.build / "bench/kt_ready_made", URI, DB, "docs",
                              str(self.args.documents), str(LANES)], check=True, capture_output=True, text=True).stdout
        return self.args.documents / float(out)

    def pymongo(self):
        number = max(self.args.documents // 10, 1000)
        docs = self.fill(number)
        providers = {"local:old": {"key": self.vault.masters["local:old"]}}
        ids = {name: Binary(i, 4) for name, i in self.vault.ids.items()}
        with ClientEncryption(providers, f"{DB}.__keyVault", self.client, CodecOptions()) as crypt:
            begun, batch = time.monotonic(), []
            for doc in docs.find({}):
                sealed = {"a": crypt.encrypt(doc["a"], Algorithm.AEAD_AES_256_CBC_HMAC_SHA_512_Deterministic, ids["a"]),
                          "b": crypt.encrypt(doc["b"], Algorithm.AEAD_AES_256_CBC_HMAC_SHA_512_Random, ids["b"]),
                          "d": crypt.encrypt(doc["d"], Algorithm.AEAD_AES_256_CBC_HMAC_SHA_512_Random, ids["c"])}
                batch.append(pymongo.UpdateOne({"_id": doc["_id"]}, {"$set": sealed}))
                if len(batch) == 1000:
                    docs.bulk_write(batch, ordered=False)
                    batch = []
            if batch:
                docs.bulk_write(batch, ordered=False)
            return number / (time.monotonic() - begun)

    def fill_keys(self, number):
        keys = self.client[DB]["keys"]
        keys.drop()
        vault = Vault([])
        vault.masters = self.vault.masters
        for i in range(number):
            vault.add(f"key {i}")
        docs = [bson.decode(d) for d in vault.docs.values()]
        for at in range(0, number, 5000):
            keys.insert_many(docs[at:at + 5000])

    def rewrap_keyturn(self, number):
        self.fill_keys(number)
        self.config("keys.json", {"keyVault": URI, "keyVaultNamespace": f"{DB}.keys"})
        begun = time.monotonic()
        subprocess.run([self.program, "rewrap", "--config", "keys.json", "--provider", "local:new", "--yes", "--quiet",
                        "--backup", f"b{begun}.bson"], cwd=self.folder, check=True, stdout=subprocess.DEVNULL)
        return number / (time.monotonic() - begun)

    def rewrap_pymongo(self, number):
        self.fill_keys(number)
        providers = {name: {"key": key} for name, key in self.vault.masters.items()}
        with ClientEncryption(providers, f"{DB}.keys", self.client, CodecOptions()) as crypt:
            begun = time.monotonic()
            crypt.rewrap_many_data_key({}, provider="local:new")
            return number / (time.monotonic() - begun)


def ratio(times, goal):
    if not goal:
        return ""
    return f"keyturn is {times:.2f} times as fast (goal {goal}: {'met' if times >= goal else 'missed'})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200000)
    parser.add_argument("--keys", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--build", default=str(ROOT / "build/release"))
    args = parser.parse_args()
    if not URI:
        parser.error("KEYTURN_TEST_MONGODB_URI names no server: scripts/mongod.py run bench/live/in_place.py starts one")
    os.environ["KEYTURN_BUILD"] = args.build
    bench = Bench(args)
    seen = {"keyturn": [], "ready-made": [], "pymongo": []}
    for n in range(bench.args.rounds):
        order = list(zip(seen, (bench.keyturn, bench.ready_made, bench.pymongo)))
        for name, run in order if n % 2 == 0 else reversed(order):
            seen[name].append(run())
    rates = {name: statistics.median(values) for name, values in seen.items()}
    for name, rate in rates.items():
        print(f"{name:12} {rate:12,.0f} documents/s   {ratio(rates['keyturn'] / rate, GOALS.get(name))}")
    keys = bench.args.keys
    ours, theirs = bench.rewrap_keyturn(keys), bench.rewrap_pymongo(keys)
    print(f"rewrap       {ours:12,.0f} DEKs/s        pymongo {theirs:,.0f} DEKs/s: {ratio(ours / theirs, GOALS['rewrap'])}")
    parts = bench.profile()
    print("CPU time of keyturn:", ", ".join(f"{name} {share:.1%}" for name, share in parts.items()) if parts else "no perf")
    bench.client.drop_database(DB)


if __name__ == "__main__":
    main()
