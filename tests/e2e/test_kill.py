# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments, then the same command again: the end is that of an undisturbed run."""

import collections
import concurrent.futures
import json
import os
import random
import re
import shutil
import time
import unittest

import rawbson
import vault
from killing import Form, Slow, kill_until_done
from rig import Case, count

KILLS = count(usual=10, long=50, sanitized=3)  # of each job
DOCUMENTS = count(usual=6_000, long=10_000, sanitized=2_000)
KEYS = count(usual=12_000, long=24_000, sanitized=3_000)
SECONDS = 3.0  # a slowed run: a checkpoint is made each second
FORMS = ("file", "gzip", "folder", "archive", "pipe")
NS = "shop.customers"
BAD_EACH = 997


def spoil(raw, pattern, change):
    """Every BAD_EACH-th match of a pattern, changed."""
    raw = bytearray(raw)
    for i, match in enumerate(re.finditer(pattern, bytes(raw), re.DOTALL)):
        if i % BAD_EACH == 10:
            change(raw, match)
    return bytes(raw)


def as_code(raw, match):
    raw[match.start()] = rawbson.CODE


def flip_behind(raw, match):
    raw[match.end() + 40] ^= 1


class Kills(Case):
    """One sample, its sealed form, and its key vault for all jobs."""

    @classmethod
    def setUpClass(cls):
        cls.seed = int(os.environ.get("KEYTURN_SEED", random.SystemRandom().getrandbits(32)))
        print(f"kill tests: KEYTURN_SEED={cls.seed}")

    def setUp(self):
        super().setUp()
        self.keyturn("sample", "--to", "demo", "--documents", DOCUMENTS, "--keys", KEYS)
        self.config = ["--config", str(self.path("demo/keyturn.json"))]
        schema = json.loads(self.path("demo/schema.json").read_text())[NS]["properties"]
        keys = {
            f: vault.base64.b64decode(rule["encrypt"]["keyId"][0]["$binary"]["base64"])
            for f, rule in [*schema.items(), *schema["payment"]["properties"].items()]
            if "encrypt" in rule
        }
        self.email = keys["email"]
        self.random_keys = [keys[f] for f in ("phone", "birthdate", "address", "card")]
        self.plain = spoil(self.path("demo/dump/shop/customers.bson").read_bytes(), rb"\x02phone\0", as_code)
        self.other = b"".join(rawbson.split(self.plain)[:300])
        self.counts = collections.Counter()

    def masked(self, raw):
        """Random payloads' IV, body and tag as zeros: what must be equal in two runs."""
        made, raw = bytearray(raw), bytes(raw)
        for key in self.random_keys:
            at = raw.find(b"\x06\x02" + key)
            while at >= 0:
                n = int.from_bytes(raw[at - 4 : at], "little")
                made[at + 19 : at + 1 + n] = bytes(n - 18)
                at = raw.find(b"\x06\x02" + key, at + 1)
        return bytes(made)

    def torture(self, command, form, source, options, kills, check):
        """One form of one job, in a folder of its own: an undisturbed run, then rounds of kills and an end."""
        rng = random.Random(f"{self.seed} {command} {form.name}")
        folder = self.path(command + "-" + form.name)
        folder.mkdir()
        feed, pace = (source.read_bytes(), 0) if form.name == "pipe" else (None, 0)
        store = "--key-vault" if command == "rewrap" else "--from"
        args = [command, *options, store, "-" if feed else source, "--backend", "scalar", "--threads", 1]
        began = time.monotonic()
        smooth = self.smooth_run([*args, "--to", "smooth"], folder, feed)
        share = min(1, (time.monotonic() - began) / SECONDS)
        if feed:
            share, pace = 1, len(feed) / SECONDS
        for round_number in range(1000):
            in_a_row = min(kills, rng.randint(1, 3))
            to = folder / f"out{round_number}"
            report = folder / f"out{round_number}.json"
            status, left, text = kill_until_done(
                [*args, "--to", to, "--report", report], folder, to, in_a_row, SECONDS, share, rng, feed, pace
            )
            self.counts.update((command, where) for where in left)
            if status is not None:
                self.assertEqual(smooth[0], status, text)
                self.check_report(smooth[1], json.loads(report.read_text()), left)
            try:
                check(form, folder / "smooth", to, folder)
            except AssertionError as wrong:
                raise AssertionError(f"{command}, {form.name}, after kills that left {left}: {wrong}") from wrong
            self.assertEqual(smooth[2], self.failed(folder), (command, form.name, left))
            if left[-1:] != ["the end"]:
                self.assertEqual([], sorted(p.name for p in folder.glob(f"{to.name}.part*")))
            shutil.rmtree(to) if to.is_dir() else to.unlink()
            kills -= len(left)
            if kills <= 0:
                return

    def smooth_run(self, args, folder, feed):
        job = Slow([*args, "--report", "smooth.json"], folder, 1, feed)
        job.run(600)
        status = job.end()
        self.assertEqual(1, status, job.text.decode())
        return status, json.loads((folder / "smooth.json").read_text()), self.failed(folder)

    def failed(self, folder):
        """The failures file, whose name the namespace gives."""
        (listed,) = folder.glob("*-failed.ndjson")
        lines = listed.read_text().splitlines()
        listed.unlink()
        ids = [json.dumps(json.loads(line)["_id"]) for line in lines]
        self.assertEqual(len(ids), len(set(ids)), "a document is listed twice")
        self.assertGreater(len(ids), 1)
        return lines

    def check_report(self, smooth, resumed, left):
        """The figures are those of the whole job, not of its last run."""
        self.assertEqual(resumed["resumed"], "a checkpoint" in left[-1:])
        for part in ("namespaces", "keys"):
            self.assertEqual(smooth.get(part), resumed.get(part))

    def run_all(self, command, jobs):
        """jobs: (form, source, options, check) each; they wait for their next slice most of the time."""
        share = [KILLS // len(jobs) + (i < KILLS % len(jobs)) for i in range(len(jobs))]
        with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
            runs = [
                pool.submit(self.torture, command, form, source, options, kills, check)
                for (form, source, options, check), kills in zip(jobs, share)
                if kills
            ]
            for run in runs:
                run.result()
        print(
            f"{command}: killed {sum(self.counts.values())} times, which left "
            + ", ".join(f"{n} x {where}" for (_, where), n in sorted(self.counts.items()))
        )

    def sources(self, collections_, forms):
        for name in forms:
            form, source = Form(name), self.path("in-" + name)
            form.pack(source, collections_)
            yield form, source

    def test_encrypt(self):
        decrypted = {}

        def check(form, smooth, to, folder):
            one, two = form.unpack(smooth, NS), form.unpack(to, NS)
            self.assertEqual(sorted(one), sorted(two))
            for name in one:
                masked = self.masked(one[name]), self.masked(two[name])
                self.assertEqual(len(one[name]), len(two[name]), name)
                self.assertTrue(masked[0] == masked[1], f"{form.name}: {name} is not that of an undisturbed run")
            back = folder / "back"
            decrypted[form.name] = self.keyturn(
                "decrypt",
                *self.config,
                "--ns-include",
                NS,
                "--from",
                to,
                "--to",
                back,
                "--report",
                folder / "back.json",
                cwd=folder,
            )
            plain = form.unpack(back, NS)
            self.assertTrue(plain[NS] == self.plain, f"{form.name}: it does not decrypt to the input")
            shutil.rmtree(back) if back.is_dir() else back.unlink()

        collections_ = {"shop.other": self.other, NS: self.plain}
        self.run_all(
            "encrypt",
            [
                (form, source, [*self.config, "--ns-include", NS], check)
                for form, source in self.sources(collections_, FORMS)
            ],
        )
        self.assertGreaterEqual(len(decrypted), min(KILLS, len(FORMS)))

    def test_decrypt(self):
        self.path("plain.bson").write_bytes(self.plain)
        self.keyturn(
            "encrypt", *self.config, "--ns-include", NS, "--from", "plain.bson", "--to", "sealed.bson", exit=1
        )
        self.path(f"{NS}-failed.ndjson").unlink()
        sealed = spoil(self.path("sealed.bson").read_bytes(), rb"\x06\x01" + re.escape(self.email), flip_behind)

        def check(form, smooth, to, folder):
            one, two = form.unpack(smooth, NS), form.unpack(to, NS)
            self.assertEqual(sorted(one), sorted(two))
            for name in one:
                self.assertTrue(one[name] == two[name], f"{form.name}: {name} is not that of an undisturbed run")

        self.run_all(
            "decrypt",
            [
                (form, source, [*self.config, "--ns-include", NS], check)
                for form, source in self.sources({"shop.other": self.other, NS: sealed}, FORMS)
            ],
        )

    def test_rewrap(self):
        keys = spoil(self.path("demo/keyvault.bson").read_bytes(), rb"keyMaterial\0\xa0\0\0\0\0", flip_behind)
        masters = json.loads(self.path("demo/kms.json").read_text())["kmsProviders"]
        opener = vault.Vault([])
        opener.masters = {name: vault.base64.b64decode(key["key"]) for name, key in masters.items()}
        ns = "encryption.__keyVault"
        rng = random.Random(self.seed)

        def check(form, smooth, to, folder):
            one, two = form.unpack(smooth, ns), form.unpack(to, ns)
            self.assertEqual(sorted(one), sorted(two))
            for name in set(one) - {ns}:
                self.assertEqual(one[name], two[name])
            olds, news = rawbson.split(keys), rawbson.split(two[ns])
            self.assertEqual(len(olds), len(news))
            for i in rng.sample(range(len(olds)), 1000):
                old, new = list(rawbson.elements(olds[i])), list(rawbson.elements(news[i]))
                if olds[i] == news[i]:
                    self.assertRaises(ValueError, opener.open_key, olds[i])
                    continue
                self.assertEqual([name for name, _, _ in old], [name for name, _, _ in new])
                changed = {o[0] for o, n in zip(old, new) if o != n}
                self.assertEqual({"keyMaterial", "masterKey", "updateDate"}, changed)
                self.assertEqual(opener.open_key(olds[i]), opener.open_key(news[i]))

        options = ["--kms-providers", str(self.path("demo/kms.json")), "--provider", "local:new"]
        self.run_all(
            "rewrap",
            [
                (form, source, options, check)
                for form, source in self.sources({"shop.other": self.other, ns: keys}, FORMS[:-1])
            ],
        )


if __name__ == "__main__":
    unittest.main()
