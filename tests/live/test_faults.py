# SPDX-License-Identifier: Apache-2.0
"""Servers that fail in small ways: connections break, writes are not confirmed, rights go. A set of three members."""
import pymongo

from bson.raw_bson import RawBSONDocument

from live import LONG, LiveCase, count, plain_docs
from servers import Alone, OnThree

DOCUMENTS = count(2000, 100000, 600)


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


class OtherServers(LiveCase):
    def use(self, uri):
        self.client = pymongo.MongoClient(uri)
        self.addCleanup(self.client.close)
        name = self.database.name
        self.database, self.state = self.client[name], self.client[self.state_db]
        self.docs, self.key_vault = self.database["docs"], self.database["__keyVault"]
        self.uri = uri
        self.write_config()
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
