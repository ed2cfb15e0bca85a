# SPDX-License-Identifier: Apache-2.0
"""--query: the documents that it finds, and no others; whatever is wrong with it is said before the start."""
import json
import signal

import bson
from bson.max_key import MaxKey

from live import LiveCase, count, plain_docs

DOCUMENTS = count(3000, 100000, 900)
QUERY = json.dumps({"b": {"$mod": [3, 1]}})


class Query(LiveCase):
    # Of a field that is not encrypted, unlike that of QUERY.
    MEANT = json.dumps({"n.c.no": {"$mod": [3, 1]}})
    FIELDS = {"a": ("a", True, "string"), "b": ("b", False, None)}

    def setUp(self):
        super().setUp()
        self.plain = plain_docs(DOCUMENTS)

    def check(self):
        """Every third one is sealed, the others are as they were."""
        after = self.read()
        self.assertEqual(len(self.plain), len(after))
        for i, (before, now) in enumerate(zip(self.plain, after)):
            if i % 3 == 1:
                self.assertEqual((2, before), (self.sealed_count(now), self.opened(now)))
            else:
                self.assertEqual(before, now)

    def test_there_and_back(self):
        self.insert(self.plain)
        wanted = len(range(1, DOCUMENTS, 3))
        dry = self.run_job("encrypt", "--dry-run", "--query", self.MEANT)
        self.assertIn(f"{wanted:,} documents", dry.out.decode())
        self.assertEqual((wanted, 2 * wanted), (dry.ns["documents"], dry.ns["values"]))
        self.assertEqual(self.plain, self.read())
        done = self.run_job("encrypt", "--query", self.MEANT)
        self.assertEqual((wanted, 2 * wanted, 0), (done.ns["documents"], done.ns["values"], done.ns["failed"]))
        self.check()
        self.assert_closed()
        self.assertEqual(2 * wanted, self.run_job("verify", "--query", self.MEANT).ns["values"])
        self.run_job("verify", exit=5)
        done = self.run_job("decrypt", "--query", self.MEANT)
        self.assertEqual((wanted, wanted), (done.ns["documents"], done.ns["changed"]))
        self.assertEqual(self.plain, self.read())
        self.assert_closed()

    def test_a_query_for_what_is_encrypted(self):
        """What was sealed is found no longer, and yet the job goes on behind it."""
        self.insert(self.plain)
        done = self.run_job("encrypt", "--query", QUERY)
        self.assertEqual(len(range(1, DOCUMENTS, 3)), done.ns["documents"])
        self.check()
        self.assertEqual(0, self.run_job("encrypt", "--query", QUERY).ns["documents"])

    def test_a_killed_job_goes_on_with_the_same_query_alone(self):
        self.insert(self.plain)
        process = self.start("encrypt", "--query", self.MEANT, "--max-docs-per-second", max(DOCUMENTS // 6, 100))
        self.until("some are done", lambda: self.docs.find_one({"b": {"$type": "binData"}}), process=process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.refused(*self.args("encrypt"), says="other options")
        self.refused(*self.args("encrypt", "--query", QUERY), says="other options")
        done = self.run_job("encrypt", "--query", self.MEANT)
        self.assertTrue(done.report["resumed"])
        self.assertEqual((len(range(1, DOCUMENTS, 3)), 0), (done.ns["documents"], done.ns["already"]))
        self.check()
        self.assert_closed()

    def test_partitions_and_copies(self):
        self.insert(self.plain)
        other = self.client[self.database.name + "_to"]
        self.addCleanup(self.client.drop_database, other.name)
        base, _, query = self.uri.partition("?")
        self.run_job("encrypt", "--query", self.MEANT, "--to", f"{base}{other.name}?{query}")
        self.assertEqual(self.plain, self.read())
        self.assertEqual(self.plain[1::3], [self.opened(d) for d in self.read(other["docs"])])
        for i in range(3):
            self.run_job("encrypt", "--query", self.MEANT, "--partition", f"{i}/3")
        self.check()
        self.assert_closed()

    def test_the_last_id_and_neighbours_that_fill_a_reply(self):
        """Two documents together exceed a reply of 16 MiB; _id MaxKey is read by a find of its own."""
        big = [bson.encode({"_id": i, "a": "x" * 9_000_000, "b": i, "keep": i % 2 == 0}) for i in range(6)]
        last = [bson.encode({"_id": MaxKey(), "a": "x", "b": 7, "keep": keep}) for keep in (True, False)]
        for tail in last:
            self.docs.delete_many({})
            self.insert(big)
            self.insert([tail])
            query = json.dumps({"keep": True, "$expr": {"$eq": ["$keep", True]}})
            done = self.run_job("encrypt", "--query", query)
            keeps = bson.decode(tail)["keep"]
            self.assertEqual(3 + keeps, done.ns["documents"])
            after = self.read()
            self.assertEqual([2, 0, 2, 0, 2, 0, 2 * keeps], [self.sealed_count(d) for d in after])
            self.assertEqual([*big, tail], [self.opened(d) for d in after])

    def test_what_the_server_cannot_do(self):
        self.insert(self.plain[:10])
        self.docs.create_index([("z", "text")])
        for query, says in (({"$foo": 1}, "unknown top level operator"), ({"b": {"$bar": 1}}, "unknown operator"),
                            ({"$text": {"$search": "kept"}}, "--query"),
                            ({"p": {"$near": [0, 0]}}, "--query"), ({"$where": "1"}, "$where"), ({"$and": 1}, "$and")):
            for command in ("encrypt", "verify"):
                self.refused(*self.args(command, "--query", json.dumps(query)), says=("--query", says))
        self.refused(*self.args("encrypt", "--query", "[1"), says="--query")
        self.assertEqual(self.plain[:10], self.read())
        self.assertEqual([], self.state_docs())

    def test_no_value_of_a_document_is_told(self):
        """What the server says of an expression that fails quotes the value."""
        self.insert(self.plain[:10])
        self.docs.insert_one({"_id": 1000, "ssn": "secret 4711"})
        query = json.dumps({"$expr": {"$gt": [{"$toInt": "$ssn"}, 5]}})
        for command in ("encrypt", "verify"):
            self.assertNotIn("4711", self.refused(*self.args(command, "--query", query), says="ConversionFailure").text)

    def test_files_have_no_query(self):
        self.path("docs.bson").write_bytes(b"".join(self.plain[:10]))
        self.path("keyvault.bson").write_bytes(b"".join(self.vault.docs.values()))
        self.refused("encrypt", "--config", "config.json", "--key-vault", "keyvault.bson", "--from", "docs.bson",
                     "--to", "out.bson", "--query", "{}", says=("--query", "--only"))
        self.write_config(query={})
        self.refused("encrypt", "--config", "config.json", "--key-vault", "keyvault.bson", "--from", "docs.bson",
                     "--to", "out.bson", says="--query")
        self.refused(*self.args("rewrap", "--query", "{}"), says="--query")

    def test_nothing_is_found(self):
        self.insert(self.plain[:50])
        self.assertEqual(0, self.run_job("encrypt", "--query", '{"b": -1}').ns["documents"])
        self.assertEqual(self.plain[:50], self.read())
        self.assert_closed()

    def test_counting_takes_too_long(self):
        """The plan then says so, and the job does the same."""
        self.insert(self.plain[:300])
        fail = {"configureFailPoint": "maxTimeAlwaysTimeOut"}
        self.addCleanup(self.client.admin.command, {**fail, "mode": "off"})
        self.client.admin.command({**fail, "mode": "alwaysOn"})
        done = self.run_job("encrypt", "--query", self.MEANT)
        self.assertIn("counting what --query finds takes too long", done.text)
        self.assertEqual(100, done.ns["documents"])
