# SPDX-License-Identifier: Apache-2.0
"""What a batch means for others while it is open, and single documents that the server or the format refuses: they are
listed, and all others are done."""
import json
import threading
import time

import bson
from pymongo.errors import OperationFailure

import pymongo
from live import LiveCase, count, plain_docs, rawbson

LIMIT = 16 << 20
OPEN_MS = 1500


class Schemaless(LiveCase):
    def without_schema(self):
        settings = json.loads(self.path("config.json").read_text())
        del settings["schemaMap"]
        self.path("config.json").write_text(json.dumps(settings))


class OpenBatch(LiveCase):
    def setUp(self):
        super().setUp()
        self.insert(plain_docs(100))
        fail = {"configureFailPoint": "failCommand"}
        self.addCleanup(self.client.admin.command, {**fail, "mode": "off"})
        met = self.client.admin.command({**fail, "mode": {"times": 1}, "data": {
            "appName": "keyturn", "failCommands": ["commitTransaction"], "blockConnection": True,
            "blockTimeMS": OPEN_MS}})["count"]
        self.job = self.start("encrypt", "--threads", 1)
        self.client.admin.command("waitForFailPoint", "failCommand", timesEntered=met + 1, maxTimeMS=30000)

    def finish(self):
        self.assertEqual(0, self.job.wait(60), self.err_text())
        self.assertTrue(all(self.sealed_count(d) == 3 for d in self.read()))

    def test_a_transaction_of_the_application_gets_the_transient_error_at_once(self):
        begun = time.monotonic()
        with self.client.start_session() as session, self.assertRaises(OperationFailure) as raised:
            session.start_transaction()
            self.docs.update_one({"_id": 0}, {"$set": {"z": "theirs"}}, session=session)
        self.assertLess(time.monotonic() - begun, OPEN_MS / 2000)
        self.assertEqual(112, raised.exception.code)
        self.assertTrue(raised.exception.has_error_label("TransientTransactionError"))
        with self.client.start_session() as session:
            session.with_transaction(lambda s: self.docs.update_one({"_id": 0}, {"$set": {"z": "theirs"}}, session=s))
        self.finish()
        self.assertEqual("theirs", self.docs.find_one({"_id": 0})["z"])

    def test_a_plain_write_waits_and_then_succeeds(self):
        begun = time.monotonic()
        done = self.docs.update_one({"_id": 0}, {"$set": {"z": "theirs"}})
        waited = time.monotonic() - begun
        self.assertEqual(1, done.modified_count)
        self.assertTrue(OPEN_MS / 4000 < waited < OPEN_MS / 1000 + 4, waited)
        self.finish()
        self.assertEqual("theirs", self.docs.find_one({"_id": 0})["z"])


class Neighbours(Schemaless):
    def test_indexes_are_made_and_dropped_meanwhile(self):
        docs = plain_docs(count(2000, 20000, 600))
        self.insert(docs)
        stop, made = threading.Event(), [0]

        def change_indexes():
            with pymongo.MongoClient(self.uri) as client:
                theirs = client[self.database.name]["docs"]
                while not stop.is_set():
                    theirs.create_index("z")
                    theirs.drop_index("z_1")
                    made[0] += 1

        thread = threading.Thread(target=change_indexes)
        thread.start()
        try:
            done = self.run_job("encrypt", "--max-docs-per-second", len(docs) // 2)
        finally:
            stop.set()
            thread.join()
        self.assertGreater(made[0], 3)
        self.assertEqual((len(docs), 3 * len(docs), 0), (done.ns["documents"], done.ns["values"], done.ns["already"]))
        self.assertEqual(docs, [self.opened(d) for d in self.read()])
        self.assert_closed()

    def test_the_collections_of_the_state_are_no_part_of_a_job(self):
        self.insert(plain_docs(50))
        self.run_job("encrypt")
        theirs = {"_id": "theirs", "b": self.docs.find_one({"_id": 1})["b"]}
        self.without_schema()
        for name in ("checkpoints", "failures"):
            self.state[name].insert_one(theirs)
        done = self.run_job("decrypt", "--ns-include", f"{self.database.name}*")
        self.assertEqual([self.ns], list(done.report["namespaces"]))
        for name in ("checkpoints", "failures"):
            self.assertEqual([theirs], list(self.state[name].find({})))
        self.assertEqual(plain_docs(50), self.read())


class Refused(Schemaless):
    """Single documents that cannot be changed."""

    def refuse(self, docs, word, command="encrypt"):
        """All others are done; the reason of each has that word."""
        others = [d for d in self.read() if d not in docs]
        done = self.run_job(*command.split(), exit=1)
        self.assertEqual((len(docs), len(docs) + len(others)), (done.ns["failed"], done.ns["documents"]))
        lines = [json.loads(line) for line in self.path(f"{self.ns}-failed.ndjson").read_text().splitlines()]
        self.assertEqual({bson.decode(d)["_id"] for d in docs}, {int(line["_id"]["$numberInt"]) for line in lines})
        self.assertTrue(all(word in line["reason"] for line in lines), lines)
        after = {rawbson.fields(d)["_id"]: d for d in self.read()}
        for raw in docs:
            self.assertEqual(raw, after[rawbson.fields(raw)["_id"]])
        for raw in others:
            self.assertEqual(self.opened(raw), self.opened(after[rawbson.fields(raw)["_id"]]))
        self.assert_closed()
        return [after[rawbson.fields(d)["_id"]] for d in others]

    def test_a_value_that_a_unique_index_holds_already(self):
        self.insert(plain_docs(3))
        self.run_job("encrypt")
        held = self.docs.find_one({"_id": 1})["a"]
        self.docs.delete_many({})
        self.docs.create_index("a", unique=True)
        twice = bson.encode({"_id": 1, "a": "name 1"})
        self.insert(plain_docs(300, first=1000) + [twice, bson.encode({"_id": 5, "a": held})])
        after = self.refuse([twice], "a unique index holds the new value")
        self.assertEqual([1] + 300 * [3], list(map(self.sealed_count, after)))

    def test_a_document_that_would_grow_over_the_limit(self):
        empty = len(bson.encode({"_id": 1, "a": "name", "z": ""}))
        large, fits = (bson.encode({"_id": n, "a": "name", "z": "x" * (LIMIT - empty - room)}) for n, room in (
            (1, 20), (2, 1000)))
        self.insert(plain_docs(300, first=1000) + [large, fits])
        after = self.refuse([large], "16 MiB")
        self.assertEqual([1] + 300 * [3], list(map(self.sealed_count, after)))

    def test_names_that_no_update_can_name(self):
        """A schema with a dot in a name is refused; without a schema, decrypt finds what stands there."""
        self.insert(plain_docs(300, first=1000))
        self.run_job("encrypt")
        sealed = self.docs.find_one({"_id": 1000})["b"]
        named = [bson.encode({"_id": n, "n": {name: sealed}}) for n, name in enumerate(("p.q", "$d", ""))]
        self.insert(named)
        self.without_schema()
        after = self.refuse(named, "an update cannot name", f"decrypt --ns-include {self.ns}")
        self.assertEqual(plain_docs(300, first=1000), after)
