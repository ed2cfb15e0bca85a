# SPDX-License-Identifier: Apache-2.0
"""No key stays in memory, in a core file, in a log or in a report."""

import json
import os
import signal
import time
import unittest

import memory
import rawbson as b
from killing import Slow
from rig import SANITIZED, Case, count
from vault import Vault, schema, write_schema

NS = "shop.people"
DOCUMENTS = count(usual=8_000, long=40_000)
KEYS = count(usual=400, long=5_000)
LOOKS = count(usual=6, long=40)


def secrets_of(vault):
    return {
        **{f"master key {name}": key for name, key in vault.masters.items()},
        **{f"DEK {name}": dek for name, dek in vault.deks.items()},
    }


class Self(unittest.TestCase):
    """The search finds what it looks for."""

    def test_the_search_itself(self):
        secret = os.urandom(96)
        wanted = memory.needles({"key": secret})
        for text in (
            secret,
            secret[16:40],
            secret.hex().encode(),
            secret.hex().upper().encode(),
            b"x" + memory.base64.b64encode(secret),
            memory.base64.b64encode(b"ab" + secret),
        ):
            for shift in range(9):
                self.assertTrue(memory.search(bytes(shift) + text + bytes(9), wanted))
        self.assertEqual([], memory.search(os.urandom(100_000), wanted))


@unittest.skipIf(SANITIZED, "build: a sanitizer keeps freed memory")
@unittest.skipUnless(memory.traceable(), "machine: a process may not be traced")
class Memory(Case):
    def setUp(self):
        super().setUp()
        self.vault = Vault([f"key {i}" for i in range(KEYS)])
        self.keys = self.vault.write(self.folder)
        self.wanted = memory.needles(secrets_of(self.vault))
        fields = {f"f{i}": self.vault.rule(f"key {i}", i % 2 == 1, "string") for i in range(6)}
        fields["secret"] = {"encrypt": {"keyId": "/who", "algorithm": "AEAD_AES_256_CBC_HMAC_SHA_512-Random"}}
        self.options = self.keys + write_schema(self.path("schema.json"), {NS: schema(fields)})
        self.plain_text = os.urandom(12).hex()
        docs = []
        for i in range(DOCUMENTS):
            values = [(f"f{k}", b.STRING, b.string(f"{self.plain_text} {i} {k}")) for k in range(6)]
            docs.append(
                b.document(
                    ("_id", b.INT, b.int32(i)),
                    ("who", b.STRING, b.string(f"key {i % KEYS}")),
                    *values,
                    ("secret", b.STRING, b.string(f"{self.plain_text} {i}")),
                    ("pad", b.STRING, b.string("p" * 500)),
                )
            )
        self.path("in.bson").write_bytes(b"".join(docs))
        self.here = ["--ns-include", NS]
        self.searched = 0
        self.keyturn("encrypt", *self.options, *self.here, "--from", "in.bson", "--to", "sealed.bson")
        self.jobs = {
            "encrypt": ["encrypt", *self.options, *self.here, "--from", "in.bson", "--to", "out"],
            "decrypt": ["decrypt", *self.keys, *self.here, "--from", "sealed.bson", "--to", "out"],
            "verify": ["verify", *self.options, *self.here, "--from", "sealed.bson"],
            "rewrap": ["rewrap", *self.keys, "--provider", "local:new", "--to", "out"],
        }

    def look(self, pid, dumped_only, wanted):
        """Every hit with the place where it lies; self.searched: the most bytes that a look went through."""
        hits, searched = [], 0
        for name, start, raw in memory.mappings(pid, dumped_only):
            raw = memory.touched(raw)
            searched += len(raw)
            hits += [f"{name or 'anonymous'} at {start:#x}: {label}" for label in memory.search(raw, wanted)]
        self.searched = max(self.searched, searched)
        return hits

    def test_after_a_job_nothing_is_left(self):
        """All memory of the process as it exits, also what a core file would leave out: keys and documents."""
        wanted = self.wanted | memory.pieces(self.plain_text.encode(), "a document")
        for name, args in self.jobs.items():
            for more in ([], ["--verbose", "--threads", 3]):
                with self.subTest(name, more=more), memory.Exiting([*args, *more], self.folder) as process:
                    self.assertEqual(0, process.run_to_exit())
                    self.assertEqual([], self.look(process.pid, False, wanted))
                self.path("out").unlink(missing_ok=True)
        self.assertGreater(self.searched, 100_000)

    def test_a_refused_job_leaves_nothing_either(self):
        self.path("out").write_text("in the way")
        with memory.Exiting(self.jobs["encrypt"], self.folder) as process:
            self.assertEqual(2, process.run_to_exit())
            self.assertEqual([], self.look(process.pid, False, self.wanted))
        self.assertGreater(self.searched, 100_000)

    def test_core_files_of_running_jobs(self):
        """What the kernel would dump at random moments of a run. Documents may not be there either."""
        wanted = self.wanted | memory.pieces(self.plain_text.encode(), "a document")
        looks = 0
        for name, args in self.jobs.items():
            with self.subTest(name):
                job = Slow([*args, "--backend", "scalar", "--threads", 1], self.folder, 0.1)
                try:
                    while looks < LOOKS and not job.run(0.25):
                        job.process.send_signal(signal.SIGSTOP)
                        time.sleep(0.01)
                        self.assertEqual([], self.look(job.process.pid, True, wanted))
                        looks += 1
                finally:
                    job.end(signal.SIGKILL)
                for left in self.folder.glob("out*"):
                    left.unlink()
                self.assertGreater(looks, 0)
                self.assertGreater(self.searched, 100_000)
                looks = self.searched = 0

    def test_locked_memory_is_where_the_keys_are(self):
        """Otherwise the test above looks at the wrong thing: with all memory in view, the keys are found."""
        job = Slow([*self.jobs["encrypt"], "--backend", "scalar"], self.folder, 0.1)
        hits = []
        try:
            while not hits and not job.run(0.2):
                job.process.send_signal(signal.SIGSTOP)
                time.sleep(0.01)
                hits = self.look(job.process.pid, False, self.wanted)
        finally:
            job.end(signal.SIGKILL)
        self.assertTrue(hits)


class Texts(Case):
    """Logs, screens, reports, lists of failures and checkpoints of jobs that go well and of jobs that fail."""

    def test_no_secret_is_told(self):
        vault = Vault(["name", "other"])
        keys = vault.write(self.folder)
        options = keys + write_schema(
            self.path("schema.json"),
            {NS: schema({"name": vault.rule("name", True, "string"), "n": vault.rule("other", types="int")})},
        )
        plain = os.urandom(20).hex()
        docs = [
            b.document(
                ("_id", b.INT, b.int32(i)),
                ("name", b.STRING, b.string(plain)),
                ("n", *((b.INT, b.int32(i)) if i % 7 else (b.STRING, b.string(plain)))),
            )
            for i in range(50)
        ]
        self.path("in.bson").write_bytes(b"".join(docs))
        here = ["--ns-include", NS, "--verbose"]
        texts = []

        def run(*args, **more):
            done = self.keyturn(*args, **more)
            texts.extend([done.err, b"" if "-" in args else done.out, json.dumps(done.report).encode()])
            texts.extend(p.read_bytes() for p in self.folder.glob("*.ndjson"))

        for form in ("text", "json"):
            log = ["--log-format", form]
            run("encrypt", *options, *here, *log, "--from", "in.bson", "--to", f"sealed-{form}", exit=1)
            raw = bytearray(self.path(f"sealed-{form}").read_bytes())
            raw[raw.index(b"\6\1" + vault.ids["name"]) + 60] ^= 1
            self.path("bad.bson").write_bytes(raw)
            run("decrypt", *keys, *here, *log, "--from", "bad.bson", "--to", f"back-{form}", exit=1)
            run("verify", *options, *here, *log, "--from", "bad.bson", "--failures", "found.ndjson", exit=5)
            run("rewrap", *keys, "--provider", "local:new", "--to", f"keys-{form}", "--verbose", *log)
            run("rewrap", *keys, "--provider", "local:new", "--dry-run", "--verbose", *log)
            run("encrypt", *options, *here, *log, "--from", "in.bson", "--dry-run", exit=1)
            run("encrypt", *options, *here, *log, "--from", "in.bson", "--to", f"sealed-{form}", exit=2)
        self.path("kms.json").write_text(self.path("kms.json").read_text().replace("==", "").replace('"}', 'x"}'))
        run("encrypt", *options, *here, "--from", "in.bson", "--to", "none", exit=2)
        self.path("kms.json").write_text(
            '{"kmsProviders": {"local:old": {"key": "%s" oops' % vault.providers()["local:old"]["key"]
        )
        run("encrypt", *options, *here, "--from", "in.bson", "--to", "none", exit=2)
        wanted = memory.needles(secrets_of(vault))
        wanted |= memory.pieces(plain.encode(), "a value")
        for text in texts:
            self.assertEqual([], memory.search(text, wanted), text.decode(errors="replace"))
        self.assertGreater(len(texts), 40)


if __name__ == "__main__":
    unittest.main()
