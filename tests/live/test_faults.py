# SPDX-License-Identifier: Apache-2.0
"""Servers that fail in small ways: connections break, writes are not confirmed, rights go. A set of three members. The
fail points are set while lanes are at work, on their namespace, and the server says how often each was met."""
import json

from bson.raw_bson import RawBSONDocument

import pymongo
from live import LONG, LiveCase, count, heavy, plain_docs
from servers import Alone, OnThree
from vaults import VaultCase

DOCUMENTS = count(800, 100000, 400)
KEYS = count(1200, 20000, 600)
MANY = count(3, 30)  # connections that break: each makes the driver wait for a heartbeat


class FailPoints(OnThree):
    def fail_point(self, mode, **data):
        """On the primary; commitTransaction has no namespace, everything else stands beside the one that is changed."""
        if "commitTransaction" not in data["failCommands"]:
            data["namespace"] = self.changed
        self.addCleanup(self.off)
        self.met = self.client.admin.command({"configureFailPoint": "failCommand", "mode": mode,
                                              "data": {"appName": "keyturn", **data}})["count"]

    def off(self):
        """How often it was met since it was set."""
        return self.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})["count"] - self.met

    def finish_with_fault(self, process, times):
        self.assertEqual(0, process.wait(120), self.err_text())
        self.assertGreaterEqual(self.off(), times)  # the server lets one more through when two meet it at once
        self.compare(json.loads(self.path("report.json").read_text()))


class OfDocuments(FailPoints):
    def setUp(self):
        super().setUp()
        self.changed = self.ns
        self.plain = plain_docs(DOCUMENTS)
        self.insert(self.plain)

    def done(self):
        return self.docs.count_documents({"b": {"$type": "binData"}})

    def start_slowly(self):
        process = self.start("encrypt", "--max-docs-per-second", max(DOCUMENTS, 1000), "--report", "report.json")
        self.until("a lane is at work", lambda: self.done() > 0, process=process)
        return process

    def with_fault(self, times, failCommands, **data):
        process = self.start_slowly()
        self.fail_point({"times": times}, failCommands=failCommands, **data)
        self.finish_with_fault(process, times)

    def compare(self, report):
        (ns,) = report["namespaces"].values()
        self.assertEqual((DOCUMENTS, 3 * DOCUMENTS, 0), (ns["documents"], ns["values"], ns["already"]))
        self.assertEqual(self.plain, [self.opened(d) for d in self.read()])
        self.assert_closed()


class Documents(OfDocuments):
    def test_connections_that_break_at_commit(self):
        self.with_fault(MANY, ["commitTransaction"], closeConnection=True)

    def test_connections_that_break_at_update(self):
        self.with_fault(MANY, ["update"], closeConnection=True)

    def test_connections_that_break_at_find(self):
        self.with_fault(MANY, ["find"], closeConnection=True)

    def test_a_write_concern_that_is_not_met_in_time(self):
        self.with_fault(5, ["commitTransaction"], writeConcernError={
            "code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting timed out"})

    def test_not_primary_at_update(self):
        self.with_fault(5, ["update"], errorCode=10107)

    def test_not_primary_at_commit(self):
        self.with_fault(5, ["commitTransaction"], errorCode=10107)

    def test_transactions_that_are_gone(self):
        self.with_fault(5, ["commitTransaction"], errorCode=251, errorLabels=["TransientTransactionError"])

    def test_gone_without_a_label_is_asked_of_the_checkpoint(self):
        self.with_fault(3, ["commitTransaction"], errorCode=251, errorLabels=[])

    def test_slow(self):
        self.with_fault(MANY, ["update"], blockConnection=True, blockTimeMS=300)

    def test_a_lock_that_is_waited_for(self):
        self.with_fault(8, ["update"], errorCode=24, errorLabels=["TransientTransactionError"])

    def test_a_right_that_is_taken_away_midway(self):
        process = self.start_slowly()
        self.fail_point("alwaysOn", failCommands=["update"], errorCode=13)
        self.assertEqual(4, process.wait(60), self.err_text())
        self.assertGreater(self.off(), 0)
        self.assertIn("writing documents: the server refuses: error 13", self.err_text())
        before = self.done()
        self.assertTrue(0 < before < DOCUMENTS, before)
        done = self.run_job("encrypt")
        self.assertTrue(done.report["resumed"])
        self.compare(done.report)


class NextPrimary(OfDocuments):
    def test_a_commit_is_asked_again_of_the_next_primary(self):
        """What was committed is never confirmed by the primary, which then steps down: the next one knows."""
        process = self.start_slowly()
        old = self.servers.primary()
        with self.servers.direct(old) as first:
            fail = {"configureFailPoint": "failCommand"}
            self.addCleanup(lambda: self.servers.step_up(0))
            met = first.admin.command({**fail, "mode": "alwaysOn", "data": {
                "appName": "keyturn", "failCommands": ["commitTransaction"],
                "writeConcernError": {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting timed out"}}})["count"]
            try:
                first.admin.command("waitForFailPoint", "failCommand", timesEntered=met + 2, maxTimeMS=30000)
                self.assertLess(self.done(), DOCUMENTS)
                first.admin.command("replSetStepDown", 30, secondaryCatchUpPeriodSecs=10)
                self.assertEqual(0, process.wait(120), self.err_text())
                self.assertNotEqual(old, self.servers.primary())
            finally:
                first.admin.command({**fail, "mode": "off"})
        self.compare(json.loads(self.path("report.json").read_text()))


@heavy
class Keys(FailPoints, VaultCase):
    """A rewrap has no pace, so the fail points are set before; nothing but lanes updates and commits there."""

    def setUp(self):
        super().setUp()
        self.changed = f"{self.database.name}.__keyVault"
        self.fill(KEYS)

    def done(self):
        return self.key_vault.count_documents({"masterKey.provider": "local:new"})

    def with_fault(self, times, failCommands, **data):
        self.fail_point({"times": times}, failCommands=failCommands, **data)
        self.finish_with_fault(self.start("rewrap", "--provider", "local:new", "--report", "report.json"), times)

    def compare(self, report):
        self.assertEqual((KEYS, 0), (report["keys"]["rewrapped"], report["keys"]["failed"]))
        self.assertEqual(self.expected(), self.deks())
        self.assertEqual({"local:new"}, self.providers())
        self.assert_closed()

    def test_connections_that_break_at_commit(self):
        self.with_fault(MANY, ["commitTransaction"], closeConnection=True)

    def test_connections_that_break_at_find(self):
        """The keys are looked at before lanes begin: they are slowed down until one is at work."""
        self.fail_point("alwaysOn", failCommands=["commitTransaction"], blockConnection=True, blockTimeMS=300)
        process = self.start("rewrap", "--provider", "local:new", "--report", "report.json", "--threads", 2)
        self.until("a lane is at work", lambda: self.done() > 0, process=process)
        self.fail_point({"times": MANY}, failCommands=["find"], closeConnection=True)
        self.assertLess(self.done(), KEYS)
        self.finish_with_fault(process, MANY)

    def test_not_primary_at_update(self):
        self.with_fault(5, ["update"], errorCode=10107)

    def test_gone_without_a_label_is_asked_of_the_checkpoint(self):
        self.with_fault(3, ["commitTransaction"], errorCode=251, errorLabels=[])

    def test_a_right_that_is_taken_away_midway(self):
        self.fail_point({"skip": 2}, failCommands=["update"], errorCode=13)
        self.run_job("rewrap", "--provider", "local:new", exit=4)
        self.assertGreater(self.off(), 0)
        self.assertTrue(0 < self.done() < KEYS)
        self.assertEqual(self.expected(), self.deks())
        done = self.run_job("rewrap", "--provider", "local:new")
        self.assertTrue(done.report["resumed"])
        self.compare(done.report)


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
    print(f"faults: {DOCUMENTS} documents, {KEYS} keys")
