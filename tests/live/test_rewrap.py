# SPDX-License-Identifier: Apache-2.0
"""Key vaults on a server: rewrapped beside others who change it, and put back."""
import json
import threading
import time

import bson
from bson.binary import Binary

import pymongo
from live import count, rawbson, seal
from vaults import VaultCase


class Rewrap(VaultCase):
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
            self.assertGreater(*(int.from_bytes(doc["updateDate"][1], "little") for doc in (new, old)))
            for name in set(old) - {"keyMaterial", "masterKey", "updateDate"}:
                self.assertEqual(old[name], new[name])
        self.assert_closed()
        self.assertEqual(0o600, self.backup().stat().st_mode & 0o777)
        entries = bson.decode_all(self.backup().read_bytes())
        self.assertEqual(len(before), len({bytes(e["_id"]) for e in entries}))
        for raw in rawbson.split(self.backup().read_bytes()):
            fields = rawbson.fields(raw)
            self.assertEqual(before[fields["_id"][1][5:]], fields["old"][1])

    def test_a_filter_of_the_servers_own(self):
        self.fill(count(300, 20000, 100))
        before = self.keys()
        some = {"keyAltNames": {"$regex": "[37]$"}, "masterKey.provider": {"$nin": ["aws"]}}
        wanted = self.key_vault.count_documents(some)
        dry = self.run_job("rewrap", "--provider", "local:new", "--filter", json.dumps(some), "--dry-run")
        done = self.run_job("rewrap", "--provider", "local:new", "--filter", json.dumps(some))
        self.assertEqual([wanted, wanted], [d.report["keys"]["rewrapped"] for d in (dry, done)])
        self.assertEqual(self.expected(), self.deks())
        self.assertEqual(len(before) - wanted, sum(before[i] == d for i, d in self.keys().items()))
        self.assertEqual(wanted, self.key_vault.count_documents({**some, "masterKey.provider": "local:new"}))
        self.assert_closed()
        whole = {"masterKey.provider": "local:old", "$expr": {"$lt": ["$creationDate", "$$NOW"]}}
        done = self.run_job("rewrap", "--provider", "local:new", "--filter", json.dumps(whole), "--all-or-nothing",
                            "--backup", "second.bson")
        self.assertEqual(len(before) - wanted, done.report["keys"]["rewrapped"])
        self.assertEqual((self.expected(), {"local:new"}), (self.deks(), self.providers()))
        self.refused(*self.args("rewrap", "--filter", '{"$foo": 1}'), says=("--filter", "unknown top level operator"))

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
        self.path("there.bson").write_bytes(b"something")
        before = self.keys()
        self.refused(*self.args("rewrap", "--provider", "local:new", "--backup", "there.bson"), says="--backup")
        self.assertEqual(before, self.keys())

    def test_beside_another_who_rewraps(self):
        """A driver's rewrap writes by _id alone, key after key. Whoever is last has a whole wrap. Both CMKs are in use
        whenever a run begins: one that comes up later is none of its plan."""
        self.fill(count(1500, 20000, 300))
        stop, writes = threading.Event(), [0]

        def other():
            client = pymongo.MongoClient(self.uri)
            vault = client[self.database.name]["__keyVault"]
            names = list(self.vault.ids)
            while not stop.is_set():
                name = names[writes[0] * 7919 % len(names)]
                provider = ("local:old", "local:new")[(writes[0] + writes[0] // len(names)) % 2]
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

    def test_keys_that_come_up_after_the_plan(self):
        """Under the target already they need nothing; another CMK's are known to the next run."""
        self.fill(30)
        early = dict(self.vault.ids)
        args = [a for a in self.args("rewrap", "--provider", "local:new") if a != "--yes"]

        def add(cmk):
            self.vault.docs = {}
            self.vault.add(f"under {cmk}", cmk)
            self.put(self.vault.docs.values())

        self.assertEqual(0, self.ask(args, "y\n", lambda _: add("local:new")))
        self.assertEqual({"local:new"}, self.providers())
        self.assertEqual(len(early), len(bson.decode_all(self.backup().read_bytes())))
        again = [*args, "--backup", "second.bson"]
        self.assertEqual(1, self.ask(again, "y\n", lambda _: add("local:old")))
        self.assertEqual(self.expected(), self.deks())
        self.run_job("rewrap", "--provider", "local:new", "--backup", "third.bson")
        self.assertEqual({"local:new"}, self.providers())
        self.assertEqual(self.expected(), self.deks())

    def test_killed_and_gone_on(self):
        self.fill(count(4000, 40000, 800))
        seen, moved = [], {"masterKey.provider": "local:new"}
        for _ in range(count(4, 30)):
            before = self.key_vault.count_documents(moved)
            process = self.start("rewrap", "--provider", "local:new", "--threads", 2)
            self.until("some more are moved", lambda: self.key_vault.count_documents(moved) > before or
                       process.poll() is not None)
            process.kill()
            if process.wait() == 0:
                break
            seen.append(self.key_vault.count_documents(moved))
            self.assertEqual(self.expected(), self.deks())
        self.assertTrue(any(0 < n < len(self.vault.ids) for n in seen), seen)
        self.assertEqual(sorted(seen), seen)
        done = self.run_job("rewrap", "--provider", "local:new")
        self.assertEqual({"local:new"}, self.providers())
        self.assertEqual(self.expected(), self.deks())
        self.assertEqual(0, done.report["keys"]["failed"])
        self.assert_closed()

    def stop_midway(self):
        """The server takes the first batches alone. The backup."""
        self.fill(2000)
        self.client.admin.command({"configureFailPoint": "failCommand", "mode": {"skip": 2}, "data": {
            "appName": "keyturn", "failCommands": ["update"], "errorCode": 13,
            "namespace": f"{self.database.name}.__keyVault"}})
        try:
            self.run_job("rewrap", "--provider", "local:new", exit=4)
        finally:
            self.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        self.assertEqual({"local:new", "local:old"}, self.providers())
        return self.backup()

    def assert_goes_on(self):
        done = self.run_job("rewrap", "--provider", "local:new")
        self.assertTrue(done.report["resumed"])
        self.assertEqual({"local:new"}, self.providers())
        self.assertEqual(self.expected(), self.deks())
        self.assert_closed()
        return done

    def test_a_torn_tail_of_the_backup_is_cut(self):
        backup = self.stop_midway()
        raw = backup.read_bytes()
        backup.write_bytes(raw + raw[:100])
        self.assert_goes_on()
        now = backup.read_bytes()
        self.assertEqual(raw, now[:len(raw)])
        self.assertEqual(2000, len({bytes(e["_id"]) for e in bson.decode_all(now)}))

    def test_a_file_that_is_no_backup_is_left_as_it_is(self):
        """Whoever can write the state names any file that keyturn may write."""
        backup = self.stop_midway()
        earlier, notes = backup.read_bytes(), self.path("notes.txt")
        notes.write_text("Not to be lost.\n")
        self.path("link.bson").symlink_to(backup)
        for name in ("link.bson", "notes.txt"):
            self.state["checkpoints"].update_one({"_id.is": "job"}, {"$set": {"backup": str(self.path(name))}})
            self.refused(*self.args("rewrap", "--provider", "local:new", "--backup", name), says="--backup")
        self.assertIn("is none and stays as it is", " ".join(self.assert_goes_on().text.split()))
        self.assertEqual(("Not to be lost.\n", earlier), (notes.read_text(), backup.read_bytes()))


class Restore(VaultCase):
    """Only what keyturn wrote is put back."""

    def restore(self, file, *more, **options):
        return self.keyturn("keys", "restore", file, "--config", "config.json", "--yes", *more, **options)

    def test_put_back_is_the_same_bytes(self):
        self.fill(count(1200, 20000, 300))
        before = self.keys()
        self.run_job("rewrap", "--provider", "local:new")
        done = self.restore(self.backup(), "--dry-run")
        self.assertIn("would be put back", done.out.decode())
        self.assertEqual({"local:new"}, self.providers())
        self.restore(self.backup())
        self.assertEqual(before, self.keys())
        self.assertIn(f"{len(before):,} already", self.restore(self.backup()).out.decode())
        self.assertEqual([], self.state_docs())

    def test_keys_that_others_changed_since_stay(self):
        self.fill(60)
        before = self.keys()
        self.run_job("rewrap", "--provider", "local:new")
        mine, gone = self.vault.ids["key 7"], self.vault.ids["key 8"]
        theirs = seal(self.vault.masters["local:new"], self.vault.deks["key 7"])
        self.key_vault.update_one({"_id": Binary(mine, 4)}, {"$set": {"keyMaterial": theirs}})
        self.key_vault.delete_one({"_id": Binary(gone, 4)})
        done = self.restore(self.backup(), exit=1)
        self.assertIn("58 of 60", done.out.decode())
        self.assertIn(str(bson.binary.Binary(mine, 4).as_uuid()), done.text)
        now = self.keys()
        self.assertEqual({i: d for i, d in before.items() if i not in (mine, gone)},
                         {i: d for i, d in now.items() if i != mine})
        self.assertEqual(self.vault.deks["key 7"], self.vault.open_key(now[mine]))

    def test_an_unfinished_rewrap_that_cannot_be_read_can_be_forgotten(self):
        self.fill(20)
        before = self.keys()
        self.run_job("rewrap", "--provider", "local:new")
        vault = f"{self.database.name}.__keyVault"
        self.state["checkpoints"].insert_one({"_id": {"ns": vault, "is": "job"}, "keyturn": 99})
        done = self.restore(self.backup(), exit=2)
        self.assertIn("another version of keyturn", " ".join(done.text.split()))
        self.restore(self.backup(), "--forget")
        self.assertEqual(before, self.keys())
        self.assertEqual([], self.state_docs())

    def test_what_is_no_backup_is_refused(self):
        self.fill(3)
        before = self.keys()
        self.path("x.bson").write_bytes(bson.encode({"a": 1}))
        self.restore("x.bson", exit=2)
        self.path("y.bson").write_bytes(b"garbage, and not short")
        self.restore("y.bson", exit=2)
        self.restore("none.bson", exit=2)
        self.keyturn("keys", "restore", exit=2)
        self.keyturn("keys", exit=2)
        self.assertEqual(before, self.keys())

    def test_a_backup_cut_off_by_a_crash(self):
        self.fill(50)
        before = self.keys()
        self.run_job("rewrap", "--provider", "local:new")
        raw = self.backup().read_bytes()
        self.path("cut.bson").write_bytes(raw[:-100])
        done = self.restore("cut.bson")
        self.assertIn("cut off", done.text)
        self.assertEqual(49, sum(before[i] == d for i, d in self.keys().items()))
