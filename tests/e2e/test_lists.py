# SPDX-License-Identifier: Apache-2.0
"""Lists of failures that cannot be written, or that another job writes at the same time."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

from bad import MIB, NS
from rig import PROGRAM, TIMEOUT
from test_outputs import LIST, Outputs
from vault import schema, write_schema


class Held(Outputs):
    """Jobs that run at the same time and list their failures in one place."""

    def setUp(self):
        super().setUp()
        self.bad = self.raw[len(self.good) :]
        self.much = self.good * (9 * MIB // len(self.good))  # some batches

    def begin(self, to):
        """A job that has read some batches without a failure and waits for more."""
        args = ["encrypt", *self.options, "--ns-include", NS, "--from", "-", "--to", to]
        job = subprocess.Popen([PROGRAM, *map(str, args)], cwd=self.folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(job.stderr.close)
        self.addCleanup(job.wait)
        self.addCleanup(job.kill)
        self.feed(job, self.much)
        return job

    def feed(self, job, raw):
        with contextlib.suppress(BrokenPipeError):
            job.stdin.write(raw)
            job.stdin.flush()

    def end(self, job, exit):
        _, text = job.communicate(timeout=TIMEOUT)
        self.assertEqual(exit, job.returncode, text)
        return text.decode()

    def until_listed(self, name=LIST):
        deadline = time.monotonic() + TIMEOUT
        while not (self.path(name).exists() and self.path(name).stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.path(name).read_bytes()

    def test_a_list_of_a_running_job_is_refused(self):
        job = self.begin("out")
        self.feed(job, self.bad + self.much)
        listed = self.until_listed()
        for more in ([], ["--dry-run"]):
            self.refused("encrypt", *self.here, "--to", "out2", *more, says=(LIST, "running", "--failures"))
        self.assertFalse(self.path("out2.part").exists())
        self.keyturn("encrypt", *self.here, "--to", "out2", "--failures", "list", exit=1)
        self.assertEqual(listed, self.path(LIST).read_bytes())
        self.end(job, 1)
        self.assertEqual(listed, self.path(LIST).read_bytes())
        self.keyturn("encrypt", *self.here, "--to", "out3", exit=1)

    def test_a_list_that_another_job_begins_meanwhile(self):
        job, other = self.begin("out"), self.begin("out2")
        self.feed(other, self.bad + self.much)
        listed = self.until_listed()
        self.feed(job, self.bad + self.much)
        text = self.end(job, 4)
        self.assertIn(f"{LIST}: another job", text)
        self.assertIn("(exit 4)", text)
        self.assertEqual(listed, self.path(LIST).read_bytes())
        self.end(other, 1)
        self.assertEqual(listed, self.path(LIST).read_bytes())
        self.assertFalse(self.path("out").exists())


    def test_a_list_that_another_job_has_left_meanwhile(self):
        job, other = self.begin("out"), self.begin("out2")
        self.feed(other, self.bad)
        self.end(other, 1)
        listed = self.path(LIST).read_bytes()
        self.feed(job, self.bad)
        self.assertIn(f"{LIST}: another job", self.end(job, 4))
        self.assertEqual(listed, self.path(LIST).read_bytes())

    def test_an_output_with_the_name_of_a_list(self):
        self.refused("encrypt", *self.here, "--to", LIST, says=("--failures", LIST, "--to"))


class Unwritable(Outputs):
    """What the first failure would end midway is refused before the start, whether or not anything will fail."""

    def setUp(self):
        super().setUp()
        self.elsewhere = pathlib.Path(tempfile.mkdtemp(prefix="keyturn-e2e-"))
        self.addCleanup(shutil.rmtree, self.elsewhere, ignore_errors=True)

    def test_a_working_folder_without_rights(self):
        self.folder.chmod(0o555)
        self.addCleanup(self.folder.chmod, 0o755)
        self.elsewhere.chmod(0o777)
        for name in self.files:
            self.path(name).chmod(0o644)
        there = [*self.here, "--report", "/dev/null", "--to", self.elsewhere / "out"]
        somebody = {"user": 65534} if os.geteuid() == 0 else {}
        try:
            for more in ([], ["--dry-run"]):
                self.assert_refused_untouched(*there, *more, says=(LIST, str(self.folder), "--failures"), **somebody)
        except PermissionError:
            self.skipTest("machine: the build folder is not open to other users")
        self.assertEqual([], list(self.elsewhere.iterdir()))
        self.keyturn("encrypt", *there, "--failures", self.elsewhere / "list", exit=1, **somebody)
        self.keyturn("verify", *self.here, "--report", "/dev/null", exit=5, **somebody)
        there[-1] = self.elsewhere / "out2"
        self.keyturn("encrypt", *there, "--failures", "/dev/null", exit=1, **somebody)

    def test_a_namespace_that_is_too_long_for_a_file(self):
        ns = "shop." + "c" * 240
        rules = write_schema(self.path("long.json"), {ns: schema({"name": self.vault.rule("name")})})
        here = [*self.keys, *rules, "--ns-include", ns, "--from", "in.bson", "--to", "out"]
        self.assert_refused_untouched(*here, says=("too long", "--failures"))
        self.keyturn("encrypt", *here, "--failures", "list", exit=1)

    def test_names_that_no_file_can_have(self):
        for name, says in (("in.bson/list", "--from"), ("list/", "name a file"), ("n" * 256, "too long")):
            for option in ("--failures", "--report"):
                self.assert_refused_untouched(*self.here, "--to", "out", option, name, says=option)
            self.assert_refused_untouched(*self.here, "--to", "out", "--failures", name, says=says)


if __name__ == "__main__":
    unittest.main()
