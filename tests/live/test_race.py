# SPDX-License-Identifier: Apache-2.0
"""Applications write while encrypt and decrypt alternate: no write is lost, none fails, each value is the last one that
was acknowledged, in type and bytes. KEYTURN_LONG=1: 200,000 documents until 1,000 of our transactions were aborted."""
import multiprocessing
import os
import random
import signal
import statistics
import time

import bson
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

import pymongo
from live import LONG, URI, LiveCase, count, heavy, rawbson

DOCUMENTS = count(2000, 200000)
ABORTS = count(20, 1000, 8)
WRITERS = 8
ALONE = count(1, 10)  # seconds in which they write without keyturn
HOT = 20  # documents of a writer that it keeps rewriting

# Equal in every filter, different in type or bytes.
EQUAL = [1, Int64(1), 1.0, Decimal128("1.0"), Decimal128("1.00"), 0.0, -0.0, "a", "A", 5, [5], {"x": 1, "y": 2},
         {"y": 2, "x": 1}, Int64(0), Decimal128("0"), "", "text"]


def element(value):
    """(type, bytes) of a value."""
    return rawbson.fields(bson.encode({"v": value}))["v"]


SPAWN = multiprocessing.get_context("spawn")


class Writer(SPAWN.Process):
    """Owns the documents i with i % WRITERS == number; notes what was acknowledged last for each."""

    def __init__(self, number, ns, out, stop, beside):
        super().__init__(daemon=True)
        self.number, self.ns, self.out, self.stop, self.beside = number, ns, out, stop, beside

    def run(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        rng = random.Random(self.number)
        client = pymongo.MongoClient(URI)
        db, coll = self.ns.split(".", 1)
        docs = client[db][coll]
        mine = list(range(self.number, DOCUMENTS, WRITERS))
        last, times, failed, gone, transactions = {}, ([], []), [], 0, 0
        while not self.stop.is_set():
            i = mine[rng.randrange(HOT)] if rng.random() < 0.5 else rng.choice(mine)
            value = rng.choice(EQUAL)
            kind = rng.random()
            begun = time.monotonic()
            try:
                if kind < 0.80:
                    docs.update_one({"_id": i}, {"$set": {"b": value}})
                elif kind < 0.85:
                    docs.replace_one({"_id": i}, {"z": "replaced", "b": value, "a": "again"})
                elif kind < 0.92:
                    docs.delete_one({"_id": i})
                    docs.insert_one({"_id": i, "b": value, "a": "new"})
                    gone += 1
                else:
                    with client.start_session() as session:
                        session.with_transaction(lambda s: docs.update_one({"_id": i}, {"$set": {"b": value}}, session=s))
                    transactions += 1
                last[i] = element(value)
            except Exception as error:  # whatever it is: it is the finding
                failed.append(f"{type(error).__name__}: {error}")
                if len(failed) > 20:
                    break
            times[self.beside.value].append(time.monotonic() - begun)
            if rng.random() < 0.5:
                time.sleep(0.001)
        self.out.put((self.number, last, times, failed, gone, transactions))


class Race(LiveCase):
    FIELDS = {"a": ("a", True, "string"), "b": ("b", False, None)}

    def write_until(self, enough):
        """The writers begin alone, then enough() works beside them."""
        stop, out, beside = SPAWN.Event(), SPAWN.Queue(), SPAWN.Value("i", 0)
        writers = [Writer(n, self.ns, out, stop, beside) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        try:
            self.until("they write", lambda: self.docs.count_documents({"z": "replaced"}) >= WRITERS)
            time.sleep(ALONE)
            beside.value = 1
            enough()
        finally:
            stop.set()
            notes = [out.get(timeout=60) for _ in writers]
            for writer in writers:
                writer.join(30)
        return notes

    def alternate(self, aborts_wanted):
        total, runs = 0, 0
        while total < aborts_wanted:
            done = self.run_job(("encrypt", "decrypt")[runs % 2])
            total += done.ns["aborted"]
            runs += 1
            self.assertLess(runs, 400, f"only {total} transactions were aborted")
        return total, runs

    def take_over(self):
        """One is stopped, a second one takes its lease over, the first goes on and finds that out."""
        first = self.start("decrypt", "--max-docs-per-second", DOCUMENTS // 4, "--threads", 2)
        self.until("lanes are at work", lambda: self.state["checkpoints"].find_one(
            {"_id.is": "range", "at": {"$ne": b""}}), process=first)
        os.kill(first.pid, signal.SIGSTOP)
        if not LONG:  # else it expires by itself
            self.state["checkpoints"].update_many({"_id.is": "lease"}, {"$set": {"expires": bson.datetime_ms.DatetimeMS(0)}})
        done = self.run_job("decrypt")
        self.assertTrue(done.report["resumed"])
        os.kill(first.pid, signal.SIGCONT)
        self.assertEqual(4, first.wait(60), self.err_text())
        self.assertIn("lease lost", self.err_text())

    def check_values(self, notes):
        seen = {}
        for raw in self.read():
            fields = rawbson.fields(raw)
            sealed = rawbson.payload(*fields["b"])
            self.assertTrue(sealed, fields["_id"])
            seen[rawbson.fields(raw)["_id"][1]] = self.vault.open_value(sealed)
        self.assertEqual(DOCUMENTS, len(seen))
        checked = 0
        for _, last, _, failed, _, _ in notes:
            self.assertEqual([], failed)
            for i, value in last.items():
                self.assertEqual(value, seen[rawbson.int32(i)], i)
                checked += 1
        return checked

    def report(self, notes, text):
        alone, beside = (sorted(t for note in notes for t in note[2][n]) for n in (0, 1))
        self.assertGreater(min(len(alone), len(beside)), 100)
        print(f"\n  {text}: {len(beside)} writes, p99 {alone[int(len(alone) * 0.99)] * 1000:.1f} ms alone, "
              f"{beside[int(len(beside) * 0.99)] * 1000:.1f} ms beside keyturn, median {statistics.median(alone) * 1000:.2f} "
              f"and {statistics.median(beside) * 1000:.2f} ms, {sum(n[4] for n in notes)} deleted and inserted, "
              f"{sum(n[5] for n in notes)} in transactions")

    def race(self, steps):
        self.insert([bson.encode({"_id": i, "b": i, "a": "x"}) for i in range(DOCUMENTS)])
        figures = {}

        def enough():
            figures["aborts"], figures["runs"] = self.alternate(ABORTS)
            for step in steps:
                step()

        notes = self.write_until(enough)
        done = self.run_job("encrypt", *(["--forget"] if self.state_docs() else []))
        self.assertEqual(0, done.ns["failed"])
        checked = self.check_values(notes)
        self.report(notes, f"{figures['aborts']} transactions aborted in {figures['runs']} runs, {checked} documents compared")
        self.assert_closed()

    def test_no_write_is_lost_and_none_fails(self):
        self.race([lambda: self.run_job("encrypt"), self.take_over])

    @heavy
    def test_the_same_where_case_makes_no_difference(self):
        """Under this collation "a" and "A" compare equal."""
        self.database.create_collection("docs", collation={"locale": "en", "strength": 2})
        self.race([self.take_over] if LONG else [])

    def test_a_stopped_process_that_lost_its_lease_changes_nothing(self):
        docs = [bson.encode({"_id": i, "b": i, "a": "x" * 200}) for i in range(DOCUMENTS)]
        self.insert(docs)
        first = self.start("encrypt", "--max-docs-per-second", 1500, "--threads", 2)
        self.until("some are done", lambda: self.docs.find_one({"b": {"$type": "binData"}}))
        os.kill(first.pid, signal.SIGSTOP)
        self.state["checkpoints"].update_many({"_id.is": "lease"}, {"$set": {"expires": bson.datetime_ms.DatetimeMS(0)}})
        done = self.run_job("encrypt")
        self.assertTrue(done.report["resumed"])
        self.assertEqual(DOCUMENTS, done.ns["documents"])
        sealed = self.read()
        os.kill(first.pid, signal.SIGCONT)
        self.assertEqual(4, first.wait(60))
        self.assertIn("lease lost", self.err_text())
        self.assertEqual(sealed, self.read())
        self.assertEqual(docs, [self.opened(d) for d in sealed])

    def test_a_document_that_never_rests_stops_nothing(self):
        """It is tried up to 300 times and 30 s. Some of our updates are slow, so that somebody surely writes meanwhile;
        KEYTURN_LONG=1: all of them, and the document is left and said."""
        self.insert([bson.encode({"_id": i, "b": i, "a": "x"}) for i in range(50)])
        fail = {"configureFailPoint": "failCommand"}
        self.addCleanup(self.client.admin.command, {**fail, "mode": "off"})
        self.client.admin.command({**fail, "mode": "alwaysOn" if LONG else {"times": 3}, "data": {
            "appName": "keyturn", "failCommands": ["update"], "namespace": self.ns, "blockConnection": True,
            "blockTimeMS": 150 if LONG else 400}})
        stop = SPAWN.Event()
        busy = [SPAWN.Process(target=rewrite, args=(self.ns, 25, stop), daemon=True) for _ in range(4)]
        for process in busy:
            process.start()
        try:
            self.until("they write", lambda: self.docs.find_one({"_id": 25, "b": {"$gt": 100}}))
            done = self.keyturn(*self.args("encrypt"), exit=1 if LONG else 0)
        finally:
            stop.set()
            for process in busy:
                process.join(30)
        self.assertGreater(done.ns["aborted"], 0)
        if LONG:
            self.assertIn("kept changing", self.path(f"{self.ns}-failed.ndjson").read_text())
        after = self.read()
        self.assertEqual(49 * [2], [self.sealed_count(d) for d in after[:25] + after[26:]])


def rewrite(ns, number, stop):
    db, coll = ns.split(".", 1)
    docs = pymongo.MongoClient(URI)[db][coll]
    n = 0
    while not stop.is_set():
        n += 1
        docs.update_one({"_id": number}, {"$set": {"b": n}})
