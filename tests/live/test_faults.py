# SPDX-License-Identifier: Apache-2.0
"""Servers that fail: primaries die, connections break, writes are not confirmed. A set of three members."""
import threading
import time
import unittest

import pymongo
from pymongo.errors import PyMongoError

from live import LONG, SANITIZED, LiveCase, count, plain_docs
from servers import Alone, Set

DOCUMENTS = count(2000, 100000, 600)


class OnThree(LiveCase):
    @classmethod
    def setUpClass(cls):
        cls.servers = Set(3)
        cls.addClassCleanup(cls.servers.close)

    def setUp(self):
        self.URI = self.servers.uri
        super().setUp()


class Faults(OnThree):
    def setUp(self):
        super().setUp()
        self.plain = plain_docs(DOCUMENTS)
        self.insert(self.plain)

    def fail_point(self, mode, **data):
        self.client.admin.command({"configureFailPoint": "failCommand", "mode": mode,
                                   "data": {"appName": "keyturn", **data}})
        self.addCleanup(self.off)

    def off(self):
        self.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    def compare(self, done):
        self.assertEqual((DOCUMENTS, 3 * DOCUMENTS, 0), (done.ns["documents"], done.ns["values"], done.ns["already"]))
        self.assertEqual(self.plain, [self.opened(d) for d in self.read()])
        self.assert_closed()

    def with_fault(self, mode, **data):
        self.fail_point(mode, **data)
        done = self.run_job("encrypt")
        self.compare(done)

    def test_connections_that_break_at_commit(self):
        self.with_fault({"times": 6}, failCommands=["commitTransaction"], closeConnection=True)

    def test_connections_that_break_at_update(self):
        self.with_fault({"times": 6}, failCommands=["update"], closeConnection=True)

    def test_connections_that_break_at_find(self):
        self.with_fault({"times": 6}, failCommands=["find"], closeConnection=True)

    def test_a_write_concern_that_is_not_met_in_time(self):
        self.with_fault({"times": 5}, failCommands=["commitTransaction"],
                        writeConcernError={"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting timed out"})

    def test_not_primary(self):
        self.with_fault({"times": 5}, failCommands=["update", "commitTransaction"], errorCode=10107)

    def test_transactions_that_are_gone(self):
        self.with_fault({"times": 5}, failCommands=["commitTransaction"], errorCode=251,
                        errorLabels=["TransientTransactionError"])

    def test_gone_without_a_label_is_asked_of_the_checkpoint(self):
        self.with_fault({"times": 3}, failCommands=["commitTransaction"], errorCode=251, errorLabels=[])

    def test_slow(self):
        self.with_fault({"times": 10}, failCommands=["update", "commitTransaction"], blockConnection=True,
                        blockTimeMS=400)

    def test_a_lock_that_is_waited_for(self):
        self.with_fault({"times": 8}, failCommands=["update"], errorCode=24,
                        errorLabels=["TransientTransactionError"])

    def test_a_right_that_is_taken_away(self):
        self.fail_point("alwaysOn", failCommands=["update"], errorCode=13)
        done = self.run_job("encrypt", exit=4)
        self.assertIn("error 13", done.text)
        self.off()
        self.compare(self.run_job("encrypt"))


class Failover(OnThree):
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
        self.assertEqual(plain, [self.opened(d) for d in self.read()])
        self.assertTrue(all(self.sealed_count(d) == 3 for d in self.read()))
        self.assert_closed()

    def sealed(self):
        try:
            return self.docs.count_documents({"b": {"$type": "binData"}})
        except PyMongoError:
            return 0

    def test_the_server_stays_away_and_comes_back(self):
        plain = plain_docs(DOCUMENTS)
        self.insert(plain)
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


class OtherServers(LiveCase):
    def use(self, uri):
        self.client = pymongo.MongoClient(uri)
        self.addCleanup(self.client.close)
        name = self.database.name
        self.database, self.state = self.client[name], self.client[self.state_db]
        self.docs, self.key_vault = self.database["docs"], self.database["__keyVault"]
        self.uri = uri
        self.write_config()
        from bson.raw_bson import RawBSONDocument
        self.raw_collection(self.key_vault).insert_many([RawBSONDocument(d) for d in self.vault.docs.values()])

    def test_a_standalone_server_is_refused_for_writing_and_read_for_verify(self):
        server = Alone()
        self.addCleanup(server.close)
        self.use(server.uri)
        self.insert(plain_docs(10))
        self.refused(*self.args("encrypt"), says=("standalone", "--replSet"))
        self.run_job("verify", exit=5)
        self.run_job("encrypt", "--dry-run")


if LONG:
    print(f"faults: {DOCUMENTS} documents")
