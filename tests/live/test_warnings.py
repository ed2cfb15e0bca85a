# SPDX-License-Identifier: Apache-2.0
"""What the plan and the summary say, and warnings that do not stop a job. Not tried here, as no such server is there:
a MongoDB older than 4.4, and a shard key."""
import uuid

import bson
from bson.binary import Binary

from live import LiveCase, plain_docs


class Said(LiveCase):
    def setUp(self):
        super().setUp()
        self.plain = plain_docs(20)

    def test_a_collection_of_queryable_encryption_is_refused(self):
        self.database.command("create", "docs", encryptedFields={"fields": [
            {"path": "b", "bsonType": "string", "keyId": Binary(uuid.uuid4().bytes, 4)}]})
        self.refused(*self.args("encrypt"), says=(self.ns, "uses Queryable Encryption"))
        self.assertNotIn(self.state_db, self.client.list_database_names())

    def test_a_validator_that_would_refuse_some(self):
        self.insert(self.plain)
        self.database.command("collMod", "docs", validator={"$or": [{"_id": {"$lt": 15}}, {"b": {"$type": "int"}}]})
        done = self.run_job("encrypt", exit=1)
        self.assertIn("its validator would refuse 5 of 20 documents that it takes now: these will fail",
                      " ".join(done.text.split()))
        self.assertEqual(5, done.ns["failed"])

    def test_a_namespace_of_the_schema_that_is_not_there(self):
        self.insert(self.plain)
        other = f"{self.database.name}.other"
        self.write_config(schemaMap={self.ns: self.schema(), other: self.schema()})
        done = self.run_job("encrypt")
        self.assertIn(f"the schema names {other}, which is not there", " ".join(done.text.split()))
        self.assertEqual(20, done.report["namespaces"][self.ns]["documents"])

    def test_the_plan_and_the_summary(self):
        self.insert(self.plain + [bson.encode({"_id": "bad", "a": None})])
        done = self.run_job("encrypt", exit=1)
        out = done.out.decode()
        for words in ("about 1 document cannot be done", "clients without this schema still write plaintext",
                      "  time    about ", "(guessed from reading 21 documents, nothing written)", "  oplog   about ", "look at its window, and at what change streams have to carry",
                      "  plain   still in the oplog, in backups and in free pages"):
            self.assertIn(words, out)
        out = self.run_job("decrypt").out.decode()
        self.assertNotIn("clients without this schema", out)
        self.assertNotIn("  plain ", out)

    def test_a_copy_takes_the_collation_alone(self):
        self.database.create_collection("docs", collation={"locale": "en", "strength": 2})
        self.insert(self.plain)
        self.docs.create_index("z")
        other = self.client[self.database.name + "_to"]
        self.addCleanup(self.client.drop_database, other.name)
        base, _, query = self.uri.partition("?")
        done = self.run_job("encrypt", "--to", f"{base}{other.name}?{query}")
        self.assertIn("indexes and options other than the collation are not copied", " ".join(done.text.split()))
        self.assertEqual(2, other["docs"].options()["collation"]["strength"])
        self.assertEqual(["_id_"], [i["name"] for i in other["docs"].list_indexes()])

    def stop_midway(self):
        process = self.start("encrypt", "--max-docs-per-second", 100)
        self.until("it began", lambda: self.docs.find_one({"b": {"$type": "binData"}}), process=process)
        process.terminate()
        self.assertEqual(3, process.wait(60))

    def assert_forgotten(self):
        self.run_job("encrypt", "--forget")
        self.assertEqual(0, self.docs.count_documents({"b": {"$type": "int"}}))
        self.assert_closed()

    def test_a_damaged_checkpoint(self):
        self.insert(plain_docs(2000))
        self.stop_midway()
        self.state["checkpoints"].update_many({"_id.is": "range"}, {"$set": {"counts": {"x": "y"}}})
        done = self.keyturn(*self.args("encrypt"), exit=4)
        self.assertIn("--forget begins anew", " ".join(done.text.split()))
        self.assert_forgotten()

    def test_a_job_that_cannot_be_read_can_be_forgotten(self):
        for change, status, says in (({"$set": {"keyturn": 99}}, 2, "by another version of keyturn"),
                                     ({"$unset": {"bounds": 1}}, 4, "is damaged; --forget drops it"),
                                     ({"$set": {"bounds": ["x"]}}, 4, "is damaged; --forget drops it")):
            self.docs.delete_many({})
            self.insert(plain_docs(2000))
            self.stop_midway()
            self.state["checkpoints"].update_one({"_id.is": "job"}, change)
            done = self.keyturn(*self.args("encrypt"), exit=status)
            self.assertIn(says, " ".join(done.text.split()))
            self.assert_forgotten()
