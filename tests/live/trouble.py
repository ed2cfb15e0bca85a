# SPDX-License-Identifier: Apache-2.0
"""What a server between (between.py) makes of replies with documents, and how a job is run against it."""
import contextlib
import struct

import bson

import between
import pymongo
from between import at, batch, frame, of_batch, put
from live import LiveCase, plain_docs
from rawbson import ARRAY, OBJECT, STRING, array, document, int32, string

DOCUMENTS = 60
PATIENCE_MS = 2500
TEXT = STRING, string("no")
TEXT_AT_0 = "0", *TEXT
CANNOT_READ = "the reply cannot be read"
FIND = "cursor.firstBatch"


def shaped(change, which=-1):
    """A twist of the bytes of one document of the batch, its length among them."""
    return of_batch(lambda docs: [change(d) if i == which % len(docs) else d for i, d in enumerate(docs)])


def long(nbytes):
    return shaped(lambda d: int32(nbytes) + d[4:])


def end_early(raw, _):
    """The list ends before its last document does."""
    path, docs = batch(raw)
    whole = array(*((OBJECT, d) for d in docs))
    return put(raw, path, ARRAY, int32(len(whole) - 20) + whole[4:])


# What the first look at a reply with documents finds.
BROKEN_BATCHES = {
    "a document of no length": long(0),
    "a document shorter than its length": long(4),
    "the first document of no length": shaped(lambda d: int32(0) + d[4:], 0),
    "a document longer than all": long(0x7FFFFFFF),
    "a document of negative length": long(-1),
    "a document longer than the list": shaped(lambda d: int32(len(d) + 100) + d[4:]),
    "a document that ends in the next": shaped(lambda d: int32(len(d) + 3) + d[4:], 0),
    "a document without its end": shaped(lambda d: d[:-1] + b"x"),
    "a text among the documents": at(FIND, ARRAY, array(TEXT)),
    "a list that ends early": end_early,
    "an unknown type": at(FIND, ARRAY, document(("0", 0x60, b""))),
    "no list": at(FIND),
    "a document for the list": at(FIND, OBJECT, document()),
    "a text for the list": at(FIND, *TEXT),
    "no cursor": at("cursor"),
    "a text for the cursor": at("cursor", *TEXT),
    "a text for the cursor's number": at("cursor.id", *TEXT),
}


def compressed(raw, head):
    body = frame(raw, head)[16:]
    message = struct.pack("<iiiiiiB", 25 + len(body), *head, 2012, 2013, len(body), 9) + body
    return between.Frame(message)


def errors(*list_of):
    return at("writeErrors", ARRAY, array(*((OBJECT, e) for e in list_of)))


def on(coll, in_transaction=None):
    """when: a command on that collection, in a transaction or not."""
    return lambda r: coll in (next(iter(r.values())), r.get("collection")) and \
        in_transaction in (None, "txnNumber" in r)


class Trouble:
    """self.uri leads through the middle, self.client to the server itself."""

    def setUp(self):
        super().setUp()
        host, port = pymongo.uri_parser.parse_uri(self.uri)["nodelist"][0]
        self.middle = between.Between(host, port)
        self.addCleanup(self.middle.close)
        self.uri = f"mongodb://127.0.0.1:{self.middle.port}/?directConnection=true&serverSelectionTimeoutMS={PATIENCE_MS}"
        self.write_config()

    @contextlib.contextmanager
    def trouble(self, name, command, change, when=None, **options):
        """A case of its own. A job that it did not let finish goes on in the next."""
        with self.subTest(name):
            twist = self.middle.twist(command, change, when, **options)
            try:
                yield
                self.assertTrue(twist.met, "nothing was twisted")
            finally:
                self.middle.twists.clear()
                self.look()

    def meet(self, *args, exits=(4,), says=()):
        """A run in trouble ends by itself, with a status that the contract knows, and no sanitizer speaks."""
        process = self.spawn(*self.args(*args))
        status, text = process.wait(30), self.err_text()
        self.path("err.txt").unlink()
        self.assertNotIn("Sanitizer", text)
        self.assertNotIn("runtime error", text)
        self.assertIn(status, exits, text)
        for word in (says,) if isinstance(says, str) else says:
            self.assertIn(word, text)
        return text


class Documents(Trouble, LiveCase):
    def setUp(self):
        super().setUp()
        self.plain = plain_docs(DOCUMENTS)
        self.insert(self.plain)

    def look(self):
        """Whatever was written opens to what was there."""
        self.assertEqual(self.plain, [self.opened(d) for d in self.read()])

    def finish(self):
        """Without trouble all of it is done."""
        self.run_job("encrypt")
        Documents.look(self)
        self.assertEqual({3}, {self.sealed_count(d) for d in self.read()})
        self.assert_closed()
