# SPDX-License-Identifier: Apache-2.0
"""Servers that fail in a large way: primaries die, all of a set stays away, a member falls behind. KEYTURN_LONG=1: more
documents, more primaries."""
import contextlib
import time

from pymongo.errors import PyMongoError

from live import count, plain_docs
from servers import OnThree

DOCUMENTS = count(2000, 100000, 600)


class Failover(OnThree):
    def sealed(self):
        try:
            return self.docs.count_documents({"b": {"$type": "binData"}})
        except PyMongoError:
            return 0

    def compare(self, plain):
        self.assertEqual(plain, [self.opened(d) for d in self.read()])
        self.assertTrue(all(self.sealed_count(d) == 3 for d in self.read()))
        self.assert_closed()

    def test_a_member_that_falls_behind_is_waited_for(self):
        self.insert(plain_docs(DOCUMENTS))
        primary = self.servers.primary()
        with self.servers.direct((primary + 1) % 3) as slow:
            slow.admin.command({"configureFailPoint": "stopReplProducer", "mode": "alwaysOn"})
            try:
                for i in range(8):
                    self.database["other"].insert_one({"_id": i})
                    time.sleep(1)
                process = self.start("encrypt", "--threads", 2, "--max-docs-per-second", DOCUMENTS // 10)
                self.until("it waits", lambda: "replication lag" in self.err_text(), 100)
                before = self.sealed()
                time.sleep(3)
                self.assertEqual(before, self.sealed())
                self.assertLess(before, DOCUMENTS)
                self.assertIsNone(process.poll())
            finally:
                slow.admin.command({"configureFailPoint": "stopReplProducer", "mode": "off"})
        self.assertEqual(0, process.wait(200), self.err_text())

    def test_no_primary_for_some_seconds(self):
        """Longer than the driver looks for a server at a time, and shorter than the connection string lets it."""
        plain = plain_docs(DOCUMENTS)
        self.insert(plain)
        process = self.start("encrypt", "--threads", 2, "--max-docs-per-second", max(DOCUMENTS // 8, 50))
        self.until("some are done", lambda: self.sealed() > 0)
        before, primary, begun = self.sealed(), self.servers.primary(), time.monotonic()
        for number in range(3):
            with self.servers.direct(number) as member, contextlib.suppress(PyMongoError):
                member.admin.command({"replSetFreeze": 7} if number != primary else {"ping": 1})
        with self.servers.direct(primary) as member, contextlib.suppress(PyMongoError):
            member.admin.command({"replSetStepDown": 7, "secondaryCatchUpPeriodSecs": 0, "force": True})
        self.servers.primary()
        self.assertGreater(time.monotonic() - begun, 5, "there was no time without a primary")
        self.assertIsNone(process.poll(), self.err_text())
        self.until("it goes on", lambda: self.sealed() > before)
        self.assertEqual(0, process.wait(120), self.err_text())
        self.compare(plain)

    def test_the_primary_dies_while_documents_change(self):
        plain = plain_docs(DOCUMENTS)
        self.insert(plain)
        process = self.start("encrypt", "--max-docs-per-second", max(DOCUMENTS // 15, 100))
        for _ in range(count(2, 5, 1)):
            self.until("some are done", lambda: self.sealed() > 0)
            before = self.sealed()
            dead = self.servers.primary()
            self.servers.kill(dead)
            self.until("it goes on", lambda: self.sealed() > before, 90)
            self.servers.restart(dead)
            time.sleep(3)
        code = process.wait(240)
        self.assertEqual(0, code, self.err_text())
        self.compare(plain)

    def test_the_server_stays_away_and_comes_back(self):
        plain = plain_docs(DOCUMENTS)
        self.insert(plain)
        self.uri += "&serverSelectionTimeoutMS=8000"
        self.write_config()
        process = self.start("encrypt", "--max-docs-per-second", max(DOCUMENTS // 20, 50))
        self.until("some are done", lambda: self.sealed() > 0)
        for number in range(3):
            self.servers.kill(number)
        self.assertEqual(4, process.wait(240), self.err_text())
        self.assertIn("goes on from what is written", self.err_text())
        for number in range(3):
            self.servers.restart(number)
        self.servers.primary()
        done = self.run_job("encrypt")
        self.assertEqual((DOCUMENTS, 3 * DOCUMENTS, 0), (done.ns["documents"], done.ns["values"], done.ns["already"]))
        self.assertEqual(plain, [self.opened(d) for d in self.read()])
