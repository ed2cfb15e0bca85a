# SPDX-License-Identifier: Apache-2.0
"""The five minutes of the README, and how jobs end."""
import errno
import json
import os
import re
import signal
import struct
import subprocess
import time
import unittest
import unittest.mock

from run_keyturn import PROGRAM, SOURCE, ProgramTest

CONFIG = ["--config", "demo/keyturn.json"]
CUSTOMERS = "dump/shop/customers.bson"


class Tour(ProgramTest):
    def test_the_readme(self):
        """Every command of the README's tour runs, and prints what the README says, but for times and backends."""
        with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as readme:
            tour = re.search(r"## Five minutes\n.*?\n((?:    .*\n|\n)+)", readme.read())[1]
        steps = re.findall(r"^    \$ (.*)\n((?:    [^$\n].*\n)*)", tour, re.MULTILINE)
        self.assertEqual(len(steps), 6)
        for command, expected in steps:
            env = {**os.environ, "PATH": os.path.dirname(PROGRAM) + ":" + os.environ["PATH"]}
            process = subprocess.run(["bash", "-c", command], cwd=self.folder, capture_output=True, text=True, env=env,
                                     timeout=300, check=False)
            self.assertEqual((process.returncode, process.stderr), (0, ""), command)
            self.assertEqual(self.comparable(process.stdout), self.comparable(expected), command)

    @staticmethod
    def comparable(screen):
        lines = [re.sub(r"\d+(\.\d)? s   \S+, \d+ threads?$", "TIME   BACKEND", line.strip())
                 for line in screen.splitlines()]
        return [line for line in lines if line]


class Endings(ProgramTest):
    def setUp(self):
        super().setUp()
        self.sample()

    def break_document(self, count):
        """Gives the first documents a phone that is no string: the type byte of an int needs no other length."""
        data = bytearray(self.read("demo", CUSTOMERS))
        at = 0
        for _ in range(count):
            (nbytes,) = struct.unpack_from("<i", data, at)
            element = data.index(b"\x02phone\0", at, at + nbytes)
            data[element] = 0x0E  # symbol: laid out like a string
            at += nbytes
        with open(self.path("demo", CUSTOMERS), "wb") as out:
            out.write(data)

    def test_0_dry_run_writes_nothing(self):
        before = sorted(os.listdir(self.folder))
        process = self.keyturn("encrypt", *CONFIG, "--from", "demo/dump", "--dry-run")
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertRegex(process.stdout, r"^shop.customers   200 documents   1,200 values to encrypt   0 would fail   "
                                         r"\d+\.\d KB -> \d+\.\d KB   largest document 1\.\d KB")
        self.assertIn("Dry run: nothing was written.", process.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_1_failed_documents_are_listed(self):
        self.break_document(12)
        process = self.keyturn("encrypt", *CONFIG, "--from", "demo/dump", "--to", "out", "--report", "r.json")
        self.assertEqual(process.returncode, 1, process.stderr)
        self.assertIn("12 failed", process.stdout)
        shown = [line for line in process.stderr.splitlines() if "phone: " in line]
        self.assertEqual(len(shown), 10)
        self.assertIn("exit 1: 12 documents are as they were (the first 10 above, all in "
                      "shop.customers-failed.ndjson)", process.stderr)
        self.assertEqual(len(self.read("shop.customers-failed.ndjson").splitlines()), 12)
        report = json.loads(self.read("r.json"))
        self.assertEqual((report["job"], report["exit"]), ("encrypt", 1))
        self.assertEqual(report["failuresFile"], "shop.customers-failed.ndjson")
        counts = report["namespaces"]["shop.customers"]
        self.assertEqual((counts["documents"], counts["failed"], counts["values"]), (200, 12, 188 * 6))

    def test_2_an_output_that_exists(self):
        self.write("out", "mine")
        self.assert_refused(self.keyturn("encrypt", *CONFIG, "--from", "demo/dump", "--to", "out"), "out", "exists")
        self.assertEqual(self.read("out"), b"mine")

    def test_2_a_report_that_would_replace_the_key_vault(self):
        before = self.read("demo/keyvault.bson")
        process = self.keyturn("rewrap", *CONFIG, "--to", "k", "--report", "demo/keyvault.bson")
        self.assert_refused(process, "would be written over --key-vault demo/keyvault.bson")
        self.assertEqual(self.read("demo/keyvault.bson"), before)
        self.assertFalse(os.path.exists(self.path("k")))

    def test_2_is_reported_too(self):
        process = self.keyturn("encrypt", *CONFIG, "--from", "nowhere", "--to", "out", "--report", "r.json")
        self.assert_refused(process, "nowhere")
        report = json.loads(self.read("r.json"))
        self.assertEqual(report["exit"], 2)
        self.assertIn("nowhere", report["error"])

    def test_3_past_max_failures(self):
        self.break_document(5)
        process = self.keyturn("encrypt", *CONFIG, "--from", "demo/dump", "--to", "out", "--max-failures", "2")
        self.assertEqual(process.returncode, 3, process.stderr)
        self.assertIn("--max-failures 2", process.stderr)
        self.assertIn("(exit 3)", process.stderr)
        self.assertFalse(os.path.exists(self.path("out")))

    def test_4_a_closed_pipe(self):
        with open(self.path("demo", CUSTOMERS), "rb") as source:
            with subprocess.Popen([PROGRAM, "encrypt", *CONFIG, "--from", "-", "--to", "-",
                                   "--ns-include", "shop.customers"], cwd=self.folder, stdin=source,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                process.stdout.close()
                stderr = process.stderr.read()
        self.assertEqual(process.returncode, 4, stderr)
        self.assertIn("(exit 4)", stderr)

    def test_4_a_cut_off_input(self):
        data = self.read("demo", CUSTOMERS)
        with open(self.path("demo", CUSTOMERS), "wb") as out:
            out.write(data[:-100])
        process = self.keyturn("encrypt", *CONFIG, "--from", "demo/dump", "--to", "out")
        self.assertEqual(process.returncode, 4, process.stderr)
        self.assertIn("shop/customers.bson", process.stderr)
        self.assertIn("Nothing has the output's name.", process.stderr)
        self.assertEqual(process.stdout, "")
        self.assertFalse(os.path.exists(self.path("out")))

    def test_5_verify_finds_plaintext(self):
        process = self.keyturn("verify", *CONFIG, "--from", "demo/dump")
        self.assertEqual(process.returncode, 5, process.stderr)
        self.assertIn("1,200 values: 0 authentic, 1,200 plaintext, 0 wrong key", process.stdout)
        self.assertRegex(process.stdout, r"payment\.card +0 authentic, 200 plaintext")

    def test_with_a_dash_stdout_carries_data_only(self):
        with open(self.path("demo", CUSTOMERS), "rb") as source:
            process = subprocess.run([PROGRAM, "encrypt", *CONFIG, "--from", "-", "--to", "-", "--ns-include",
                                      "shop.customers"], cwd=self.folder, stdin=source, capture_output=True,
                                     timeout=120, check=False)
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertIn(b"1,200 values encrypted", process.stderr)
        back = subprocess.run([PROGRAM, "decrypt", *CONFIG, "--from", "-", "--to", "-", "--ns-include",
                               "shop.customers"], cwd=self.folder, input=process.stdout, capture_output=True,
                              timeout=120, check=False)
        self.assertEqual(back.stdout, self.read("demo", CUSTOMERS))

    def closing(self, streams, *args):
        """The exit status with these streams closed."""
        return subprocess.run(["bash", "-c", f'exec "$0" "$@" {streams}', PROGRAM, *args], cwd=self.folder, timeout=120,
                              check=False).returncode

    def test_closed_streams_are_no_place_for_files(self):
        self.break_document(2)
        for streams in ("2>&-", "0<&- 2>&-"):
            exit = self.closing(streams, "encrypt", *CONFIG, "--from", "demo/dump", "--to", "out" + streams[0], "--report",
                                "r.json", "--failures", "list")
            self.assertEqual(exit, 1)
            self.assertEqual(json.loads(self.read("r.json"))["exit"], 1)
            self.assertEqual(len(list(map(json.loads, self.read("list").splitlines()))), 2)

    def test_4_a_closed_output(self):
        self.assertEqual(self.closing(">&- 2>/dev/null", "encrypt", *CONFIG, "--from", "demo/" + CUSTOMERS, "--to", "-",
                                      "--ns-include", "shop.customers"), 4)

    def test_quiet_keeps_the_result(self):
        self.break_document(2)
        process = self.keyturn("encrypt", *CONFIG, "--from", "demo/dump", "--to", "out", "--quiet")
        self.assertEqual((process.returncode, process.stderr), (1, ""))
        self.assertIn("2 failed", process.stdout)


class Running(ProgramTest):
    """A job that waits for more input, so that nothing here depends on a clock."""

    def setUp(self):
        super().setUp()
        self.sample()
        os.mkfifo(self.path("input.bson"))
        self.data = self.read("demo", CUSTOMERS)

    def start(self, *args, env=None, config="demo/keyturn.json"):
        """The process has the first documents and waits for the others."""
        process = subprocess.Popen([PROGRAM, "encrypt", "--config", config, "--from", "input.bson", "--ns-include",
                                    "shop.customers", *args], cwd=self.folder, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.pipe = self.open_pipe(process)
        self.addCleanup(self.pipe.close)
        self.pipe.write(self.data[:50000])
        return process

    def open_pipe(self, process):
        """The pipe's end for writing, once the process reads from it."""
        while True:
            try:
                pipe = os.open(self.path("input.bson"), os.O_WRONLY | os.O_NONBLOCK)
                os.set_blocking(pipe, True)
                return open(pipe, "wb", buffering=0)
            except OSError as error:
                self.assertEqual(error.errno, errno.ENXIO)
            if process.poll() is not None:
                self.fail(process.stderr.read())
            time.sleep(0.01)

    @staticmethod
    def progress(process):
        """A line of progress, once the job runs."""
        while True:
            process.send_signal(signal.SIGUSR1)
            line = process.stderr.readline()
            if "preparing" not in line:
                return line

    def finish(self, process):
        self.pipe.close()
        _, stderr = process.communicate(timeout=60)
        return stderr

    def test_sigusr1_prints_the_progress(self):
        process = self.start("--to", "/dev/null")
        self.assertRegex(self.progress(process), r"^  [\d,]+ documents .*failed 0")
        self.pipe.write(self.data[50000:])
        self.assertEqual(self.finish(process), "")
        self.assertEqual(process.returncode, 0)

    def test_progress_as_json(self):
        process = self.start("--to", "/dev/null", "--log-format", "json")
        line = json.loads(self.progress(process))
        self.assertEqual(line["event"], "progress")
        self.assertLessEqual({"documents", "values", "failed", "bytesDone", "bytesTotal", "waitingFor"}, set(line))

    def test_a_second_signal_ends_it_at_once(self):
        for output, says in ((["--to", "/dev/null"], "begins anew. (exit 3)"), (["--dry-run"], "begins anew. (exit 3)"),
                             (["--to", "out"], "goes on from what is written. (exit 3)")):
            process = self.start(*output)
            self.progress(process)
            process.send_signal(signal.SIGTERM)
            self.assertIn("Stopping", process.stderr.readline())
            process.send_signal(signal.SIGTERM)
            _, stderr = process.communicate(timeout=60)
            self.pipe.close()
            self.assertEqual(process.returncode, 3)
            self.assertIn(says, stderr)

    def test_a_name_that_comes_up_meanwhile(self):
        process = self.start("--to", "out")
        self.progress(process)
        self.write("out", "theirs")
        self.pipe.write(self.data[50000:])
        stderr = self.finish(process)
        self.assertEqual(process.returncode, 4, stderr)
        self.assertIn("its final name has come up meanwhile", stderr)
        self.assertNotIn("Nothing was touched", stderr)
        self.assertEqual(self.read("out"), b"theirs")

    def test_a_killed_job_leaves_no_counters(self):
        """libmongoc's, in /dev/shm."""
        with unittest.mock.patch.dict(os.environ):
            os.environ.pop("MONGOC_DISABLE_SHM", None)
            process = self.start("--to", "/dev/null")
        process.kill()
        process.communicate()
        self.pipe.close()
        self.assertFalse(os.path.exists(f"/dev/shm/mongoc-{process.pid}"))

    def test_nohup_is_respected(self):
        script = 'trap "" HUP; exec "$0" "$@"'
        process = subprocess.Popen(["bash", "-c", script, PROGRAM, "encrypt", *CONFIG, "--from", "input.bson", "--to",
                                    "/dev/null", "--ns-include", "shop.customers"], cwd=self.folder,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with self.open_pipe(process) as pipe:
            pipe.write(self.data[:50000])
            process.send_signal(signal.SIGHUP)
            self.assertIn("documents", self.progress(process))
            pipe.write(self.data[50000:])
        _, stderr = process.communicate(timeout=60)
        self.assertEqual((process.returncode, stderr), (0, ""))

    def readable_memory(self, pid):
        with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
            for line in maps:
                span, rights, *rest = line.split()
                start, end = (int(word, 16) for word in span.split("-"))
                if "r" not in rights or rest[-1].startswith("[v") or end - start > 1 << 28:
                    continue
                try:
                    memory.seek(start)
                    yield memory.read(end - start)
                except OSError:
                    continue

    def test_no_master_key_in_memory_while_the_job_runs(self):
        text = self.read("demo/kms.json").decode()
        config = {"keyVault": "keyvault.bson", "schemaMap": "schema.json", "kmsProviders": json.loads(text)["kmsProviders"]}
        self.write("demo/inside.json", json.dumps(config))
        secrets = [provider["key"].encode() for provider in config["kmsProviders"].values()]
        ways = [{}, {"env": {"MY_KMS": text}}, {"config": "demo/inside.json"}]
        with open(PROGRAM, "rb") as program:
            if b"__asan_init" in program.read():
                del ways[1]  # AddressSanitizer keeps a copy of the environment
        for how in ways:
            with self.subTest(how=list(how)):
                providers = ["--kms-providers", "env:MY_KMS"] if "env" in how else []
                process = self.start("--to", "/dev/null", *providers, **how)
                self.assertIn("documents", self.progress(process))
                memory = b"\0".join(self.readable_memory(process.pid))
                process.kill()
                process.communicate()
                self.pipe.close()
                self.assertTrue(b"shop.customers" in memory)
                for secret in secrets:
                    self.assertFalse(secret[:32] in memory or secret[-32:] in memory, how)


if __name__ == "__main__":
    unittest.main()
