# SPDX-License-Identifier: Apache-2.0
"""The program dies before or after one of its calls: a command that reads, one that writes, a commit, an fsync; 'after'
is between the reply and what is done with it. Applications go on at once, and the next run ends as an undisturbed one
would. In every run some in the middle of the job; KEYTURN_LONG=1: each call of each job."""
import json
import random
import signal
import statistics
import time
import unittest

from bson.binary import Binary

from live import LONG, SANITIZED, LiveCase, plain_docs, rawbson
from rig import BUILD
from vaults import VaultCase

CRASH = BUILD / "tests/live/live_crash.so"
USUAL = {"read": 0, "write": 1, "commit": 2, "fsync": 1}  # how many points of a kind in every run
DOCUMENTS, KEYS = 400, 200


@unittest.skipIf(SANITIZED, "build: the shim cannot be preloaded before a sanitizer's runtime")
class Crashes:
    def begin(self, env):
        """Starts the job as the next run will be started."""
        return self.start(*self.job, env={"LD_PRELOAD": str(CRASH), **env})

    def points(self):
        """How often an undisturbed run makes each call says which there are."""
        self.fill_in()
        counts = self.path("counts.json")
        self.assertEqual(0, self.begin({"KEYTURN_CRASH_COUNTS": str(counts)}).wait(60), self.err_text())
        self.compare_undisturbed()
        for kind, number in json.loads(counts.read_text()).items():
            self.assertTrue(number or kind == "fsync", "the calls do not come by")
            for n in range(1, number + 1) if LONG else range((number + 1) // 2, (number + 1) // 2 + bool(number)):
                for when in ("before", "after") if LONG else random.sample(("before", "after"), USUAL[kind]):
                    # Threads share the calls, so that the last may come or not.
                    yield f"{kind}:{when}:{n}", n < number - 2

    def crash_everywhere(self):
        died, waits = 0, []
        for point, sure in self.points():
            with self.subTest(point):
                self.fill_in()
                code = self.begin({"KEYTURN_CRASH": point}).wait(60)
                self.assertIn(code, (-signal.SIGKILL,) if sure else (0, -signal.SIGKILL), self.err_text())
                died += code != 0
                waits += self.write_as_an_application()
                self.compare_crashed()
                if code:
                    self.run_again()
                self.compare_undisturbed()
        self.assertGreaterEqual(died, 3)
        if waits:
            self.assertLess(statistics.median(waits), 1)
            self.assertLess(max(waits), 5)
        print(f"\n  {self.job[0]}: {died} crashes; {len(waits)} writes after them, the longest "
              f"{max(waits, default=0) * 1000:.0f} ms")

    def write_as_an_application(self):
        """Changes every document, then takes that back; returns how long each change took."""
        waits = []
        for i in self.written:
            begun = time.monotonic()
            self.collection.update_one({"_id": i}, {"$set": {"app": 1}})
            waits.append(time.monotonic() - begun)
        self.collection.update_many({"app": 1}, {"$unset": {"app": ""}})
        return waits

    def job_is_noted(self):
        return self.state["checkpoints"].count_documents({"_id.is": "job"}) > 0

    def compare_crashed(self):
        pass


class Documents(Crashes, LiveCase):
    FIELDS = {"a": ("a", True, "string"), "b": ("b", False, None)}
    job = ("encrypt", "--threads", 2)
    written = range(0, DOCUMENTS, 4)

    def setUp(self):
        super().setUp()
        self.collection = self.docs
        self.plain = plain_docs(DOCUMENTS)
        self.sealed = None

    def fill_in(self):
        self.docs.delete_many({})
        self.insert(self.sealed if self.job[0] == "decrypt" else self.plain)

    def run_again(self):
        closed = not self.job_is_noted()
        done = self.run_job(*self.job)
        self.assertEqual((DOCUMENTS, 0), (done.ns["documents"], done.ns["failed"]))
        # Before the job was noted, or once it was closed, nothing is known of it.
        figures = {"values": 2 * DOCUMENTS, "already": 0}
        if closed and done.ns["values"] == 0:
            figures = {"values": 0, "already": 0 if self.job[0] == "decrypt" else 2 * DOCUMENTS}
        self.assertEqual(figures, {name: done.ns[name] for name in figures}, "sealed twice, or not counted")

    def compare_undisturbed(self):
        self.assertEqual(self.plain, [self.opened(d) for d in self.read()])
        self.assertEqual(0 if self.job[0] == "decrypt" else 2 * DOCUMENTS, sum(map(self.sealed_count, self.read())))
        self.assert_closed()


class InPlace(Documents):
    def test_encrypt(self):
        self.crash_everywhere()

    def test_decrypt(self):
        self.fill_in()
        self.run_job("encrypt")
        self.sealed = self.read()
        self.job = ("decrypt", "--threads", 2)
        self.crash_everywhere()


class Copies(Documents):
    """Into an empty collection, with --to."""
    written = ()  # a copy's source does not change

    def setUp(self):
        super().setUp()
        self.other = self.client[self.database.name + "_to"]
        self.addCleanup(self.client.drop_database, self.other.name)
        base, _, query = self.uri.partition("?")
        self.job = ("encrypt", "--threads", 2, "--to", f"{base}{self.other.name}?{query}")

    def fill_in(self):
        self.docs.delete_many({})
        self.insert(self.plain)
        self.other["docs"].drop()

    def run_again(self):
        # A job that was closed has filled the collection, and one that is not empty is refused.
        if self.other["docs"].count_documents({}) < DOCUMENTS or self.job_is_noted():
            super().run_again()
        self.state["checkpoints"].delete_many({"_id.is": "lease"})  # of the dead one, which ended with its job

    def compare_undisturbed(self):
        self.assertEqual(self.plain, self.read())
        there = self.read(self.other["docs"])
        self.assertEqual(self.plain, [self.opened(d) for d in there])
        self.assertEqual(2 * DOCUMENTS, sum(map(self.sealed_count, there)))
        self.assert_closed()

    def test_encrypt_there(self):
        self.crash_everywhere()


class Keys(Crashes, VaultCase):
    """The backup holds what is changed before it is."""

    def setUp(self):
        super().setUp()
        self.fill(KEYS)
        self.before = self.keys()
        self.tries = 0
        self.collection, self.written = self.key_vault, [Binary(i, 4) for i in list(self.before)[::3]]

    def begin(self, env):
        self.tries += 1
        self.job = ("rewrap", "--provider", "local:new", "--threads", 2, "--backup", f"backup-{self.tries}.bson")
        return super().begin(env)

    def fill_in(self):
        self.key_vault.delete_many({})
        self.put(self.before.values())

    def saved(self):
        """_id: the key document as a backup holds it."""
        found = {}
        for file in self.folder.glob(f"backup-{self.tries}*.bson"):
            for raw in rawbson.split(file.read_bytes()):
                fields = rawbson.fields(raw)
                found.setdefault(fields["_id"][1][5:], []).append(fields["old"][1])
        return found

    def compare_crashed(self):
        saved, now = self.saved(), self.keys()
        self.assertEqual(self.deks(), self.expected())
        for key_id, doc in now.items():
            if rawbson.fields(doc)["keyMaterial"] != rawbson.fields(self.before[key_id])["keyMaterial"]:
                self.assertIn(self.before[key_id], saved.get(key_id, []))

    def run_again(self):
        args = list(self.job)
        if not self.job_is_noted():
            args[-1] = f"backup-{self.tries}-again.bson"  # a file that no job knows is never written over
        done = self.run_job(*args)
        self.assertEqual(0, done.report["keys"]["failed"])

    def compare_undisturbed(self):
        self.assertEqual({"local:new"}, self.providers())
        self.compare_crashed()
        self.assert_closed()

    def test_rewrap(self):
        self.crash_everywhere()


class Restored(Crashes, VaultCase):
    """keys restore: one transaction after the other, and the same command once more."""
    job = ("keys restore",)

    def begin(self, env):
        return self.spawn("keys", "restore", "backup.bson", "--config", "config.json", "--yes",
                          env={"LD_PRELOAD": str(CRASH), **env})

    def setUp(self):
        super().setUp()
        self.fill(2 * KEYS)
        self.before = self.keys()
        self.run_job("rewrap", "--provider", "local:new", "--backup", "backup.bson")
        self.after = self.keys()
        self.collection, self.written = self.key_vault, [Binary(i, 4) for i in list(self.before)[::6]]

    def fill_in(self):
        self.key_vault.delete_many({})
        self.put(self.after.values())

    def run_again(self):
        self.keyturn("keys", "restore", "backup.bson", "--config", "config.json", "--yes")

    def compare_crashed(self):
        for key_id, doc in self.keys().items():
            self.assertIn(doc, (self.before[key_id], self.after[key_id]))

    def compare_undisturbed(self):
        self.assertEqual(self.before, self.keys())
        self.assert_closed()

    def test_restore(self):
        self.crash_everywhere()
