# SPDX-License-Identifier: Apache-2.0
"""The same (test_hostile.py) of checkpoints, of jobs that read alone or write elsewhere, and of key vaults."""
import json
import signal

from between import at, last, of_batch, put
from live import rawbson
from rawbson import ARRAY, DOUBLE, INT, LONG, OBJECT, STRING, array, document, int32, int64, string
from trouble import BROKEN_BATCHES, CANNOT_READ, FIND, TEXT, TEXT_AT_0, Documents, Trouble, errors, long, on, shaped
from vaults import VaultCase


class Checkpoints(Documents):
    """What a job keeps on the server comes back as something else: the job that is under way stays."""

    def setUp(self):
        super().setUp()
        with self.trouble("begun", "update", at("n"), on("docs", True)):
            self.meet("encrypt")
        self.assertTrue(self.state_docs())

    def tearDown(self):
        self.finish()

    def each(self, command, when, cases):
        for name, (change, says, *other) in cases.items():
            with self.trouble(name, command, change, when):
                self.meet("encrypt", exits=other or (4,), says=says)

    def test_of_the_job(self):
        self.each("find", lambda r: r.get("filter", {}).get("_id", {}).get("is") == "job", {
            "twice": (of_batch(lambda docs: docs * 2), "damaged"),
            "of no length": (long(0), CANNOT_READ),
            "no bounds": (shaped(lambda d: put(d, "bounds")), "damaged"),
            "bounds of texts": (shaped(lambda d: put(d, "bounds", ARRAY, array(TEXT))), "damaged"),
            "another version": (shaped(lambda d: put(d, "keyturn", *TEXT)), "version", 2),
        })

    def test_of_ranges(self):
        self.each("find", lambda r: "_id.n" in r.get("filter", {}), {
            "twice": (of_batch(lambda docs: docs * 2), "damaged"),
            "none": (of_batch(lambda docs: []), "damaged"),
            "of no length": (long(0), CANNOT_READ),
            "another range": (shaped(lambda d: put(d, "_id.n", LONG, int64(-1))), "damaged"),
            "figures of texts": (shaped(lambda d: put(d, "counts", OBJECT, document(("ns", *TEXT)))), "damaged"),
        })

    def test_of_the_lease(self):
        def about_lease(request):
            return "$match" in request.get("pipeline", [{}])[0]
        self.each("aggregate", about_lease, {
            "of no length": (of_batch(lambda docs: [int32(0) + document()[4:]]), CANNOT_READ),
            "a list of nothing": (at(FIND, ARRAY, array((INT, int32(1)))), CANNOT_READ),
        })
        with self.trouble("not taken, as it says", "update", at("n", *TEXT), on("checkpoints", False)):
            self.meet("encrypt", exits=(0,))

    def test_jobs_are_listed(self):
        odd = document(("_id", OBJECT, document(("ns", STRING, string("x" * 5000)), ("is", STRING, string("job")))),
                       ("begun", rawbson.DATE, int64(-(1 << 63))), ("bounds", OBJECT, document(TEXT_AT_0)),
                       ("partitions", LONG, int64(1 << 40)), ("command", STRING, string("\x1b[2J")))
        cases = {
            "odd ones": (of_batch(lambda docs: [odd, *docs, odd]), 0),
            "figures below none": (shaped(lambda d: put(d, "counts.ns.documents", LONG, int64(-1))), 0),
            "a document of no length": (long(0), 4),
            "no list": (at(FIND), 4),
        }
        for name, (change, status) in cases.items():
            with self.trouble(name, "aggregate", change):
                done = self.keyturn("status", "--jobs", "--from", self.uri, "--checkpoint", self.state_db, exit=status)
                self.assertNotIn(b"\x1b", done.out)
                self.assertNotIn("Sanitizer", done.text)
                self.assertNotIn("runtime error", done.text)


class Elsewhere(Documents):
    """decrypt into another collection, and verify, which writes nothing."""

    def setUp(self):
        super().setUp()
        self.run_job("encrypt")
        self.sealed = self.read()
        self.other = self.client[self.database.name + "_to"]
        self.addCleanup(self.client.drop_database, self.other.name)
        base, _, query = self.uri.partition("?")
        self.to = f"{base}{self.other.name}?{query}"

    def look(self):
        self.assertEqual(self.sealed, self.read())
        self.assertEqual(self.plain[:len(self.there())], self.there())

    def there(self):
        return self.read(self.other["docs"])

    def test_decrypt(self):
        for name in ("a document of no length", "a list that ends early", "no list", "a text for the cursor"):
            with self.trouble(name, "find", BROKEN_BATCHES[name], lambda r: "singleBatch" in r):
                self.meet("decrypt", "--to", self.to, says=CANNOT_READ)
        error = document(("index", INT, int32(99)), ("code", INT, int32(11000)))
        for name, change, exits in (("fewer than were sent", at("n", INT, int32(3)), (4,)),
                                    ("an error of no document", errors(error), (4,)),
                                    ("neither done nor why not", at("ok", DOUBLE, bytes(8)), (0,))):
            with self.trouble(name, "insert", change, on("docs", True)):
                self.meet("decrypt", "--to", self.to, exits=exits)
        self.assertEqual(self.plain, self.there())
        self.assert_closed()

    def test_verify(self):
        for name, change in BROKEN_BATCHES.items():
            with self.trouble(name, "find", change, on("docs")):
                self.meet("verify", says=CANNOT_READ)
        broken = shaped(lambda d: put(d, "b", rawbson.BINARY, int32(5000) + b"\6x"))
        with self.trouble("a value longer than its document", "find", broken, on("docs")):
            self.meet("verify", says="is broken at its byte")
        with self.trouble("never the last", "find", at("cursor.id", LONG, int64(77)), on("docs"), times=-1):
            self.meet("verify", exits=(0,))
        self.run_job("verify")


class Keys(Trouble, VaultCase):
    NUMBER = 150  # more than a first reply holds
    REWRAP = "rewrap", "--provider", "local:new"

    def setUp(self):
        super().setUp()
        self.fill(self.NUMBER)

    def look(self):
        self.assertEqual(self.expected(), self.deks())

    def tearDown(self):
        self.run_job(*self.REWRAP)
        self.look()
        self.assertEqual({"local:new"}, self.providers())
        self.assert_closed()

    def never_ending(self, *docs):
        """What getMore is answered with, whatever the server says."""
        cursor = document(("nextBatch", ARRAY, array(*((OBJECT, d) for d in docs))), ("id", LONG, int64(77)),
                          ("ns", STRING, string(self.key_vault.full_name)))
        return lambda raw, _: document(("cursor", OBJECT, cursor), ("ok", DOUBLE, bytes(7) + b"\x40"))

    def test_the_first_look(self):
        first = on("__keyVault", False)
        cases = {
            "a document of no length": ("find", long(0), CANNOT_READ),
            "more of no length": ("getMore", long(0), CANNOT_READ),
            "no more": ("getMore", at("cursor.nextBatch"), CANNOT_READ),
            "more of nobody": ("getMore", at("cursor"), CANNOT_READ),
            "a cursor elsewhere": ("find", at("cursor.ns", STRING, string("elsewhere.docs")), "where its cursor is"),
            "a number for its place": ("find", at("cursor.ns", INT, int32(5)), "where its cursor is"),
        }
        for name, (command, change, says) in cases.items():
            with self.trouble(name, command, change, first):
                self.meet(*self.REWRAP, says=(says, "Nothing was written"))
        with self.trouble("nothing, for ever", "getMore", self.never_ending(), times=-1):
            self.meet(*self.REWRAP, says="empty batches without an end")
        self.assertEqual({"local:old"}, self.providers())

    def test_one_that_never_ends_can_be_stopped(self):
        key = next(iter(self.vault.docs.values()))
        with self.trouble("a key, for ever", "getMore", self.never_ending(key), times=-1):
            process = self.spawn(*self.args(*self.REWRAP))
            self.until("it reads", lambda: self.middle.twists[0].met > 20, process=process)
            process.send_signal(signal.SIGINT)
            self.assertEqual(3, process.wait(10), self.err_text())
        self.assertEqual({"local:old"}, self.providers())

    def test_the_batches(self):
        def of_job(request):
            return "singleBatch" in request and "txnNumber" not in request
        for name in ("a document of no length", "a list that ends early", "no list", "a text for the cursor"):
            with self.trouble(name, "find", BROKEN_BATCHES[name], of_job):
                self.meet(*self.REWRAP, says=CANNOT_READ)
        with self.trouble("no _id at the end", "find", shaped(lambda d: put(d, "_id")), of_job):
            self.meet(*self.REWRAP, says="without an _id")
        with self.trouble("another wrap", "find", shaped(lambda d: d.replace(string("local:old"), string("local:odd"))),
                          of_job):
            self.meet(*self.REWRAP, exits=(0, 1))

    def test_the_second_read_and_the_write(self):
        inside = on("__keyVault", True)
        for name, change in (("gone", of_batch(lambda docs: [])), ("changed", of_batch(lambda docs: docs[::-1]))):
            with self.trouble(name, "find", change, inside):
                self.meet(*self.REWRAP, exits=(0,))
        for more in ((), ("--all-or-nothing",)):
            with self.trouble(f"fewer than were sent {more}", "update", at("n", INT, int32(3)), inside):
                self.meet(*self.REWRAP, *more, says=f"it wrote 3 of {self.NUMBER}")
            self.run_job(*self.REWRAP)

    def test_a_commit_whose_outcome_nobody_knows(self):
        """All is written here, and the report must not say that nothing is."""
        asked = []

        def silent(raw, head):
            asked.append(raw)
            return last(b"")
        with self.trouble("nobody answers any more", "commitTransaction", silent, times=-1):
            self.middle.twist("find", silent, lambda _: asked, times=-1)
            self.meet(*self.REWRAP, "--all-or-nothing", "--report", "report.json")
        report = json.loads(self.path("report.json").read_text())
        self.assertEqual((False, self.NUMBER), (report["withheld"], report["keys"]["rewrapped"]))
        self.run_job(*self.REWRAP, "--all-or-nothing")
        self.assertEqual({"local:new"}, self.providers())

    def test_status_sees_all(self):
        kept = []

        def hold_back(raw, _):
            """Two empty batches before what the server sent."""
            kept.append(raw)
            return kept[0] if len(kept) == 3 else self.never_ending()(raw, _)
        args = "status", "--key-vault", self.uri, "--key-vault-namespace", self.key_vault.full_name
        with self.trouble("empty batches between", "getMore", hold_back, times=3):
            self.assertIn(f"{self.NUMBER} DEKs", self.keyturn(*args, exit=5).out.decode())
        for name in ("a document of no length", "a list that ends early", "no list"):
            with self.trouble(name, "find", BROKEN_BATCHES[name]):
                self.assertIn(CANNOT_READ, self.keyturn(*args, exit=4).text)
