# SPDX-License-Identifier: Apache-2.0
"""Nothing that failed, vanished or was skipped counts as passed."""
import os
import pathlib
import subprocess
import tempfile
import unittest

TALLY = pathlib.Path(__file__).resolve().parents[2] / "scripts/tally.py"
JUNIT = '<testsuite><testcase name="{name}" status="{status}"><system-out>{out}</system-out></testcase></testsuite>'


class Tally(unittest.TestCase):
    def setUp(self):
        self.build = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.build / "results").mkdir()

    def run_tally(self, *args, ci="false"):
        return subprocess.run([TALLY, *args], capture_output=True, text=True, env={**os.environ, "CI": ci})

    def closing(self, status, tap=None, out="", ci="false"):
        """(exit status, last line) for one test program."""
        if tap is not None:
            (self.build / "results/unit.tap").write_text(tap, encoding="utf-8")
        (self.build / "results/ctest.xml").write_text(JUNIT.format(name="unit", status=status, out=out), encoding="utf-8")
        tsv = self.build / "tally.tsv"
        tsv.unlink(missing_ok=True)
        self.assertEqual(0, self.run_tally("ctest", self.build, tsv).returncode)
        result = self.run_tally("sum", tsv, ci=ci)
        return result.returncode, result.stdout.splitlines()[-1]

    def test_cases_are_counted(self):
        tap = "TAP version 13\n1..3\nok - a::x  (0.1s)\nok - a::y  # SKIP no server\nok - a::z\n"
        self.assertEqual((0, "2 passed, 0 failed, 1 skipped"), self.closing("run", tap))

    def test_a_failed_case(self):
        tap = "1..2\nok - a::x\nnot ok - a::y  (0.1s)\n  ---\n  - not ok\n"
        self.assertEqual((1, "1 passed, 1 failed, 0 skipped"), self.closing("fail", tap))

    def test_a_case_that_never_reported(self):
        self.assertEqual((1, "1 passed, 2 failed, 0 skipped"), self.closing("run", "1..3\nok - a::x\n"))

    def test_a_program_that_fails_after_its_last_case(self):
        self.assertEqual((1, "1 passed, 1 failed, 0 skipped"), self.closing("fail", "1..1\nok - a::x\n"))

    def test_a_program_without_report(self):
        self.assertEqual((0, "1 passed, 0 failed, 0 skipped"), self.closing("run"))
        self.assertEqual((1, "0 passed, 1 failed, 0 skipped"), self.closing("fail"))
        self.assertEqual((1, "0 passed, 0 failed, 1 skipped"), self.closing("notrun"))

    def test_ci_takes_no_excuse_but_the_machine(self):
        could_have = "1..2\nok - a::x\nok - a::y  # SKIP no server\n"
        could_not = "1..3\nok - a::x\nok - a::y  # SKIP machine: no AVX-512\nok - a::z  # SKIP build: ASAN\n"
        self.assertEqual((0, "1 passed, 0 failed, 1 skipped"), self.closing("run", could_have))
        self.assertEqual((1, "1 passed, 0 failed, 1 skipped"), self.closing("run", could_have, ci="true"))
        self.assertEqual((0, "1 passed, 0 failed, 2 skipped"), self.closing("run", could_not, ci="true"))

    def test_nothing_run_is_a_failure(self):
        self.assertEqual((1, "0 passed, 0 failed, 0 skipped"), self.closing("run", "1..0\n"))


if __name__ == "__main__":
    unittest.main()
