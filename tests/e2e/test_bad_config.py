# SPDX-License-Identifier: Apache-2.0
"""Schemas that contradict themselves, keys that are not to be had: refused before anything is written."""

import json
import unittest

import rawbson as b
from bad import HERE, NS, Bad, person
from vault import ALGORITHM, schema, write_schema


class Schemas(Bad):
    def refuse(self, ns_schema, *says, text=None):
        self.path("in.bson").write_bytes(self.good)
        self.path("bad.json").write_text(text or json.dumps({NS: ns_schema}))
        done = self.refused("encrypt", *self.keys, "--schema-map", "bad.json", *HERE, says=("bad.json", *says))
        self.assertIn("Nothing was touched", done.text)

    def test_schemas_that_contradict_themselves(self):
        rule = self.vault.rule("name")
        det = self.vault.rule("name", True)
        uuid = rule["encrypt"]["keyId"]
        random = ALGORITHM + "Random"
        cases = {
            "no key": {"x": {"encrypt": {"algorithm": random}}},
            "no algorithm": {"x": {"encrypt": {"keyId": uuid}}},
            "unknown algorithm": {"x": {"encrypt": {"keyId": uuid, "algorithm": "AES"}}},
            "siblings": {"x": {**rule, "bsonType": "string"}},
            "unknown option": {"x": {"encrypt": {**rule["encrypt"], "q": 1}}},
            "deterministic without a type": {"x": det},
            "deterministic with two": {"x": {"encrypt": {**det["encrypt"], "bsonType": ["string", "int"]}}},
            "deterministic double": {"x": {"encrypt": {**det["encrypt"], "bsonType": "double"}}},
            "deterministic by name": {
                "x": {"encrypt": {"keyId": "/n", "algorithm": ALGORITHM + "Deterministic", "bsonType": "string"}}
            },
            "no such type": {"x": {"encrypt": {**rule["encrypt"], "bsonType": "strnig"}}},
            "null": {"x": {"encrypt": {**rule["encrypt"], "bsonType": "null"}}},
            "two keys": {"x": {"encrypt": {"keyId": uuid * 2, "algorithm": random}}},
            "a key of 3 bytes": {
                "x": {"encrypt": {"keyId": [{"$binary": {"base64": "AAAA", "subType": "04"}}], "algorithm": random}}
            },
            "a pointer without slash": {"x": {"encrypt": {"keyId": "n", "algorithm": random}}},
            "a pointer to a sealed field": {"x": {"encrypt": {"keyId": "/y", "algorithm": random}}, "y": rule},
            "items": {"x": {"bsonType": "array", "items": rule}},
            "a parent that may be an array": {"x": {"bsonType": ["object", "array"], "properties": {"y": rule}}},
            "a parent without a type": {"x": {"properties": {"y": rule}}},
            "anyOf": {"x": {"anyOf": [rule]}},
            "the _id": {"_id": rule},
        }
        for name, properties in cases.items():
            with self.subTest(name):
                self.refuse(schema(properties), NS, "x" if "x" in properties else "_id")

    def test_files_that_are_no_schema(self):
        for text in (
            "",
            "{",
            "[]",
            '{"shop.people": 3}',
            '{"nodot": {"bsonType": "object"}}',
            '{"a.b": {}} trailing',
            "\0\0",
        ):
            with self.subTest(text):
                self.refuse(None, text=text)

    def test_a_key_that_is_not_there(self):
        self.vault.add("gone")
        self.refuse_key(self.vault.rule("gone"), self.vault.ids["gone"].hex()[:8])

    def refuse_key(self, rule, *says):
        self.path("in.bson").write_bytes(self.good)
        self.path("s.json").write_text(json.dumps({NS: schema({"name": rule})}))
        self.refused("encrypt", *self.keys, "--schema-map", "s.json", *HERE, says=(NS, "name", *says))


class Keys(Bad):
    def providers(self, providers, *says, vault=None):
        self.path("in.bson").write_bytes(self.good)
        with open(self.path("other.json"), "w") as out:
            out.write(providers if isinstance(providers, str) else json.dumps({"kmsProviders": providers}))
        keys = ["--key-vault", vault or "keyvault.bson", "--kms-providers", "other.json"]
        return self.refused("encrypt", *keys, "--schema-map", "schema.json", *HERE, says=says)

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

        for name, raw in (
            ("material cut", with_field("keyMaterial", b.BINARY, b.binary(bytes(90)))),
            ("material changed", with_field("keyMaterial", b.BINARY, b.binary(bytes(160)))),
            ("unknown field", with_field("extra", b.INT, b.int32(1))),
            ("version 1", with_field("version", b.INT, b.int32(1))),
            ("no master key", b.document(*(f for n, f in fields.items() if n != "masterKey"))),
            ("broken", doc[:-1]),
            ("empty", b""),
        ):
            with self.subTest(name):
                self.path("odd.bson").write_bytes(raw)
                self.path("in.bson").write_bytes(self.good)
                keys = ["--key-vault", "odd.bson", "--kms-providers", "kms.json"]
                done = self.keyturn("encrypt", *keys, "--schema-map", "schema.json", *HERE, exit=2)
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
        self.path("in.bson").write_bytes(
            person(0, ("k", b.STRING, b.string("twin"))) + person(1, ("k", b.STRING, b.string("name")))
        )
        options = self.keys + write_schema(self.path("p.json"), {NS: schema({"name": rule})})
        done = self.keyturn("encrypt", *options, *HERE, exit=1)
        self.assertEqual((1, 1), (done.ns["failed"], done.ns["values"]))
        self.assertIn("twin", done.text)


if __name__ == "__main__":
    unittest.main()
