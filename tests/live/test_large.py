# SPDX-License-Identifier: Apache-2.0
"""Neighbours that do not fit into one reply of 16 MiB, in every kind of job."""
import bson

from live import LiveCase
from test_rewrap import VaultCase

MIB = 1 << 20


class Large(LiveCase):
    # Next to large ones, and small ones between them.
    SIZES = (9 * MIB, 9 * MIB, 15 * MIB, 10, MIB, 15 * MIB, 9 * MIB, 10)

    def setUp(self):
        super().setUp()
        self.plain = [bson.encode({"_id": i, "b": "x" * size, "a": f"name {i}"}) for i, size in enumerate(self.SIZES)]
        self.docs.insert_many([bson.decode(d) for d in self.plain[:4]])
        self.docs.insert_many([bson.decode(d) for d in self.plain[4:]])

    def figures(self, done):
        return done.ns["documents"], done.ns["values"], done.ns["failed"]

    def test_in_place_and_back(self):
        expected = (len(self.plain), 2 * len(self.plain), 0)
        self.assertEqual(expected, self.figures(self.run_job("encrypt", "--dry-run")))
        self.assertEqual(expected, self.figures(self.run_job("encrypt")))
        self.assert_closed()
        sealed = self.read()
        self.assertTrue(all(self.sealed_count(d) == 2 for d in sealed))
        done = self.run_job("verify")
        self.assertEqual([len(self.plain)] * 2, [p["authentic"] for p in done.ns["paths"].values() if p["authentic"]])
        self.assertEqual(expected, self.figures(self.run_job("decrypt")))
        self.assertEqual(self.plain, self.read())

    def test_elsewhere(self):
        other = self.client[self.database.name + "_to"]
        self.addCleanup(self.client.drop_database, other.name)
        base, _, query = self.uri.partition("?")
        done = self.run_job("encrypt", "--to", f"{base}{other.name}?{query}")
        self.assertEqual((len(self.plain), 2 * len(self.plain), 0), self.figures(done))
        self.assertEqual(self.plain, [self.opened(d) for d in self.read(other["docs"])])

    def test_several_ranges_each_go_to_their_end(self):
        self.docs.drop()
        small = [bson.encode({"_id": i, "a": f"name {i}"}) for i in range(100, 6100)]
        self.insert(small)
        for i in (-3, -2, 2999.5, 2999.6, 6101, 6102):
            self.docs.insert_one({"_id": i, "a": "x" * (9 * MIB)})
        done = self.run_job("encrypt")
        self.assertEqual((6006, 6006, 0), self.figures(done))
        self.assertEqual(0, self.docs.count_documents({"a": {"$type": "string"}}))


class LargeKeys(VaultCase):
    """keyAltNames may be of any length."""

    def setUp(self):
        super().setUp()
        self.fill(7)
        for i, doc in enumerate(self.key_vault.find({})):
            if i != 3:
                self.key_vault.update_one({"_id": doc["_id"]}, {"$set": {"keyAltNames": ["abcdefg"[i] * (9 * MIB)]}})

    def check(self, done):
        self.assertEqual(7, done.report["keys"]["rewrapped"])
        self.assertEqual({"local:new"}, self.providers())
        self.assertEqual(self.expected(), self.deks())
        self.assert_closed()

    def test_rewrap(self):
        self.check(self.run_job("rewrap", "--provider", "local:new"))
        self.keyturn("keys", "restore", self.backup(), "--config", "config.json", "--yes")
        self.assertEqual({"local:old"}, self.providers())

    def test_all_or_nothing(self):
        self.check(self.run_job("rewrap", "--provider", "local:new", "--all-or-nothing"))
