# SPDX-License-Identifier: Apache-2.0
"""Runs the program under test and says where things are. KEYTURN_BUILD names the build folder, KEYTURN_LONG=1 asks for
the full counts instead of those that fit into every run of the tests."""

import functools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("KEYTURN_BUILD", ROOT / "build/release")).resolve()
PROGRAM = str(BUILD / "tools/keyturn")
SHARED = pathlib.Path(os.environ.get("KEYTURN_SHARED", ROOT.parent / "shared"))
LONG = os.environ.get("KEYTURN_LONG", "") not in ("", "0")
TIMEOUT = 900 if LONG else 120


def _sanitized():
    cache = BUILD / "CMakeCache.txt"
    if not cache.exists():
        return False
    return any(line.startswith("KT_SANITIZE:") and line.strip()[-1] != "=" for line in cache.open())


SANITIZED = _sanitized()


def count(usual, long, sanitized=None):
    """How much of something: in every run, in the long one, in one with sanitizers."""
    if LONG:
        return long
    return sanitized if SANITIZED and sanitized is not None else usual


heavy = unittest.skipIf(SANITIZED, "build: too slow with sanitizers, the release build runs it")


def needs_shared(*parts):
    return unittest.skipUnless(SHARED.joinpath(*parts).exists(), f"machine: no {'/'.join(parts)} in KEYTURN_SHARED")


class Done:
    """What a run of the program left behind."""

    def __init__(self, exit, out, err, report=None):
        self.exit, self.out, self.err, self.report = exit, out, err, report

    @property
    def text(self):
        return self.err.decode(errors="replace")

    @functools.cached_property
    def ns(self):
        """The only namespace of the report."""
        (only,) = self.report["namespaces"].values()
        return only


class Case(unittest.TestCase):
    """A test with a folder of its own, which is also the working folder of the program."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="keyturn-e2e-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, *parts):
        return self.folder.joinpath(*parts)

    def keyturn(self, *args, exit=0, stdin=b"", env=None, **options):
        """Runs the program to its end and checks its exit status. options: of subprocess.run."""
        report = self.path("report.json")
        report.unlink(missing_ok=True)
        args = [str(a) for a in args]
        if args[0] in ("encrypt", "decrypt", "verify", "rewrap") and "--report" not in args:
            args += ["--report", str(report)]
        options.setdefault("cwd", self.folder)
        done = subprocess.run(
            [PROGRAM, *args],
            input=stdin,
            capture_output=True,
            timeout=TIMEOUT,
            env={**os.environ, **(env or {})},
            **options,
        )
        result = Done(
            done.returncode, done.stdout, done.stderr, json.loads(report.read_text()) if report.exists() else None
        )
        self.assertEqual(exit, result.exit, f"{args}\n{done.stdout[-2000:]!r}\n{result.text[-4000:]}")
        if result.report:
            self.assertEqual(exit, result.report["exit"])
        return result

    def refused(self, *args, exit=2, says=(), **options):
        """Like keyturn(), for a run that must say why it cannot and leave nothing behind under the final name."""
        done = self.keyturn(*args, exit=exit, **options)
        for word in (says,) if isinstance(says, str) else says:
            self.assertIn(word, done.text)
        self.assertIn(f"(exit {exit})", done.text)
        if "--to" in args and args[args.index("--to") + 1] != "-":
            self.assertFalse(os.path.lexists(self.folder / args[args.index("--to") + 1]))
        return done

    def assert_no_leftovers(self, *names):
        """Nothing of an unfinished job lies in the folder of the test."""
        left = [
            str(p.relative_to(self.folder))
            for p in self.folder.rglob("*")
            if p.name.endswith(".part") or ".part." in p.name or ".new" in p.suffixes
        ]
        self.assertEqual([], left)
