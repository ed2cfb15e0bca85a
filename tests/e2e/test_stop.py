# SPDX-License-Identifier: Apache-2.0
"""Jobs that are stopped, or stopped by the world, and what the same command does then."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
import unittest

import rawbson as b
from killing import Slow, state_of
from rig import PROGRAM, TIMEOUT, Case
from vault import Vault, schema, write_schema

DOCUMENTS = 20_000
NS = "shop.customers"


class Stops(Case):
    def setUp(self):
        super().setUp()
        self.keyturn("sample", "--to", "demo", "--documents", DOCUMENTS, "--keys", 10)
        self.config = ["--config", self.path("demo/keyturn.json")]
        self.source = self.path("demo/dump/shop/customers.bson")
        self.job = [
            "encrypt",
            *self.config,
            "--from",
            self.source,
            "--to",
            self.path("out"),
            "--backend",
            "scalar",
            "--threads",
            1,
        ]

    def begin(self, *more, wants="a checkpoint", share=0.1, **options):
        """Slows the job down until it has left a checkpoint; the caller ends it. On a busy machine a slice lasts
        longer than it should, and the job may end before its first checkpoint: then again, slower."""
        for slower in (1, 3, 9, 27):
            job = Slow([*self.job, *more], self.folder, share / slower, **options)
            ended = job.run(60, lambda: state_of(self.path("out")) == wants)
            if not ended and state_of(self.path("out")) == wants:
                return job
            job.end(signal.SIGKILL)
            if job.process.returncode != 0:
                break
            self.path("out").unlink()
        self.fail(f"no checkpoint in 60 s: {job.text}")

    def kill_half_way(self, **options):
        job = self.begin(**options)
        job.end(signal.SIGKILL)
        self.assertEqual("a checkpoint", state_of(self.path("out")))

    def whole(self, done):
        """The output is there, alone, and decrypts to the input."""
        self.assertEqual(DOCUMENTS, done.ns["documents"])
        self.assertEqual(6 * DOCUMENTS, done.ns["values"])
        self.assert_no_leftovers()
        self.path("back").unlink(missing_ok=True)
        self.keyturn("decrypt", *self.config, "--from", "out", "--to", "back", "--ns-include", NS)
        self.assertEqual(self.source.read_bytes(), self.path("back").read_bytes())

    def test_interrupts_end_with_3_and_go_on(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number):
                job = self.begin()
                self.assertEqual(3, job.end(number))
                self.assertIn("(exit 3)", job.text.decode())
                self.assertIn("same command goes on", job.text.decode())
                self.assertFalse(self.path("out").exists())
                done = self.keyturn(*self.job)
                self.assertTrue(done.report["resumed"])
                self.whole(done)
                self.path("out").unlink()

    def test_a_stopped_verify_leaves_nothing(self):
        raw = self.source.read_bytes()
        job = Slow(["verify", *self.config, "--from", "-", "--ns-include", NS], self.folder, 1, raw, len(raw) // 10)
        self.assertFalse(job.run(1))
        self.assertEqual(3, job.end(signal.SIGINT))
        self.assertIn("begins anew", job.text.decode())

    def test_a_second_process_is_refused(self):
        job = self.begin()
        done = self.keyturn(*self.job, exit=2)
        self.assertIn(f"process {job.process.pid}", done.text)
        self.assertIn("out.part", done.text)
        job.end()
        self.assertEqual(0, job.process.returncode, job.text)
        self.assert_no_leftovers()

    def test_another_job_is_refused_until_it_is_forgotten(self):
        self.kill_half_way()
        shutil.copy(self.source, self.path("same.bson"))
        less = json.loads(self.path("demo/schema.json").read_text())
        del less[NS]["properties"]["phone"]
        self.path("other.json").write_text(json.dumps(less))
        base = ["encrypt", *self.config, "--to", "out"]
        others = {
            "schema": [*base, "--from", self.source, "--schema-map", "other.json"],
            "input": [*base, "--from", "same.bson", "--ns-include", NS],
            "option": [*base, "--from", self.source, "--on-unencryptable", "leave"],
            "command": ["decrypt", *self.config, "--to", "out", "--from", self.source],
        }
        for name, args in others.items():
            with self.subTest(name):
                done = self.keyturn(*args, exit=2)
                self.assertIn("--forget", done.text)
                self.assertEqual("a checkpoint", state_of(self.path("out")))
        done = self.keyturn(*others["schema"], "--forget")
        self.assertEqual((False, 5 * DOCUMENTS), (done.report["resumed"], done.ns["values"]))
        self.assert_no_leftovers()

    def test_what_may_change_between_runs(self):
        self.kill_half_way()
        done = self.keyturn(*self.job[:-4], "--threads", 3, "--backend", "auto", "--max-failures", 5, "--quiet")
        self.assertTrue(done.report["resumed"])
        self.whole(done)

    def test_all_or_nothing_has_rewrapped_nothing_until_its_end(self):
        keys = DOCUMENTS
        report = self.path("stopped.json")
        vault = Vault([f"key {i}" for i in range(keys)])
        self.job[:5] = ["rewrap", *vault.write(self.folder), "--provider", "local:new", "--all-or-nothing"]
        job = self.begin("--report", report)
        self.assertEqual(3, job.end(signal.SIGTERM))
        self.assertNotIn("all written", job.text.decode())
        stopped = json.loads(report.read_text())
        self.assertEqual((True, 0, [0]), self.rewrapped(stopped))
        done = self.keyturn(*self.job)
        self.assertTrue(done.report["resumed"])
        self.assertEqual((False, keys, [keys]), self.rewrapped(done.report))
        made = b.split(self.path("out").read_bytes())
        self.assertEqual(list(vault.deks.values()), [vault.open_key(doc) for doc in made])

    @staticmethod
    def rewrapped(report):
        return report["withheld"], report["keys"]["rewrapped"], [c["rewrapped"] for c in report["keys"]["cmks"]]

    def test_keys_that_documents_name(self):
        """A job that goes on finds them again, also those that only documents before its checkpoint have named."""
        vault = Vault(["one", "two", "three"])
        keys = vault.write(self.folder)
        rule = {"encrypt": {"keyId": "/key", "algorithm": "AEAD_AES_256_CBC_HMAC_SHA_512-Random"}}
        options = keys + write_schema(self.path("pointer.json"), {NS: schema({"secret": rule})})
        names = ["one"] * 500 + ["two", "three"] * 5000 + ["one"] * 500
        docs = [
            b.document(
                ("_id", b.INT, b.int32(i)),
                ("key", b.STRING, b.string(name)),
                ("secret", b.STRING, b.string("s" * (i % 50))),
                ("pad", b.STRING, b.string("p" * 1500)),
            )
            for i, name in enumerate(names)
        ]
        self.source.write_bytes(b"".join(docs))
        self.job[1:3] = options
        self.kill_half_way(share=0.01)
        done = self.keyturn(*self.job)
        self.assertTrue(done.report["resumed"])
        made = b.split(self.path("out").read_bytes())
        for i in range(0, len(docs), 97):
            payload = b.payload(*b.fields(made[i])["secret"])
            self.assertEqual(vault.ids[names[i]], payload[1:17])
        self.keyturn("decrypt", *keys, "--ns-include", NS, "--from", "out", "--to", "back")
        self.assertEqual(b"".join(docs), self.path("back").read_bytes())

    def test_a_finished_output_keeps_no_checkpoint(self):
        """Killed between the last rename and the end: the work is done, and says so."""
        self.kill_half_way()
        left = self.path("out.part.checkpoint").read_bytes()
        self.keyturn(*self.job)
        self.path("out.part.checkpoint").write_bytes(left)
        done = self.keyturn(*self.job, exit=2)
        self.assertIn("out: exists", done.text)
        self.path("out").rename(self.path("done"))
        done = self.keyturn(*self.job)
        self.assertFalse(done.report["resumed"])
        self.whole(done)

    def test_a_changed_input_is_refused(self):
        self.kill_half_way()
        with open(self.source, "ab") as out:
            out.write(b"\5\0\0\0\0")
        done = self.keyturn(*self.job, exit=2)
        self.assertIn("customers.bson", done.text)
        self.assertFalse(self.path("out").exists())
        with open(self.source, "rb+") as out:
            out.truncate(self.source.stat().st_size - 5)
        self.assertIn("--forget", self.keyturn(*self.job, exit=2).text)  # its time stamp is another one
        self.whole(self.keyturn(*self.job, "--forget"))

    def test_a_changed_pipe_is_refused(self):
        raw = self.source.read_bytes()
        self.job[self.job.index("--from") + 1] = "-"
        self.begin(feed=raw, pace=len(raw) // 5).end(signal.SIGKILL)
        done = self.keyturn(*self.job, stdin=raw[:50] + b"?" + raw[51:], exit=2)
        self.assertIn("--forget", done.text)
        done = self.keyturn(*self.job, stdin=raw)
        self.assertTrue(done.report["resumed"])
        self.whole(done)

    def test_a_damaged_checkpoint_is_refused(self):
        self.kill_half_way()
        checkpoint = self.path("out.part.checkpoint")
        raw = checkpoint.read_bytes()
        for name, bad in (("cut", raw[:-9]), ("flipped", raw[:40] + bytes([raw[40] ^ 1]) + raw[41:]), ("empty", b"")):
            with self.subTest(name):
                checkpoint.write_bytes(bad)
                done = self.keyturn(*self.job, exit=2)
                self.assertIn("checkpoint: damaged", done.text)
                self.assertFalse(self.path("out").exists())
        checkpoint.write_bytes(raw)
        self.whole(self.keyturn(*self.job))

    def test_a_full_disk(self):
        """A limit on a file's size stands for it: the write fails the same way."""
        size = self.source.stat().st_size // 2

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        done = self.keyturn(*self.job, exit=4, preexec_fn=limit)
        self.assertIn("out.part", done.text)
        self.assertFalse(self.path("out").exists())
        self.whole(self.keyturn(*self.job))

    def test_a_full_file_system(self):
        room = self.path("room")
        room.mkdir()
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", room], capture_output=True)
        if mount.returncode:
            self.skipTest("machine: no right to mount a small file system")
        self.addCleanup(subprocess.run, ["umount", "-l", room], check=True)
        self.job[self.job.index("--to") + 1] = room / "out"
        done = self.keyturn(*self.job, exit=4)
        self.assertIn("No space left on device", done.text)
        self.assertFalse(room.joinpath("out").exists())
        subprocess.run(["mount", "-o", "remount,size=200m", room], check=True)
        done = self.keyturn(*self.job)
        self.assertEqual(DOCUMENTS, done.ns["documents"])
        self.assertEqual(["out"], os.listdir(room))

    def test_a_pipe_whose_reader_goes(self):
        job = subprocess.Popen(
            [PROGRAM, "encrypt", *map(str, self.config), "--from", self.source, "--to", "-"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
        )
        job.stdout.read(1000)
        job.stdout.close()
        self.assertEqual(4, job.wait(TIMEOUT))
        text = job.stderr.read().decode()
        job.stderr.close()
        self.assertIn("reader of the pipe is gone", text)
        self.assertIn("begins anew", text)

    def test_a_pipe_that_ends_in_a_document(self):
        raw = self.source.read_bytes()
        self.job[self.job.index("--from") + 1] = "-"
        done = self.keyturn(*self.job, stdin=raw[: len(raw) // 2], exit=4)
        self.assertIn(NS, done.text)
        self.assertFalse(self.path("out").exists())

    def test_outputs_that_exist(self):
        self.path("out").write_text("mine")
        done = self.keyturn(*self.job, exit=2)
        self.assertIn("out: exists", done.text)
        self.assertEqual("mine", self.path("out").read_text())
        self.path("out").unlink()
        self.path("out").mkdir()
        self.keyturn(*self.job, exit=2)
        self.path("out").rmdir()
        self.path("out").symlink_to("nowhere")
        self.keyturn(*self.job, exit=2)
        self.path("out").unlink()
        self.path("out.part").write_text("not keyturn's")
        done = self.keyturn(*self.job, exit=2)
        self.assertIn("out.part", done.text)
        self.assertEqual("not keyturn's", self.path("out.part").read_text())

    def test_outputs_that_may_exist(self):
        os.mkfifo(self.path("fifo"))
        self.job[self.job.index("--to") + 1] = "fifo"
        with subprocess.Popen(["cat", "fifo"], stdout=subprocess.PIPE, cwd=self.folder) as reader:
            job = Slow(self.job, self.folder, 1)
            raw = reader.stdout.read()
            self.assertEqual(0, job.end(), job.text)
        self.assertGreater(len(raw), self.source.stat().st_size)
        self.job[self.job.index("--to") + 1] = "/dev/null"
        self.keyturn(*self.job)

    def test_two_interrupts_stop_at_once(self):
        job = self.begin()
        job.process.send_signal(signal.SIGSTOP)
        job.process.send_signal(signal.SIGINT)
        job.process.send_signal(signal.SIGCONT)
        time.sleep(0.01)
        self.assertEqual(3, job.end(signal.SIGINT))
        self.whole(self.keyturn(*self.job))


if __name__ == "__main__":
    unittest.main()
