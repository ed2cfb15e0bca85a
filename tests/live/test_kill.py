# SPDX-License-Identifier: Apache-2.0
"""kill -9 at any moment: applications' writes to what was under way go on at once, and the next run finishes with the
same result as an undisturbed one. KEYTURN_LONG=1: 50 random moments, and every crash point many times over."""
import os
import random
import signal
import time
import unittest

import processes
from live import LONG, SANITIZED, LiveCase, count, plain_docs
from rig import BUILD

CRASH = BUILD / "tests/live/live_crash.so"
KILLS = count(6, 50, 2)
DOCUMENTS = count(4000, 20000, 800)


class Killed(LiveCase):
    def setUp(self):
        super().setUp()
        self.plain = plain_docs(DOCUMENTS)
        self.insert(self.plain)

    def guard_of(self, process):
        return processes.children(process.pid)

    def write_everywhere(self, seconds):
        """An application's plain writes to every document; returns the longest that one waited."""
        longest, deadline = 0, time.monotonic() + seconds
        for i in range(0, DOCUMENTS, max(1, DOCUMENTS // 400)):
            begun = time.monotonic()
            self.docs.update_one({"_id": i}, {"$set": {"z": "kept"}})
            longest = max(longest, time.monotonic() - begun)
            if time.monotonic() > deadline + 60:
                break
        return longest

    def finish_and_compare(self):
        done = self.run_job("encrypt")
        self.assertEqual(DOCUMENTS, done.ns["documents"])
        self.assertEqual((3 * DOCUMENTS, 0), (done.ns["values"], done.ns["already"]), "sealed twice, or not counted")
        self.assertEqual(self.plain, [self.opened(d) for d in self.read()])
        self.assert_closed()

    def kill_some(self, with_guard):
        killed = 0
        for n in range(KILLS):
            process = self.start("encrypt", "--max-docs-per-second", DOCUMENTS // (2 * KILLS))
            time.sleep(random.uniform(0.1, 1.2))
            guards = self.guard_of(process)
            if with_guard:
                for pid in guards:
                    os.kill(pid, signal.SIGKILL)
            process.kill()
            killed += process.wait() == -signal.SIGKILL
            if with_guard:
                # Nobody ended the transactions: the next run does, before it does anything else.
                nxt = self.start("encrypt", "--max-docs-per-second", 1)
                self.until("the next run holds the lease",
                           lambda: self.state["checkpoints"].count_documents({"_id.is": "lease", "pid": nxt.pid}))
                self.assertLess(self.write_everywhere(2), 5)
                nxt.terminate()
                self.assertEqual(3, nxt.wait(60))
            else:
                self.assertLess(self.write_everywhere(2), 5)
            if n % 10 == 0:
                self.assertEqual(self.plain, [self.opened(d) for d in self.read()])
        self.assertGreater(killed, 0)
        self.finish_and_compare()

    def test_random_moments(self):
        self.kill_some(with_guard=False)

    def test_random_moments_and_the_guard_too(self):
        self.kill_some(with_guard=True)

    def test_the_guard_ends_with_the_job(self):
        process = self.start("encrypt")
        guards = []
        while process.poll() is None:
            guards = guards or self.guard_of(process)
        self.assertEqual(0, process.returncode)
        self.assertEqual(1, len(guards))
        self.assertFalse([g for g in guards if processes.alive(g)])


@unittest.skipIf(SANITIZED, "build: the shim cannot be preloaded before a sanitizer's runtime")
class CrashPoints(LiveCase):
    FIELDS = {"a": ("a", True, "string"), "b": ("b", False, None)}

    def points(self):
        calls = range(1, 40) if LONG else (1, 2, 5, 9)
        return [f"{what}:{when}:{n}" for what in ("write", "commit") for when in ("before", "after") for n in calls]

    def test_before_and_after_each_update_and_commit(self):
        docs = plain_docs(1500)
        for point in self.points():
            with self.subTest(point):
                self.docs.drop()
                self.insert(docs)
                process = self.start("encrypt", "--threads", 2, env={"LD_PRELOAD": str(CRASH), "KEYTURN_CRASH": point})
                code = process.wait(60)
                self.assertIn(code, (0, -signal.SIGKILL), self.err_text())
                begun = time.monotonic()
                for i in range(0, 1500, 10):
                    self.docs.update_one({"_id": i}, {"$set": {"z": "kept"}})
                self.assertLess(time.monotonic() - begun, 5)
                if code:
                    done = self.run_job("encrypt")
                    self.assertEqual((1500, 3000, 0), (done.ns["documents"], done.ns["values"], done.ns["already"]))
                self.assertEqual(docs, [self.opened(d) for d in self.read()])
                self.assert_closed()
