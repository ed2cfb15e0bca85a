# SPDX-License-Identifier: Apache-2.0
"""Data that is broken, hostile or impossible: a clear message with its place, the documented exit status, and nothing
under the final name."""

import gzip
import json
import os
import shutil
import struct
import subprocess
import unittest

import archives
import rawbson as b
from bad import HERE, MIB, NS, Bad, person, raw_document


class Bson(Bad):
    def test_documents_whose_frame_is_broken(self):
        doc = person(50)
        cases = {
            "length 0": raw_document(doc[4:], 0),
            "length 4": raw_document(doc[4:], 4),
            "negative": raw_document(doc[4:], -5),
            "over the end": raw_document(doc[4:], len(doc) + 1),
            "short by one": raw_document(doc[4:], len(doc) - 1),
            "2 GiB": raw_document(doc[4:], 0x7FFFFFFF),
            "over 16 MiB": raw_document(doc[4:], 17 * MIB),
            "cut in the length": b"\x20\0",
            "cut": doc[:-3],
            "no final NUL": doc[:-1] + b"\1",
            "text": b'{"_id": 1}\n',
            "zeros": bytes(100),
        }
        for name, bad in cases.items():
            for where, raw in (("first", bad + self.good), ("last", self.good + bad)):
                with self.subTest(name, where=where):
                    if name.startswith(("cut", "over")) and where == "first":
                        continue
                    if where == "first" and name == "text":
                        self.run_raw(raw, exit=4, says="in.bson")
                        continue
                    done = self.run_raw(raw)
                    if where == "last":
                        self.assertIn(str(len(self.good)), done.text)

    def test_documents_whose_inside_is_broken(self):
        def element(kind, value, name=b"x\0"):
            return raw_document(b"\2_id\0\2\0\0\0a\0" + bytes([kind]) + name + value + b"\0")

        def deep(levels):
            doc = b.document()
            for _ in range(levels):
                doc = raw_document(b"\3x\0" + doc + b"\0")
            return doc

        cases = {
            "unknown type": element(0x14, b""),
            "another": element(0x80, b""),
            "string length 0": element(b.STRING, b"\0\0\0\0"),
            "string too long": element(b.STRING, b"\xff\0\0\0a\0"),
            "string negative": element(b.STRING, b"\xff\xff\xff\xffa\0"),
            "string without NUL": element(b.STRING, b"\2\0\0\0ab"),
            "binary too long": element(b.BINARY, b"\xff\0\0\0\0a"),
            "binary negative": element(b.BINARY, b"\xff" * 5),
            "int cut": element(b.INT, b"\1\2"),
            "decimal cut": element(b.DECIMAL, b"\1\2"),
            "name without NUL": raw_document(b"\2_id\0\2\0\0\0a\0\x10xxxx"),
            "embedded too long": element(b.OBJECT, b"\xff\0\0\0\0"),
            "embedded too short": element(b.OBJECT, b"\4\0\0\0\0"),
            "array without NUL": element(b.ARRAY, b"\5\0\0\0\1"),
            "regex without NUL": element(b.REGEX, b"abc"),
            "scope": element(b.SCOPE, b"\x10\0\0\0\1\0\0\0\0\5\0\0\0\0"),
            "dbPointer cut": element(b.DBPOINTER, b"\2\0\0\0a\0oid"),
            "elements behind the end": raw_document(b"\x0ax\0\0\x0ay\0\0"),
            "very deep": deep(5000),
        }
        for name, bad in cases.items():
            with self.subTest(name):
                done = self.run_raw(self.good + bad + person(51))
                self.assertIn(str(len(self.good)), done.text)

    def test_other_namespaces_are_not_looked_into(self):
        self.path("dump/shop").mkdir(parents=True)
        odd = raw_document(b"\x14x\0\0")
        self.path("dump/shop/people.bson").write_bytes(self.good)
        self.path("dump/shop/odd.bson").write_bytes(odd)
        self.keyturn("encrypt", *self.options, "--from", "dump", "--to", "out")
        self.assertEqual(odd, self.path("out/shop/odd.bson").read_bytes())

    def test_fields_that_come_twice(self):
        """Both are sealed, or the document is refused: neither may stay as plaintext."""
        raw = b.document(
            ("_id", b.INT, b.int32(1)),
            ("name", b.STRING, b.string("SECRET1")),
            ("name", b.STRING, b.string("SECRET2")),
        )
        self.path("in.bson").write_bytes(raw)
        self.keyturn("encrypt", *self.options, *HERE)
        self.assertNotIn(b"SECRET", self.path("out").read_bytes())
        self.keyturn("decrypt", *self.options, "--ns-include", NS, "--from", "out", "--to", "back")
        self.assertEqual(raw, self.path("back").read_bytes())

    def test_an_array_on_the_way_to_a_field(self):
        raw = b.document(
            ("_id", b.INT, b.int32(1)), ("deep", b.ARRAY, b.array((b.OBJECT, b.document(("x", b.INT, b.int32(1))))))
        )
        self.path("in.bson").write_bytes(raw)
        done = self.keyturn("encrypt", *self.options, *HERE, exit=1)
        self.assertEqual(1, done.ns["failed"])
        self.assertIn("deep", done.text)
        self.assertEqual(raw, self.path("out").read_bytes())

    def test_a_document_that_would_pass_16_mib(self):
        fits = 16 * MIB - 200
        big = person(7, ("blob", b.BINARY, b.binary(bytes(fits - 60))))
        larger = person(8, ("blob", b.BINARY, b.binary(bytes(fits - 60 + 145))))
        self.assertLess(len(larger), 16 * MIB)
        self.path("in.bson").write_bytes(self.good + big + larger + person(9))
        done = self.keyturn("encrypt", *self.options, *HERE, exit=1)
        self.assertEqual((53, 52, 1), (done.ns["documents"], done.ns["changed"], done.ns["failed"]))
        self.assertIn(f"{NS} _id 8", done.text)
        self.assertIn("16 MiB", done.text)
        out = b.split(self.path("out").read_bytes())
        self.assertTrue(out[51] == larger)
        self.assertLessEqual(len(out[50]), 16 * MIB)
        (line,) = self.path(f"{NS}-failed.ndjson").read_text().splitlines()
        self.assertEqual("8", json.loads(line)["_id"]["$numberInt"])

    def test_a_hostile_payload(self):
        """What claims to be sealed and is not: too short, of an unknown key, of a type that BSON lacks."""
        key = self.vault.ids["name"]
        for name, payload in (
            ("empty", b""),
            ("head only", b"\2" + key + b"\2"),
            ("odd", b"\2" + key + b"\2" + bytes(81)),
            ("zero", b"\1" + key + b"\2" + bytes(64)),
            ("unknown key", b"\2" + bytes(16) + b"\2" + bytes(64)),
            ("bad type", b"\2" + key + b"\x66" + bytes(64)),
        ):
            with self.subTest(name):
                raw = b.document(("_id", b.INT, b.int32(1)), ("name", b.BINARY, b.binary(payload, 6)))
                self.path("in.bson").write_bytes(raw)
                for command in ("decrypt", "encrypt"):
                    self.path("out").unlink(missing_ok=True)
                    more = self.keys if command == "decrypt" else self.options
                    code = 0 if command == "decrypt" and name == "empty" else 1
                    if name == "bad type" and command == "encrypt":
                        continue
                    done = self.keyturn(
                        command, *more, *HERE, exit=code
                    )
                    self.assertEqual(code, done.ns["failed"])
                    self.assertEqual(raw, self.path("out").read_bytes())


class Streams(Bad):
    def test_broken_gzip(self):
        packed = gzip.compress(self.good)
        cases = {
            "cut": packed[: len(packed) // 2],
            "no trailer": packed[:-8],
            "half a trailer": packed[:-3],
            "wrong sum": packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:],
            "wrong length": packed[:-1] + bytes([packed[-1] ^ 1]),
            "flipped": packed[:60] + b"\xff\xff" + packed[62:],
            "head only": packed[:5],
            "garbage behind": packed + b"garbage",
            "unknown method": packed[:2] + b"\7" + packed[3:],
        }
        for name, raw in cases.items():
            with self.subTest(name):
                self.run_raw(raw, exit=2 if name == "head only" else 4, says="in.bson")

    @unittest.skipUnless(shutil.which("zstd"), "machine: no zstd")
    def test_broken_zstd(self):
        packed = subprocess.run(["zstd", "-q", "-c"], input=self.good, capture_output=True, check=True).stdout
        cases = {
            "cut": packed[: len(packed) // 2],
            "no sum": packed[:-4],
            "half a sum": packed[:-1],
            "wrong sum": packed[:-1] + bytes([packed[-1] ^ 1]),
            "head only": packed[:6],
            "garbage behind": packed + b"xx",
        }
        for name, raw in cases.items():
            with self.subTest(name):
                self.run_raw(raw, exit=2 if name in ("cut", "head only") else 4, says="in.bson")

    def test_a_bomb_ends_at_its_first_document(self):
        packed = gzip.compress(bytes(200 * MIB), 9)
        self.path("in.bson").write_bytes(packed)
        self.refused(
            "encrypt", *self.options, *HERE, exit=4, says=NS
        )

    def test_empty_inputs_are_whole(self):
        for name, raw in (("plain", b""), ("gzip", gzip.compress(b""))):
            with self.subTest(name):
                self.path("in.bson").write_bytes(raw)
                done = self.keyturn("encrypt", *self.options, "--ns-include", NS, "--from", "in.bson", "--to", name)
                self.assertEqual(0, done.ns["documents"])
                out = self.path(name).read_bytes()
                self.assertEqual(b"", gzip.decompress(out) if raw else out)


class Archives(Bad):
    def setUp(self):
        super().setUp()
        self.archive = archives.write({NS: (self.good, "{}"), "shop.other": (self.good, "{}")}, segment=1000)

    def refuse(self, raw, exit=4, says="in.archive"):
        self.path("in.archive").write_bytes(raw)
        for packed in (raw, gzip.compress(raw)):
            self.path("in.archive").write_bytes(packed)
            for old in self.folder.glob("out.part*"):
                old.unlink()
            self.refused("encrypt", *self.options, "--from", "in.archive", "--to", "out", exit=exit, says=says)

    def test_cut_anywhere(self):
        step = max(1, len(self.archive) // 30)
        for at in [*range(4, len(self.archive), step), len(self.archive) - 1, len(self.archive) - 4]:
            with self.subTest(at=at):
                self.path("in.archive").write_bytes(self.archive[:at])
                done = self.keyturn(
                    "encrypt",
                    *self.options,
                    "--from",
                    "in.archive",
                    "--to",
                    "out",
                    exit=4 if at > self.archive.index(archives.END) + 4 else 2,
                )
                self.assertIn("in.archive", done.text)
                self.assertFalse(self.path("out").exists())
                for old in self.folder.glob("out.part*"):
                    old.unlink()

    def test_a_wrong_checksum(self):
        for ns in (NS, "shop.other"):
            with self.subTest(ns):
                raw = archives.write({NS: (self.good, "{}"), "shop.other": (self.good, "{}")})
                start = raw.index(
                    b"person 7", raw.index(b"EOF") if ns == NS else raw.rindex(b"EOF", 0, raw.rindex(b"person 7"))
                )
                self.refuse(raw[:start] + b"PERSON 7" + raw[start + 8 :], says=("in.archive",))

    def test_structures_that_cannot_be(self):
        head = archives.MAGIC + b.document(("version", b.STRING, b.string("0.1")))

        def space(ns, eof, crc=0):
            return archives._head(*ns.split(".", 1), eof, crc)

        meta = b.document(
            ("db", b.STRING, b.string("shop")),
            ("collection", b.STRING, b.string("people")),
            ("metadata", b.STRING, b.string("{}")),
            ("size", b.INT, b.int32(0)),
            ("type", b.STRING, b.string("collection")),
        )
        begin = head + meta + archives.END
        crc = archives.crc64(person(1))
        whole = begin + space(NS, False) + person(1) + archives.END + space(NS, True, crc) + archives.END
        self.path("in.archive").write_bytes(whole)
        self.keyturn("encrypt", *self.options, "--from", "in.archive", "--to", "fine")
        cases = {
            "not closed": begin + space(NS, False) + person(1) + archives.END,
            "closed twice": whole + space(NS, True, crc) + archives.END,
            "data behind its end": whole + space(NS, False) + person(2) + archives.END,
            "documents in the end": begin + space(NS, True) + person(1) + archives.END,
            "a huge document": begin + space(NS, False) + struct.pack("<i", 0x7FFFFFF0) + bytes(100),
            "a negative one": begin + space(NS, False) + struct.pack("<i", -2) + bytes(100),
            "no namespace": begin + archives.END,
            "a namespace without names": begin + b.document() + archives.END,
        }
        for name, raw in cases.items():
            with self.subTest(name):
                self.refuse(raw)


class Folders(Bad):
    def test_links_and_others(self):
        self.path("dump/shop").mkdir(parents=True)
        self.path("dump/shop/people.bson").write_bytes(self.good)
        for name, make in (("link", lambda p: p.symlink_to("/etc/passwd")), ("fifo", os.mkfifo)):
            with self.subTest(name):
                odd = self.path("dump/shop", name)
                make(odd)
                self.refused("encrypt", *self.options, "--from", "dump", "--to", "out", says=name)
                odd.unlink()

    def test_metadata_that_is_no_json(self):
        self.path("dump/shop").mkdir(parents=True)
        self.path("dump/shop/people.bson").write_bytes(self.good)
        self.path("dump/shop/people.metadata.json").write_text("{")
        self.refused("encrypt", *self.options, "--from", "dump", "--to", "out", says=("metadata", "shop/people"))

    def test_an_output_inside_its_input(self):
        self.path("dump/shop").mkdir(parents=True)
        self.path("dump/shop/people.bson").write_bytes(self.good)
        for to in ("dump/out", "dump/shop/out"):
            self.refused("encrypt", *self.options, "--from", "dump", "--to", to, says="inside")
        self.refused("encrypt", *self.options, "--from", "dump", "--to", "-", says="folder")

    def test_a_broken_file_of_a_folder(self):
        self.path("dump/shop").mkdir(parents=True)
        self.path("dump/shop/people.bson").write_bytes(self.good)
        self.path("dump/shop/other.bson").write_bytes(self.good + b"\3")
        self.refused("encrypt", *self.options, "--from", "dump", "--to", "out", exit=4, says="other")


if __name__ == "__main__":
    unittest.main()
