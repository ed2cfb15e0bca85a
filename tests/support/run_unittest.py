#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the unittest files of a folder and writes TAP, the form in which Criterion reports too."""
import argparse
import signal
import sys
import unittest

SKIPPED = 77  # as CTest's SKIP_RETURN_CODE has it


class TapResult(unittest.TextTestResult):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.lines = []

    def _add(self, verdict, test, note=""):
        self.lines.append(f"{verdict} - {test.id()}{note}")

    def addSuccess(self, test):
        super().addSuccess(test)
        self._add("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._add("ok", test, f"  # SKIP {reason}")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._add("not ok", test)

    def addError(self, test, err):
        super().addError(test, err)
        self._add("not ok", test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self._add("not ok", subtest)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tap", help="where the report goes")
    parser.add_argument("folder")
    parser.add_argument("files", nargs="?", default="test_*.py", help="a pattern")
    args = parser.parse_args()
    # Behind a script's "&" it is ignored, and the programs under test would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    suite = unittest.defaultTestLoader.discover(args.folder, pattern=args.files, top_level_dir=args.folder)
    if suite.countTestCases() == 0:
        print(f"{args.folder}/{args.files}: no tests found", file=sys.stderr)
        return 1
    result = unittest.TextTestRunner(verbosity=2, resultclass=TapResult).run(suite)
    if args.tap:
        with open(args.tap, "w", encoding="utf-8") as report:
            report.write("\n".join(["TAP version 13", f"1..{len(result.lines)}", *result.lines, ""]))
    if not result.wasSuccessful():
        return 1
    return SKIPPED if len(result.skipped) == result.testsRun else 0


if __name__ == "__main__":
    sys.exit(main())
