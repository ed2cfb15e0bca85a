# SPDX-License-Identifier: Apache-2.0
"""Replies that a sound server never sends: broken BSON, figures that cannot be, answers to another question, frames without
an end. The job ends with a status and a reason, what stands in the collection opens to what it was, and the same command
without the trouble finishes."""
import struct

import bson

from between import at, batch, frame, last, of_batch, put
from rawbson import ARRAY, DOUBLE, INT, LONG, STRING, array, document, int32, int64, string
from trouble import BROKEN_BATCHES, CANNOT_READ, TEXT, Documents, compressed, errors, on, shaped


class InPlace(Documents):
    def tearDown(self):
        self.finish()

    def look(self):
        super().look()
        if not self.state_docs():  # done: from the beginning, for the next case
            self.docs.delete_many({})
            self.insert(self.plain)

    def test_batches_that_cannot_be_read(self):
        for name, change in BROKEN_BATCHES.items():
            with self.trouble(name, "find", change, on("docs", True)):
                self.meet("encrypt", says=CANNOT_READ)

    def test_batches_of_other_documents(self):
        inner = bson.encode({"_id": 1, "a": "text"}).replace(int32(5), int32(500))
        cases = {
            "a text longer than its document": (shaped(lambda d: inner), (4,), "is broken at its byte"),
            "no _id at the end": (shaped(lambda d: put(d, "_id")), (4,), "without an _id"),
            "no _id before": (shaped(lambda d: put(d, "_id"), 3), (1,), "no update can name a document"),
            "_ids of another type": (shaped(lambda d: put(d, "_id", *TEXT), 3), (4,), "it wrote 59 of 60"),
            "backwards": (of_batch(lambda docs: docs[::-1]), (0,), ""),
            "everything twice": (of_batch(lambda docs: docs + docs), (0,), ""),
        }
        for name, (change, exits, says) in cases.items():
            with self.trouble(name, "find", change, on("docs", True)):
                self.meet("encrypt", exits=exits, says=says)
        kept = []

        def again(raw, head):
            kept.append(batch(raw)[1])
            return of_batch(lambda _: kept[0])(raw, head)
        with self.trouble("the same for ever", "find", again, on("docs", True), times=-1):
            self.meet("encrypt", says="shows that one again")

    def test_answers_to_updates(self):
        error = document(("index", INT, int32(7)), ("code", INT, int32(121)), ("errmsg", STRING, string("no")))
        cases = {
            "more than were asked for": (at("n", INT, int32(61)), (4,), "it wrote 61 of 60"),
            "fewer than none": (at("n", LONG, int64(-60)), (4,), "it wrote -60 of 60"),
            "a text for a number": (at("n", *TEXT), (4,), "it wrote 0 of 60"),
            "no number": (at("n"), (4,), "it wrote 0 of 60"),
            "an error of no statement": (errors(put(error, "index", INT, int32(60))), (4,), "statement 61 of 60"),
            "an error far away": (errors(put(error, "index", LONG, int64(1 << 40))), (4,), "statement 1099511627777"),
            "an error before the first": (errors(put(error, "index", INT, int32(-9))), (4,), "error 121"),
            "an error of a text": (errors(put(error, "index", *TEXT)), (1,), ""),
            "an error that is none": (at("writeErrors", *TEXT), (0, 4), ""),
            "a list of no errors": (at("writeErrors", ARRAY, array((INT, int32(1)))), (0, 4), ""),
            "neither done nor why not": (at("ok", DOUBLE, bytes(8)), (0,), ""),
            "not a word": (lambda raw, _: document(), (0, 4), ""),
        }
        for name, (change, exits, says) in cases.items():
            with self.trouble(name, "update", change, on("docs", True)):
                self.meet("encrypt", exits=exits, says=says)

    def test_answers_to_commits(self):
        """They are committed, whatever is said."""
        refused = document(("ok", DOUBLE, bytes(8)), ("code", INT, int32(8000)), ("errmsg", STRING, string("no")))
        transient = put(refused, "errorLabels", ARRAY, array((STRING, string("TransientTransactionError"))))
        cases = {
            "neither done nor why not": (at("ok", DOUBLE, bytes(8)), (0,)),
            "no end": (lambda raw, head: last(frame(raw, head)[:30]), (0,)),
            "no such message": (lambda raw, head: frame(raw, head, opcode=4711), (0,)),
            "refused": (lambda raw, _: refused, (4,)),
            "refused for now": (lambda raw, _: transient, (0,)),
        }
        for name, (change, exits) in cases.items():
            with self.trouble(name, "commitTransaction", change):
                self.meet("encrypt", exits=exits)

    def test_frames(self):
        cases = {
            "longer than any": lambda raw, head: last(int32(1 << 30) + frame(raw, head)[4:]),
            "shorter than its head": lambda raw, head: last(int32(7) + frame(raw, head)[4:]),
            "cut short": lambda raw, head: last(frame(raw, head)[:-100]),
            "nothing": lambda raw, head: last(b""),
            "no such message": lambda raw, head: frame(raw, head, opcode=4711),
            "no such compressor": compressed,
        }
        for name, change in cases.items():
            with self.trouble(name, "find", change, on("docs", True)):
                self.meet("encrypt", exits=(0,))
        with self.trouble("nothing, for ever", "find", cases["nothing"], on("docs", True), times=-1):
            self.meet("encrypt", says="socket error")


class BeforeTheStart(Documents):
    """What is asked before anything is written: a plan made of nonsense, or none."""

    def refuse(self, command, changes, when=None, says=CANNOT_READ):
        for name, change in changes.items():
            with self.trouble(f"{command}: {name}", command, change, when):
                self.meet("encrypt", says=(says, "Nothing was written"))
                self.assertEqual(self.plain, self.read())
        self.assertEqual([], self.state_docs())

    def test_lists_that_cannot_be_read(self):
        some = {n: BROKEN_BATCHES[n] for n in ("a document of no length", "a list that ends early", "no cursor",
                                               "a document without its end", "a text among the documents")}
        one = {"a document of no length": some["a document of no length"]}
        self.refuse("listCollections", some)
        self.refuse("listIndexes", one)
        self.refuse("aggregate", one, lambda r: "$sample" in r["pipeline"][0])
        self.refuse("aggregate", one, lambda r: "$collStats" in r["pipeline"][0])
        self.refuse("find", some, on("docs", False))
        self.refuse("find", some, on("__keyVault"))

    def test_figures_that_cannot_be(self):
        stats = {name: of_batch(lambda docs, f=f: [put(put(docs[0], "storageStats.count", *f), "storageStats.size", *f)])
                 for name, f in {"without a bound": (DOUBLE, struct.pack("<d", 1e300)), "less than none": (LONG, int64(-5)),
                                 "no number": (DOUBLE, struct.pack("<d", float("nan"))), "a text": TEXT}.items()}
        for name, change in stats.items():
            with self.trouble(name, "aggregate", change, lambda r: "$collStats" in r.get("pipeline", [{}])[0]):
                self.meet("encrypt", "--dry-run", exits=(0,))
        huge = int64((1 << 63) - 1)
        versions = {"a version without a bound": array((LONG, huge), (LONG, huge), (LONG, huge)),
                    "a version below none": array((INT, int32(-1)), (INT, int32(0)), (INT, int32(0)))}
        for name, value in versions.items():
            with self.trouble(name, "buildInfo", at("versionArray", ARRAY, value)):
                self.meet("encrypt", "--dry-run", exits=(0,))
        with self.trouble("a set without a name", "hello", at("setName", INT, int32(1)), lambda r: "client" not in r):
            self.meet("encrypt", exits=(2,), says="standalone")
