# SPDX-License-Identifier: Apache-2.0
"""Documents that are written into another, empty collection: --from and --to are servers."""
import bson
from bson.raw_bson import RawBSONDocument

import pymongo
from live import LiveCase, count, plain_docs
from servers import Alone


class Elsewhere(LiveCase):
    def setUp(self):
        super().setUp()
        self.other = self.client[self.database.name + "_to"]
        self.addCleanup(self.client.drop_database, self.other.name)
        base, _, query = self.uri.partition("?")
        self.to = f"{base}{self.other.name}?{query}"
        self.plain = plain_docs(count(4000, 50000, 1000))
        self.insert(self.plain)

    def there(self):
        return self.read(self.other["docs"])

    def test_encrypt_there_and_decrypt_back(self):
        done = self.run_job("encrypt", "--to", self.to)
        self.assertEqual((len(self.plain), 3 * len(self.plain)), (done.ns["documents"], done.ns["values"]))
        self.assertEqual(self.plain, self.read())
        self.assertEqual(self.plain, [self.opened(d) for d in self.there()])
        self.assertTrue(all(self.sealed_count(d) == 3 for d in self.there()))
        self.assert_closed()

    def test_a_target_that_holds_documents_or_is_the_source_is_refused(self):
        self.other["docs"].insert_one({"_id": 1})
        self.refused(*self.args("encrypt", "--to", self.to), says="holds documents")
        base, _, query = self.uri.partition("?")
        self.refused(*self.args("encrypt", "--to", f"{base}{self.database.name}?{query}"), says="in place")
        self.assertEqual(self.plain, self.read())
        self.assertEqual([{"_id": 1}], list(self.other["docs"].find()))

    def test_a_document_that_fails_is_copied_as_it_is(self):
        self.insert([bson.encode({"_id": "bad", "a": None, "b": 1})])
        done = self.run_job("encrypt", "--to", self.to, exit=1)
        self.assertEqual(1, done.ns["failed"])
        self.assertEqual({"_id": "bad", "a": None, "b": 1}, self.other["docs"].find_one({"_id": "bad"}))
        self.assertEqual(self.plain, [self.opened(d) for d in self.there()[:-1]])

    def test_killed_and_gone_on(self):
        seen = []
        for _ in range(count(4, 40)):
            before = self.other["docs"].count_documents({})
            process = self.start("encrypt", "--to", self.to, "--max-docs-per-second", len(self.plain))
            self.until("some more are there", lambda: self.other["docs"].count_documents({}) > before or
                       process.poll() is not None)
            process.kill()
            if process.wait() == 0:
                break
            seen.append(self.other["docs"].count_documents({}))
        self.assertTrue(any(0 < n < len(self.plain) for n in seen), seen)
        # A kill between the last commit and the end of the process finds the job closed.
        if process.returncode and self.state_docs():
            self.run_job("encrypt", "--to", self.to)
        self.assertEqual(self.plain, [self.opened(d) for d in self.there()])
        self.assertEqual(self.plain, self.read())
        self.assert_closed()

    def stopped_midway(self, *more):
        process = self.start("encrypt", "--max-docs-per-second", len(self.plain) // 2, *more)
        self.until("a range is at work", lambda: self.state["checkpoints"].find_one(
            {"_id.is": "range", "at": {"$ne": b""}}), process=process)
        process.terminate()
        self.assertEqual(3, process.wait(60), self.err_text())

    def test_another_job_does_not_go_on_with_it(self):
        """Neither one in place, nor one to another database: each would leave half of the documents out."""
        self.stopped_midway("--to", self.to)
        there = self.there()
        self.refused(*self.args("encrypt"), says="other options")
        self.refused(*self.args("encrypt", "--to", self.to.replace("_to?", "_to2?")), says="other options")
        self.assertEqual((self.plain, there), (self.read(), self.there()))
        done = self.run_job("encrypt", "--to", self.to)
        self.assertTrue(done.report["resumed"])
        self.assertEqual(self.plain, [self.opened(d) for d in self.there()])
        self.assert_closed()

    def test_a_collection_made_anew_is_another(self):
        """What an unfinished job says of the one that was dropped is not true of it."""
        self.stopped_midway()
        self.docs.drop()
        self.insert(self.plain)
        self.refused(*self.args("encrypt"), says="other options")
        self.run_job("encrypt", "--forget")
        self.assertTrue(all(self.sealed_count(d) == 3 for d in self.read()))
        self.assert_closed()

    def test_from_another_cluster(self):
        """A dry run reads there, too."""
        server = Alone()
        self.addCleanup(server.close)
        with pymongo.MongoClient(server.uri) as client:
            self.raw_collection(client[self.database.name]["docs"]).insert_many(
                [RawBSONDocument(d) for d in self.plain[:500]])
        self.docs.drop()
        self.write_config(**{"from": server.uri, "keyVault": self.uri})
        dry = self.run_job("encrypt", "--to", self.to, "--dry-run")
        done = self.run_job("encrypt", "--to", self.to)
        for figure in ("documents", "values", "failed"):
            self.assertEqual(done.ns[figure], dry.ns[figure], figure)
        self.assertEqual(500, done.ns["documents"])
        self.assertEqual(self.plain[:500], [self.opened(d) for d in self.there()])

    def test_a_capped_collection_can_be_copied(self):
        self.docs.drop()
        self.database.create_collection("docs", capped=True, size=1 << 22)
        self.insert(self.plain[:500])
        self.run_job("encrypt", "--to", self.to)
        self.assertEqual(self.plain[:500], [self.opened(d) for d in self.there()])
