# SPDX-License-Identifier: Apache-2.0
"""What is looked at before the start: indexes by what the command does to them, which collections are a job's."""
import json

import bson

from live import LiveCase, plain_docs


class Indexes(LiveCase):
    def setUp(self):
        super().setUp()
        self.plain = plain_docs(20)
        self.insert(self.plain)

    def test_decrypt_minds_other_indexes_than_encrypt(self):
        self.run_job("encrypt")
        self.docs.create_index("b", unique=True)
        self.docs.create_index([("a", "text")])
        self.docs.create_index("z", partialFilterExpression={"b": {"$exists": True}})
        done = self.run_job("decrypt")
        self.assertIn("b_1: where values of b are equal", done.text)
        self.assertNotIn("search", done.text)
        self.assertEqual(self.plain, self.read())

    def test_equal_values_under_a_unique_index_fail_alone(self):
        self.docs.update_many({"_id": {"$in": [3, 4]}}, {"$set": {"b": "equal"}})
        plain = self.read()
        self.run_job("encrypt")
        self.docs.create_index("b", unique=True)
        done = self.run_job("decrypt", exit=1)
        self.assertEqual(1, done.ns["failed"])
        self.assertEqual(plain, [self.opened(d) for d in self.read()])
        self.assertEqual(1, sum(self.sealed_count(d) > 0 for d in self.read()))

    def test_documents_that_would_expire_once_they_are_decrypted(self):
        self.run_job("encrypt")
        self.docs.create_index("b", expireAfterSeconds=1000000)
        self.refused(*self.args("decrypt"), says=("b_1", "deleted", "--accept b"))
        self.run_job("decrypt", "--accept", "b")
        config = json.loads(self.path("config.json").read_text())
        del config["schemaMap"]
        self.path("config.json").write_text(json.dumps(config))
        self.assertIn("index b_1: documents whose date", self.run_job("decrypt", "--ns-include", self.ns).text)

    def test_wildcard_indexes_are_warned_of(self):
        self.docs.create_index("$**")
        self.docs.create_index("n.$**")
        self.docs.create_index("z.$**")
        done = self.run_job("encrypt")
        self.assertIn("index $**_1: random values of b", done.text)
        self.assertIn("index n.$**_1: random values of n.c", done.text)
        self.assertNotIn("index n.$**_1: random values of b", done.text)
        self.assertNotIn("z.$**", done.text)

    def test_a_text_index_on_everything(self):
        self.docs.create_index([("$**", "text")])
        self.refused(*self.args("encrypt"), says=("text search", "--accept a"))


class Collections(LiveCase):
    def test_state_kept_beside_the_data_hides_no_data(self):
        plain = plain_docs(20)
        self.insert(plain)
        self.run_job("encrypt")
        config = json.loads(self.path("config.json").read_text())
        del config["schemaMap"]
        config["checkpoint"] = self.database.name
        self.path("config.json").write_text(json.dumps(config))
        self.database["checkpoints"].insert_one({"_id": "somebody's"})
        done = self.run_job("decrypt", "--ns-include", f"{self.database.name}.*")
        self.assertEqual([self.ns], list(done.report["namespaces"]))
        self.assertEqual(plain, self.read())
        self.assertEqual([{"_id": "somebody's"}], list(self.database["checkpoints"].find()))


class Plan(LiveCase):
    def test_only_what_is_read_is_sampled(self):
        """The plan of documents that are large beside the schema's fields: its size is theirs."""
        self.insert([bson.encode({"_id": i, "a": "name", "rest": "x" * 100000}) for i in range(300)])
        self.database.command("profile", 2)
        done = self.run_job("encrypt")
        self.database.command("profile", 0)
        self.assertIn("about 30.0 MB -> 30.0 MB", done.text + done.out.decode())
        sampled = [p for p in self.database["system.profile"].find({"op": "command", "command.aggregate": "docs"})
                   if any("$sample" in stage for stage in p["command"]["pipeline"])
                   and p["command"]["pipeline"][0]["$sample"]["size"] == 500]
        self.assertTrue(sampled)
        self.assertLess(max(p["responseLength"] for p in sampled), 1000000)
