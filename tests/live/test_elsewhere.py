# SPDX-License-Identifier: Apache-2.0
"""Documents that are written into another, empty collection: --from and --to are servers."""
import bson

from live import LiveCase, count, plain_docs


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

    def test_a_capped_collection_can_be_copied(self):
        self.docs.drop()
        self.database.create_collection("docs", capped=True, size=1 << 22)
        self.insert(self.plain[:500])
        self.run_job("encrypt", "--to", self.to)
        self.assertEqual(self.plain[:500], [self.opened(d) for d in self.there()])
