# SPDX-License-Identifier: Apache-2.0
"""Input that is broken, hostile or impossible: a clear message, the documented exit status, and nothing under the final
name."""
import gzip
import json
import os
import shutil
import struct
import subprocess
import unittest

import archives
import rawbson as b
from rig import Case
from vault import ALGORITHM, Vault, schema, write_schema

NS = "shop.people"
MIB = 1 << 20


def person(i, *more):
    return b.document(("_id", b.INT, b.int32(i)), ("name", b.STRING, b.string(f"person {i}")), *more)


def raw_document(body, length=None):
    """A document with any body and any length in front."""
    return struct.pack("<i", len(body) + 4 if length is None else length) + body


class Bad(Case):
    def setUp(self):
        super().setUp()
        self.vault = Vault(["name"])
        self.keys = self.vault.write(self.folder)
        self.options = self.keys + write_schema(self.path("schema.json"), {
            NS: schema({"name": self.vault.rule("name"), "deep": schema({"x": self.vault.rule("name")})})})
        self.good = b"".join(person(i) for i in range(50))

    def run_raw(self, raw, exit=4, says=NS, **more):
        """Through a file and through a pipe. exit: 2 where it shows before the job begins."""
        self.path("in.bson").write_bytes(raw)
        done = self.refused("encrypt", *self.options, "--ns-include", NS, "--from", "in.bson", "--to", "out", exit=exit,
                            says=says, **more)
        self.keyturn("verify", *self.options, "--ns-include", NS, "--from", "-", stdin=raw, exit=exit)
        for name in ("out.part", "out.part.checkpoint"):
            self.path(name).unlink(missing_ok=True)
        return done


class Bson(Bad):
    def test_documents_whose_frame_is_broken(self):
        doc = person(50)
        cases = {"length 0": raw_document(doc[4:], 0), "length 4": raw_document(doc[4:], 4),
                 "negative": raw_document(doc[4:], -5), "over the end": raw_document(doc[4:], len(doc) + 1),
                 "short by one": raw_document(doc[4:], len(doc) - 1), "2 GiB": raw_document(doc[4:], 0x7FFFFFFF),
                 "over 16 MiB": raw_document(doc[4:], 17 * MIB), "cut in the length": b"\x20\0",
                 "cut": doc[:-3], "no final NUL": doc[:-1] + b"\1", "text": b'{"_id": 1}\n', "zeros": bytes(100)}
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
        cases = {"unknown type": element(0x14, b""), "another": element(0x80, b""),
                 "string length 0": element(b.STRING, b"\0\0\0\0"), "string too long": element(b.STRING, b"\xff\0\0\0a\0"),
                 "string negative": element(b.STRING, b"\xff\xff\xff\xffa\0"),
                 "string without NUL": element(b.STRING, b"\2\0\0\0ab"),
                 "binary too long": element(b.BINARY, b"\xff\0\0\0\0a"), "binary negative": element(b.BINARY, b"\xff" * 5),
                 "int cut": element(b.INT, b"\1\2"), "decimal cut": element(b.DECIMAL, b"\1\2"),
                 "name without NUL": raw_document(b"\2_id\0\2\0\0\0a\0\x10xxxx"),
                 "embedded too long": element(b.OBJECT, b"\xff\0\0\0\0"),
                 "embedded too short": element(b.OBJECT, b"\4\0\0\0\0"), "array without NUL": element(b.ARRAY, b"\5\0\0\0\1"),
                 "regex without NUL": element(b.REGEX, b"abc"), "scope": element(b.SCOPE, b"\x10\0\0\0\1\0\0\0\0\5\0\0\0\0"),
                 "dbPointer cut": element(b.DBPOINTER, b"\2\0\0\0a\0oid"),
                 "elements behind the end": raw_document(b"\x0ax\0\0\x0ay\0\0"), "very deep": deep(5000)}
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
        raw = b.document(("_id", b.INT, b.int32(1)), ("name", b.STRING, b.string("SECRET1")),
                         ("name", b.STRING, b.string("SECRET2")))
        self.path("in.bson").write_bytes(raw)
        self.keyturn("encrypt", *self.options, "--ns-include", NS, "--from", "in.bson", "--to", "out")
        self.assertNotIn(b"SECRET", self.path("out").read_bytes())
        self.keyturn("decrypt", *self.options, "--ns-include", NS, "--from", "out", "--to", "back")
        self.assertEqual(raw, self.path("back").read_bytes())

    def test_an_array_on_the_way_to_a_field(self):
        raw = b.document(("_id", b.INT, b.int32(1)),
                         ("deep", b.ARRAY, b.array((b.OBJECT, b.document(("x", b.INT, b.int32(1)))))))
        self.path("in.bson").write_bytes(raw)
        done = self.keyturn("encrypt", *self.options, "--ns-include", NS, "--from", "in.bson", "--to", "out", exit=1)
        self.assertEqual(1, done.ns["failed"])
        self.assertIn("deep", done.text)
        self.assertEqual(raw, self.path("out").read_bytes())

    def test_a_document_that_would_pass_16_mib(self):
        fits = 16 * MIB - 200
        big = person(7, ("blob", b.BINARY, b.binary(bytes(fits - 60))))
        larger = person(8, ("blob", b.BINARY, b.binary(bytes(fits - 60 + 145))))
        self.assertLess(len(larger), 16 * MIB)
        self.path("in.bson").write_bytes(self.good + big + larger + person(9))
        done = self.keyturn("encrypt", *self.options, "--ns-include", NS, "--from", "in.bson", "--to", "out", exit=1)
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
        for name, payload in (("empty", b""), ("head only", b"\2" + key + b"\2"), ("odd", b"\2" + key + b"\2" + bytes(81)),
                              ("zero", b"\1" + key + b"\2" + bytes(64)), ("unknown key", b"\2" + bytes(16) + b"\2" + bytes(64)),
                              ("bad type", b"\2" + key + b"\x66" + bytes(64))):
            with self.subTest(name):
                raw = b.document(("_id", b.INT, b.int32(1)), ("name", b.BINARY, b.binary(payload, 6)))
                self.path("in.bson").write_bytes(raw)
                for command in ("decrypt", "encrypt"):
                    self.path("out").unlink(missing_ok=True)
                    more = self.keys if command == "decrypt" else self.options
                    code = 0 if command == "decrypt" and name == "empty" else 1
                    if name == "bad type" and command == "encrypt":
                        continue
                    done = self.keyturn(command, *more, "--ns-include", NS, "--from", "in.bson", "--to", "out", exit=code)
                    self.assertEqual(code, done.ns["failed"])
                    self.assertEqual(raw, self.path("out").read_bytes())


class Streams(Bad):
    def test_broken_gzip(self):
        packed = gzip.compress(self.good)
        cases = {"cut": packed[:len(packed) // 2], "no trailer": packed[:-8], "half a trailer": packed[:-3],
                 "wrong sum": packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:],
                 "wrong length": packed[:-1] + bytes([packed[-1] ^ 1]), "flipped": packed[:60] + b"\xff\xff" + packed[62:],
                 "head only": packed[:5], "garbage behind": packed + b"garbage", "unknown method": packed[:2] + b"\7" + packed[3:]}
        for name, raw in cases.items():
            with self.subTest(name):
                self.run_raw(raw, exit=2 if name == "head only" else 4, says="in.bson")

    @unittest.skipUnless(shutil.which("zstd"), "machine: no zstd")
    def test_broken_zstd(self):
        packed = subprocess.run(["zstd", "-q", "-c"], input=self.good, capture_output=True, check=True).stdout
        cases = {"cut": packed[:len(packed) // 2], "no sum": packed[:-4], "half a sum": packed[:-1],
                 "wrong sum": packed[:-1] + bytes([packed[-1] ^ 1]), "head only": packed[:6], "garbage behind": packed + b"xx"}
        for name, raw in cases.items():
            with self.subTest(name):
                self.run_raw(raw, exit=2 if name in ("cut", "head only") else 4, says="in.bson")

    def test_a_bomb_ends_at_its_first_document(self):
        packed = gzip.compress(bytes(200 * MIB), 9)
        self.path("in.bson").write_bytes(packed)
        self.refused("encrypt", *self.options, "--ns-include", NS, "--from", "in.bson", "--to", "out", exit=4, says=NS)

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
                done = self.keyturn("encrypt", *self.options, "--from", "in.archive", "--to", "out",
                                    exit=4 if at > self.archive.index(archives.END) + 4 else 2)
                self.assertIn("in.archive", done.text)
                self.assertFalse(self.path("out").exists())
                for old in self.folder.glob("out.part*"):
                    old.unlink()

    def test_a_wrong_checksum(self):
        for ns in (NS, "shop.other"):
            with self.subTest(ns):
                raw = archives.write({NS: (self.good, "{}"), "shop.other": (self.good, "{}")})
                start = raw.index(b"person 7", raw.index(b"EOF") if ns == NS else raw.rindex(b"EOF", 0, raw.rindex(b"person 7")))
                self.refuse(raw[:start] + b"PERSON 7" + raw[start + 8:], says=("in.archive",))

    def test_structures_that_cannot_be(self):
        head = archives.MAGIC + b.document(("version", b.STRING, b.string("0.1")))

        def space(ns, eof, crc=0):
            return archives._head(*ns.split(".", 1), eof, crc)
        meta = b.document(("db", b.STRING, b.string("shop")), ("collection", b.STRING, b.string("people")),
                          ("metadata", b.STRING, b.string("{}")), ("size", b.INT, b.int32(0)),
                          ("type", b.STRING, b.string("collection")))
        begin = head + meta + archives.END
        crc = archives.crc64(person(1))
        whole = begin + space(NS, False) + person(1) + archives.END + space(NS, True, crc) + archives.END
        self.path("in.archive").write_bytes(whole)
        self.keyturn("encrypt", *self.options, "--from", "in.archive", "--to", "fine")
        cases = {"not closed": begin + space(NS, False) + person(1) + archives.END,
                 "closed twice": whole + space(NS, True, crc) + archives.END,
                 "data behind its end": whole + space(NS, False) + person(2) + archives.END,
                 "documents in the end": begin + space(NS, True) + person(1) + archives.END,
                 "a huge document": begin + space(NS, False) + struct.pack("<i", 0x7FFFFFF0) + bytes(100),
                 "a negative one": begin + space(NS, False) + struct.pack("<i", -2) + bytes(100),
                 "no namespace": begin + archives.END, "a namespace without names": begin + b.document() + archives.END}
        for name, raw in cases.items():
            with self.subTest(name):
                self.refuse(raw)


class Schemas(Bad):
    def refuse(self, ns_schema, *says, text=None):
        self.path("in.bson").write_bytes(self.good)
        self.path("bad.json").write_text(text or json.dumps({NS: ns_schema}))
        done = self.refused("encrypt", *self.keys, "--schema-map", "bad.json", "--ns-include", NS, "--from", "in.bson",
                            "--to", "out", says=("bad.json", *says))
        self.assertIn("Nothing was touched", done.text)

    def test_schemas_that_contradict_themselves(self):
        rule = self.vault.rule("name")
        det = self.vault.rule("name", True)
        uuid = rule["encrypt"]["keyId"]
        random = ALGORITHM + "Random"
        cases = {
            "no key": {"x": {"encrypt": {"algorithm": random}}}, "no algorithm": {"x": {"encrypt": {"keyId": uuid}}},
            "unknown algorithm": {"x": {"encrypt": {"keyId": uuid, "algorithm": "AES"}}},
            "siblings": {"x": {**rule, "bsonType": "string"}}, "unknown option": {"x": {"encrypt": {**rule["encrypt"], "q": 1}}},
            "deterministic without a type": {"x": det},
            "deterministic with two": {"x": {"encrypt": {**det["encrypt"], "bsonType": ["string", "int"]}}},
            "deterministic double": {"x": {"encrypt": {**det["encrypt"], "bsonType": "double"}}},
            "deterministic by name": {"x": {"encrypt": {"keyId": "/n", "algorithm": ALGORITHM + "Deterministic",
                                                        "bsonType": "string"}}},
            "no such type": {"x": {"encrypt": {**rule["encrypt"], "bsonType": "strnig"}}},
            "null": {"x": {"encrypt": {**rule["encrypt"], "bsonType": "null"}}},
            "two keys": {"x": {"encrypt": {"keyId": uuid * 2, "algorithm": random}}},
            "a key of 3 bytes": {"x": {"encrypt": {"keyId": [{"$binary": {"base64": "AAAA", "subType": "04"}}],
                                                   "algorithm": random}}},
            "a pointer without slash": {"x": {"encrypt": {"keyId": "n", "algorithm": random}}},
            "a pointer to a sealed field": {"x": {"encrypt": {"keyId": "/y", "algorithm": random}}, "y": rule},
            "items": {"x": {"bsonType": "array", "items": rule}},
            "a parent that may be an array": {"x": {"bsonType": ["object", "array"], "properties": {"y": rule}}},
            "a parent without a type": {"x": {"properties": {"y": rule}}},
            "anyOf": {"x": {"anyOf": [rule]}}, "the _id": {"_id": rule}}
        for name, properties in cases.items():
            with self.subTest(name):
                self.refuse(schema(properties), NS, "x" if "x" in properties else "_id")

    def test_files_that_are_no_schema(self):
        for text in ("", "{", "[]", '{"shop.people": 3}', '{"nodot": {"bsonType": "object"}}', '{"a.b": {}} trailing',
                     "\0\0"):
            with self.subTest(text):
                self.refuse(None, text=text)

    def test_a_key_that_is_not_there(self):
        self.vault.add("gone")
        self.refuse_key(self.vault.rule("gone"), self.vault.ids["gone"].hex()[:8])

    def refuse_key(self, rule, *says):
        self.path("in.bson").write_bytes(self.good)
        self.path("s.json").write_text(json.dumps({NS: schema({"name": rule})}))
        self.refused("encrypt", *self.keys, "--schema-map", "s.json", "--ns-include", NS, "--from", "in.bson", "--to",
                     "out", says=(NS, "name", *says))


class Keys(Bad):
    def providers(self, providers, *says, vault=None):
        self.path("in.bson").write_bytes(self.good)
        with open(self.path("other.json"), "w") as out:
            out.write(providers if isinstance(providers, str) else json.dumps({"kmsProviders": providers}))
        return self.refused("encrypt", "--key-vault", vault or "keyvault.bson", "--kms-providers", "other.json",
                            "--schema-map", "schema.json", "--ns-include", NS, "--from", "in.bson", "--to", "out",
                            says=says)

    def test_providers(self):
        good = self.vault.providers()["local:old"]["key"]
        other = self.vault.providers()["local:new"]["key"]
        self.providers({"local:old": {"key": good[:-4]}}, "local:old", "96")
        self.providers({"local:old": {"key": good + "AAAA"}}, "local:old", "96")
        self.providers({"local:old": {"key": "!" * 128}}, "local:old")
        self.providers({"local:old": {}}, "local:old")
        self.providers({"local:old": {"key": good, "kye": 1}}, "local:old", "kye")
        self.providers({"lokal": {"key": good}}, "lokal")
        self.providers({"local:bad name": {"key": good}}, "local:bad name")
        self.providers({"local": {"key": good}}, "local:old")
        self.providers({}, "other.json")
        self.providers("{", "other.json")
        done = self.providers({"local:old": {"key": other}}, "local:old")
        for secret in (good, other):
            self.assertNotIn(secret[:12], done.text)

    def test_vaults(self):
        doc = self.vault.docs["name"]
        providers = self.vault.providers()
        fields = {name: (name, kind, value) for name, kind, value in b.elements(doc)}

        def with_field(name, kind, value):
            return b.document(*{**fields, name: (name, kind, value)}.values())
        for name, raw in (("material cut", with_field("keyMaterial", b.BINARY, b.binary(bytes(90)))),
                          ("material changed", with_field("keyMaterial", b.BINARY, b.binary(bytes(160)))),
                          ("unknown field", with_field("extra", b.INT, b.int32(1))),
                          ("version 1", with_field("version", b.INT, b.int32(1))),
                          ("no master key", b.document(*(f for n, f in fields.items() if n != "masterKey"))),
                          ("broken", doc[:-1]), ("empty", b"")):
            with self.subTest(name):
                self.path("odd.bson").write_bytes(raw)
                self.path("in.bson").write_bytes(self.good)
                code = 2
                done = self.keyturn("encrypt", "--key-vault", "odd.bson", "--kms-providers", "kms.json", "--schema-map",
                                    "schema.json", "--ns-include", NS, "--from", "in.bson", "--to", "out", exit=code)
                self.assertTrue("odd.bson" in done.text or NS in done.text, done.text)
                self.assertFalse(self.path("out").exists())
        self.providers(providers, "nothing.bson", vault="nothing.bson")

    def test_two_keys_of_one_name(self):
        """The document that uses the name fails, and no other."""
        self.vault.add("twin")
        twin = self.vault.docs.pop("twin")
        self.vault.add("twin")
        self.path("keyvault.bson").write_bytes(self.vault.raw() + twin)
        rule = {"encrypt": {"keyId": "/k", "algorithm": ALGORITHM + "Random"}}
        self.path("in.bson").write_bytes(person(0, ("k", b.STRING, b.string("twin"))) + person(1, ("k", b.STRING, b.string("name"))))
        options = self.keys + write_schema(self.path("p.json"), {NS: schema({"name": rule})})
        done = self.keyturn("encrypt", *options, "--ns-include", NS, "--from", "in.bson", "--to", "out", exit=1)
        self.assertEqual((1, 1), (done.ns["failed"], done.ns["values"]))
        self.assertIn("twin", done.text)


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
