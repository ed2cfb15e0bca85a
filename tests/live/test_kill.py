# SPDX-License-Identifier: Apache-2.0
"""kill -9 at any moment: applications' writes to what was under way go on at once, and the next run finishes with the
same result as an undisturbed one. Commits are slowed down, so that the moments lie in open transactions.
KEYTURN_LONG=1: 50 random moments, 20 with the guard."""
import os
import random
import signal
import statistics
import time

import processes
from live import LiveCase, count, plain_docs

KILLS = count(4, 50, 2)
GUARD_KILLS = count(4, 20, 2)  # after each of these two runs seal a few batches: they must not come to the end
DOCUMENTS = count(10000, 100000, 5000)
COMMIT_MS = 300


class Killed(LiveCase):
    def setUp(self):
        super().setUp()
        self.plain = plain_docs(DOCUMENTS)
        self.insert(self.plain)

    def slow_commits(self):
        def fail_point(mode, **more):
            self.client.admin.command({"configureFailPoint": "failCommand", "mode": mode, **more})

        self.addCleanup(fail_point, "off")
        fail_point("alwaysOn", data={"failCommands": ["commitTransaction"], "appName": "keyturn",
                                     "blockConnection": True, "blockTimeMS": COMMIT_MS})

    def open_transactions(self):
        return self.client.admin.command("serverStatus")["transactions"]["currentOpen"]

    def lease(self, process):
        return self.state["checkpoints"].count_documents({"_id.is": "lease", "pid": process.pid})

    def write_everywhere(self):
        """An application changes documents everywhere; returns how long each write took."""
        waits = []
        for i in range(0, DOCUMENTS, DOCUMENTS // 200):
            begun = time.monotonic()
            self.docs.update_one({"_id": i}, {"$set": {"app": 1}})
            waits.append(time.monotonic() - begun)
        self.docs.update_many({"app": 1}, {"$unset": {"app": ""}})
        return waits

    def finish_and_compare(self):
        done = self.run_job("encrypt")
        self.assertEqual(DOCUMENTS, done.ns["documents"])
        self.assertEqual((3 * DOCUMENTS, 0), (done.ns["values"], done.ns["already"]), "sealed twice, or not counted")
        self.assertEqual(self.plain, [self.opened(d) for d in self.read()])
        self.assert_closed()

    def kill_some(self, kills, with_guard):
        self.slow_commits()
        cut, sealed, waits = 0, 0, []
        for n in range(kills):
            process = self.start("encrypt", "--threads", 2)
            self.until("a batch is open", lambda: self.lease(process) and self.open_transactions(), process=process)
            # In its first transaction, or in one after it.
            time.sleep(random.uniform(0, 0.25) + n % 2 * COMMIT_MS * 0.0015)
            if with_guard:
                (guard,) = processes.children(process.pid)
                os.kill(guard, signal.SIGKILL)
            cut += self.open_transactions() > 0
            process.kill()
            self.assertEqual(-signal.SIGKILL, process.wait())
            if with_guard:
                # Nobody ended the transactions: the next run does, before it does anything else.
                begun = time.monotonic()
                nxt = self.start("encrypt", "--max-docs-per-second", 1, "--threads", 1)
                self.until("the next run holds the lease", lambda: self.lease(nxt), process=nxt)
                waits.append(time.monotonic() - begun)
            waits += self.write_everywhere()
            if with_guard:
                nxt.terminate()
                self.assertEqual(3, nxt.wait(60))
            sealed = self.docs.count_documents({"b": {"$type": "binData"}})
        self.assertGreater(cut, 0, "no transaction was open")
        self.assertGreater(sealed, 0)
        print(f"\n  {cut} of {kills} kills in open transactions{', the guard too' if with_guard else ''}; {len(waits)} "
              f"writes: median {statistics.median(waits) * 1000:.1f} ms, longest {max(waits) * 1000:.0f} ms")
        self.assertLess(statistics.median(waits), 1)
        self.assertLess(max(waits), 5)
        self.finish_and_compare()

    def test_random_moments(self):
        self.kill_some(KILLS, with_guard=False)

    def test_random_moments_and_the_guard_too(self):
        self.kill_some(GUARD_KILLS, with_guard=True)

    def test_the_guard_ends_with_the_job(self):
        process = self.start("encrypt")
        guards = []
        while process.poll() is None:
            guards = guards or processes.children(process.pid)
        self.assertEqual(0, process.returncode)
        self.assertEqual(1, len(guards))
        self.assertFalse([g for g in guards if processes.alive(g)])
