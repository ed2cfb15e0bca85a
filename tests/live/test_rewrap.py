# SPDX-License-Identifier: Apache-2.0
"""Key vaults on a server: rewrapped beside others who change it, and put back."""
import os
import threading
import time

import bson
from bson.binary import Binary
from bson.raw_bson import RawBSONDocument

import pymongo
from live import SANITIZED, LiveCase, Vault, count, rawbson


class Rewrap(LiveCase):
    KEYS = ()

    def fill(self, number):
        vault = Vault([f"key {i}" for i in range(number)])
        self.vault = vault
        self.write_config()
        self.put(vault.docs.values())

    def put(self, docs):
        docs = [RawBSONDocument(d) for d in docs]
        for at in range(0, len(docs), 5000):
            self.raw_collection(self.key_vault).insert_many(docs[at:at + 5000])

    def write_config(self, schema=None, **more):
        super().write_config({"bsonType": "object"}, **more)
        import json
        config = json.loads(self.path("config.json").read_text())
        config["keyVault"] = config.pop("from")
        del config["schemaMap"]
        self.path("config.json").write_text(json.dumps(config))

    def keys(self):
        return {rawbson.fields(d)["_id"][1][5:]: d for d in self.read(self.key_vault)}

    def deks(self):
        return {key_id: self.vault.open_key(doc) for key_id, doc in self.keys().items()}

    def providers(self):
        return {d["masterKey"]["provider"] for d in self.key_vault.find({})}

    def expected(self):
        return {self.vault.ids[name]: dek for name, dek in self.vault.deks.items()}

    def backup(self):
        (name,) = [p for p in self.folder.iterdir() if p.name.startswith("rewrap-")]
        return name

    def test_every_key_moves_and_opens_to_the_same(self):
        self.fill(count(3000, 100000, 600))
        before = self.keys()
        done = self.run_job("rewrap", "--provider", "local:new")
        self.assertEqual(len(before), done.report["keys"]["rewrapped"])
        self.assertEqual(len(before), done.report["keys"]["proven"])
        self.assertEqual([len(before)], [c["rewrapped"] for c in done.report["keys"]["cmks"]])
        self.assertEqual(self.expected(), self.deks())
        self.assertEqual({"local:new"}, self.providers())
        for key_id, doc in self.keys().items():
            old, new = rawbson.fields(before[key_id]), rawbson.fields(doc)
            self.assertEqual(list(old), list(new))
            self.assertNotEqual(old["keyMaterial"], new["keyMaterial"])
            self.assertGreater(new["updateDate"][1], old["updateDate"][1])
            for name in set(old) - {"keyMaterial", "masterKey", "updateDate"}:
                self.assertEqual(old[name], new[name])
        self.assert_closed()
        self.assertEqual(0o600, self.backup().stat().st_mode & 0o777)
        entries = bson.decode_all(self.backup().read_bytes())
        self.assertEqual(len(before), len({bytes(e["_id"]) for e in entries}))
        for raw in rawbson.split(self.backup().read_bytes()):
            fields = rawbson.fields(raw)
            self.assertEqual(before[fields["_id"][1][5:]], fields["old"][1])

    def test_without_a_provider_each_stays_under_its_own(self):
        self.fill(40)
        self.vault.docs.clear()
        self.vault.add("other", "local:new")
        self.put(self.vault.docs.values())
        before = self.keys()
        self.run_job("rewrap")
        self.assertEqual(self.expected(), self.deks())
        self.assertEqual({"local:new", "local:old"}, self.providers())
        self.assertTrue(all(before[i] != d for i, d in self.keys().items()))

    def test_a_dry_run_touches_nothing(self):
        self.fill(50)
        before = self.keys()
        done = self.run_job("rewrap", "--provider", "local:new", "--dry-run")
        self.assertEqual(50, done.report["keys"]["rewrapped"])
        self.assertEqual(before, self.keys())
        self.assertEqual([], [p for p in self.folder.iterdir() if p.name.startswith("rewrap-")])
        self.assertNotIn(self.state_db, self.client.list_database_names())

    def test_a_key_that_does_not_open_stays_as_it_is(self):
        self.fill(30)
        bad = self.vault.add("bad")
        doc = bson.decode(self.vault.docs["bad"])
        doc["keyMaterial"] = bytes(160)
        doc["_id"] = Binary(bad, 4)
        self.put([bson.encode(doc)])
        done = self.run_job("rewrap", "--provider", "local:new", exit=1)
        self.assertEqual((30, 1), (done.report["keys"]["rewrapped"], done.report["keys"]["failed"]))
        self.assertEqual(bytes(160), self.key_vault.find_one({"keyAltNames": "bad"})["keyMaterial"])

    def test_a_backup_is_never_overwritten(self):
        self.fill(5)
        self.path("there.bson").write_bytes(b"")
        before = self.keys()
        self.refused(*self.args("rewrap", "--provider", "local:new", "--backup", "there.bson"), says="--backup")
        self.assertEqual(before, self.keys())

    def test_beside_another_who_rewraps(self):
        """A driver's rewrap writes by _id alone, key after key. Whoever is last has a whole wrap."""
        self.fill(count(1500, 20000, 300))
        stop, writes = threading.Event(), [0]

        def other():
            client = pymongo.MongoClient(self.uri)
            vault = client[self.database.name]["__keyVault"]
            names = list(self.vault.ids)
            while not stop.is_set():
                name = names[writes[0] * 7919 % len(names)]
                provider = ("local:old", "local:new")[writes[0] // len(names) % 2]
                from vault import seal
                vault.update_one({"_id": Binary(self.vault.ids[name], 4)}, {"$set": {
                    "keyMaterial": seal(self.vault.masters[provider], self.vault.deks[name]),
                    "masterKey": {"provider": provider}}, "$currentDate": {"updateDate": True}})
                writes[0] += 1
            client.close()

        thread = threading.Thread(target=other)
        thread.start()
        try:
            for _ in range(4):
                done = self.run_job("rewrap", "--provider", "local:new", "--backup", f"b{time.monotonic()}.bson")
                self.assertEqual(0, done.report["keys"]["failed"])
                self.assertEqual(self.expected(), self.deks())
        finally:
            stop.set()
            thread.join()
        self.assertGreater(writes[0], 50)
        self.assertEqual(self.expected(), self.deks())

    def test_killed_and_gone_on(self):
        self.fill(count(4000, 40000, 800))
        seen = set()
        for _ in range(30):
            process = self.start("rewrap", "--provider", "local:new", "--threads", 2)
            time.sleep(0.35 if not SANITIZED else 1.5)
            if process.poll() is not None:
                break
            process.kill()
            process.wait()
            self.assertEqual(self.expected(), self.deks())
            seen.add(frozenset(self.providers()))
        done = self.run_job("rewrap", "--provider", "local:new")
        self.assertEqual({"local:new"}, self.providers())
        self.assertEqual(self.expected(), self.deks())
        self.assertEqual(0, done.report["keys"]["failed"])
        self.assert_closed()
