# SPDX-License-Identifier: Apache-2.0
"""Strings that are not UTF-8, as servers store them: they pass through where nothing is sealed, fail their document
where something is, and never the job."""

import json
import unittest

import rawbson as b
from bad import NS, Bad, person

LATIN = b"caf\xe9"
LIST = f"{NS}-failed.ndjson"


class Texts(Bad):
    def run_raw_ok(self, command, raw, *more, exit=0):
        self.path("in.bson").write_bytes(raw)
        self.path("out").unlink(missing_ok=True)
        out = [] if command == "verify" else ["--to", "out"]
        return self.keyturn(
            command, *self.options, "--ns-include", NS, "--from", "in.bson", *out, *more, exit=exit
        )

    def listed(self, name=LIST):
        return [json.loads(line) for line in self.path(name).read_text().splitlines()]

    def test_what_the_schema_does_not_name_passes_through(self):
        odd = [
            ("text", b.STRING, b.string(LATIN)),
            ("code", b.CODE, b.string(LATIN)),
            ("symbol", b.SYMBOL, b.string(LATIN)),
            ("pointer", b.DBPOINTER, b.string(LATIN) + bytes(12)),
            ("inner", b.OBJECT, b.document(("x", b.STRING, b.string(LATIN)))),
            (LATIN, b.ARRAY, b.array((b.STRING, b.string(LATIN)))),
        ]
        raw = person(1, *odd)
        done = self.run_raw_ok("encrypt", raw)
        self.assertEqual((1, 0), (done.ns["values"], done.ns["failed"]))
        sealed = self.path("out").read_bytes()
        fields = b.fields(sealed)
        self.assertEqual([e[1:] for e in odd], [e[1:] for e in list(b.elements(sealed))[2:]])
        self.assertEqual(b.BINARY, fields["name"][0])
        self.keyturn("verify", *self.options, "--ns-include", NS, "--from", "out")
        self.keyturn("decrypt", *self.keys, "--ns-include", NS, "--from", "out", "--to", "back")
        self.assertEqual(raw, self.path("back").read_bytes())

    def test_what_is_to_be_sealed_fails_its_document(self):
        for kind, value in (
            (b.STRING, b.string(LATIN)),
            (b.SYMBOL, b.string(LATIN)),
            (b.OBJECT, b.document(("x", b.STRING, b.string(LATIN)))),
            (b.ARRAY, b.array((b.STRING, b.string(LATIN)))),
        ):
            with self.subTest(kind):
                raw = b.document(("_id", b.INT, b.int32(7)), ("name", kind, value))
                self.run_raw_ok("encrypt", raw, exit=1)
                self.assertEqual(raw, self.path("out").read_bytes())
                (line,) = self.listed()
                self.assertEqual("name", line["path"])
                self.assertIn("UTF-8", line["reason"])
                done = self.run_raw_ok("encrypt", raw, "--on-unencryptable", "leave")
                self.assertEqual(1, done.ns["left"])

    def bad_ids(self):
        nan = b"\x01\0\0\0\0\0\xf8\x7f"
        return [
            (b.STRING, b.string(LATIN)),
            (b.OBJECT, b.document(("x", b.STRING, b.string(LATIN)))),
            (b.OBJECT, b.document(("$oid", b.INT, b.int32(5)))),
            (b.DOUBLE, nan),
            (b.STRING, b.string(b"a\0b")),
            (b.INT, b.int32(3)),
        ]

    def test_ids_that_json_cannot_hold_are_listed_and_found_again(self):
        docs = [b.document(("_id", *value), ("name", b.NULL, b"")) for value in self.bad_ids()]
        done = self.run_raw_ok("encrypt", b"".join(docs), exit=1)
        self.assertEqual(len(docs), done.ns["failed"])
        lines = self.listed()
        self.assertEqual("caf\\xe9", lines[0]["_id"])
        self.assertNotIn("idBson", lines[-1])
        self.path("list").write_text(self.path(LIST).read_text())
        mended = [b.document(("_id", *value), ("name", b.INT, b.int32(1))) for value in self.bad_ids()]
        done = self.run_raw_ok("encrypt", b"".join(mended) + person(4), "--only", "list")
        self.assertEqual(len(docs), done.ns["values"])

    def test_paths_that_are_not_utf8(self):
        field = b"na\xffme"
        rules = {"bsonType": "object", "patternProperties": {"^na": self.vault.rule("name")}}
        self.path("schema.json").write_text(json.dumps({NS: rules}))
        raw = b.document(("_id", b.INT, b.int32(1)), (field, b.NULL, b""))
        done = self.run_raw_ok("encrypt", raw, exit=1)
        self.assertIn("na\\xffme", done.text)
        self.assertEqual(["na\\xffme"], [line["path"] for line in self.listed()])
        self.run_raw_ok("verify", raw, "--failures", "found", exit=5)
        self.assertEqual(["na\\xffme"], [line["path"] for line in self.listed("found")])

    def test_a_namespace_that_is_not_utf8(self):
        """decrypt without a schema takes whatever namespaces there are."""
        payload = b.binary(b"\2" + bytes(16) + b"\2" + bytes(64), 6)
        self.path("dump/shop").mkdir(parents=True)
        self.path("dump/shop/peo%FFple.bson").write_bytes(
            b.document(("_id", b.INT, b.int32(1)), ("x", b.BINARY, payload))
        )
        done = self.keyturn("decrypt", *self.keys, "--from", "dump", "--to", "out", exit=1)
        self.assertEqual(1, done.ns["failed"])
        (name,) = [n for n in self.folder.iterdir() if n.name.endswith("-failed.ndjson")]
        self.assertEqual("shop.peo\\xffple", json.loads(name.read_text())["ns"])


if __name__ == "__main__":
    unittest.main()
