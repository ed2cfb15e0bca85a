#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts test cases.

tally.py ctest BUILD TSV   adds a CTest run: BUILD/results/ctest.xml (--output-junit) and BUILD/results/NAME.tap
tally.py sum TSV           closes with "N passed, N failed, N skipped"

TSV has a line per test program: name, passed, failed, skipped, and how many of those had to be skipped: what this
machine or this build cannot run, which a skip's reason says by starting with "machine:" or "build:". Under CI=true any
other skip fails the run.
"""
import os
import re
import sys
import xml.etree.ElementTree

EXCUSES = ("machine:", "build:")
TAP_LINE = re.compile(r"^(ok|not ok)\b(?:.*# SKIP\s*(.*))?")


def count_tap(path):
    """(passed, failed, skipped, excused); cases that the plan promised and that never reported have failed."""
    planned, passed, failed, reasons = 0, 0, 0, []
    with open(path, encoding="utf-8", errors="replace") as report:
        for line in report:
            plan = re.match(r"^1\.\.(\d+)", line)
            case = TAP_LINE.match(line)
            if plan:
                planned = int(plan.group(1))
            elif case and case.group(2) is not None:
                reasons.append(case.group(2).strip())
            elif case:
                passed += case.group(1) == "ok"
                failed += case.group(1) != "ok"
    failed += max(0, planned - passed - failed - len(reasons))
    return passed, failed, len(reasons), sum(reason.startswith(EXCUSES) for reason in reasons)


def count_ctest(build):
    if not os.path.exists(f"{build}/results/ctest.xml"):
        return
    for case in xml.etree.ElementTree.parse(f"{build}/results/ctest.xml").getroot().iter("testcase"):
        name, status = case.get("name"), case.get("status")
        report = f"{build}/results/{name}.tap"
        if os.path.exists(report):
            passed, failed, skipped, excused = count_tap(report)
            # A program that ends badly after its last case (a leak, a crash at exit) has failed too.
            if status == "fail" and failed == 0:
                failed = 1
        else:
            text = case.findtext("system-out") or ""
            passed, skipped = int(status == "run"), int(status not in ("run", "fail"))
            failed, excused = int(status == "fail"), int(skipped and any(excuse in text for excuse in EXCUSES))
        yield name, passed, failed, skipped, excused


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "ctest":
        build, tsv = sys.argv[2:]
        with open(tsv, "a", encoding="utf-8") as out:
            for name, *counts in count_ctest(build):
                print(f"{os.path.basename(build)}/{name}", *counts, sep="\t", file=out)
        return 0
    if len(sys.argv) != 3 or sys.argv[1] != "sum":
        print(__doc__, file=sys.stderr)
        return 2
    with open(sys.argv[2], encoding="utf-8") as tsv:
        rows = [line.rstrip("\n").split("\t") for line in tsv]
    must_run = os.environ.get("CI") == "true"
    bad = [row for row in rows if int(row[2]) or (must_run and int(row[3]) > int(row[4]))]
    for name, passed, failed, skipped, _ in bad:
        print(f"{name}: {passed} passed, {failed} failed, {skipped} skipped")
    passed, failed, skipped = (sum(int(row[i]) for row in rows) for i in (1, 2, 3))
    if must_run and bad and not failed:
        print("CI=true: what was skipped could have run here")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if bad or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
