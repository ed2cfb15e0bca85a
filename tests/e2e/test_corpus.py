# SPDX-License-Identifier: Apache-2.0
"""The drivers' corpus of CSFLE: every case under the local key, and what becomes of the others."""

import base64
import json
import unittest

import bson
from bson import json_util

import rawbson
from judge import Judge
from rig import SHARED, Case, needs_shared
from vault import ALGORITHM, schema, write_schema

CORPUS = SHARED / "vectors/csfle-corpus"
NS = "test.corpus"
LOCAL_KEY = base64.b64decode("LOCALAAAAAAAAAAAAAAAAA==")


@needs_shared("vectors", "csfle-corpus")
class Corpus(Case):
    def setUp(self):
        super().setUp()
        fixtures = json.loads((SHARED / "vectors/fixtures.json").read_text())
        (master,) = (k["base64"] for k in fixtures["local_master_keys"] if k["name"] == "LOCAL_MASTERKEY")
        self.providers = {"local": {"key": master}}
        self.path("kms.json").write_text(json.dumps({"kmsProviders": self.providers}))
        self.path("kms.json").chmod(0o600)
        self.vault = CORPUS / "bson/keyvault.datakeys.bson"
        self.keys = ["--key-vault", self.vault, "--kms-providers", "kms.json"]
        self.plain = rawbson.fields((CORPUS / "bson/corpus-half.bson").read_bytes())
        self.sealed = rawbson.fields((CORPUS / "bson/corpus-encrypted-half.bson").read_bytes())
        self.cases = {
            name: bson.decode(value, bson.CodecOptions(document_class=dict))
            for name, (kind, value) in self.plain.items()
            if kind == rawbson.OBJECT
            for value in [rawbson.document(*(e for e in rawbson.elements(value) if e[0] != "value"))]
        }

    def some(self, **wanted):
        return [n for n, c in self.cases.items() if all(c[k] == v for k, v in wanted.items())]

    def one(self, fields, name):
        """A document of one case, with the fields that key names point to."""
        names = [(n, *self.plain[n]) for n in self.plain if n.startswith("altname_")]
        return rawbson.document(("_id", rawbson.STRING, rawbson.string(name)), *names, (name, *fields[name]))

    def rule(self, name, types=True):
        case = self.cases[name]
        deterministic = case["algo"] == "det"
        by_name = case["identifier"] == "altname" and not deterministic
        key = (
            "/altname_local"
            if by_name
            else [{"$binary": {"base64": base64.b64encode(LOCAL_KEY).decode(), "subType": "04"}}]
        )
        rule = {"keyId": key, "algorithm": ALGORITHM + ("Deterministic" if deterministic else "Random")}
        if types:
            rule["bsonType"] = case["type"].split("=")[0]
        return schema({name: schema({"value": {"encrypt": rule}})})

    def schema_of(self, names, types=True):
        properties = {}
        for name in names:
            properties |= self.rule(name, types)["properties"]
        return write_schema(self.path("schema.json"), {NS: schema(properties)})

    def value(self, document, name):
        return rawbson.fields(rawbson.fields(document)[name][1])["value"]

    def run_cases(self, command, fields, names, options, **more):
        self.path("in.bson").write_bytes(b"".join(self.one(fields, n) for n in names))
        self.path("out.bson").unlink(missing_ok=True)
        done = self.keyturn(
            command, *self.keys, *options, "--ns-include", NS, "--from", "in.bson", "--to", "out.bson", **more
        )
        return done, dict(zip(names, rawbson.split(self.path("out.bson").read_bytes()), strict=True))

    def test_deterministic_payloads_byte_for_byte(self):
        names = self.some(kms="local", algo="det", allowed=True)
        self.assertEqual(22, len(names))
        done, made = self.run_cases("encrypt", self.plain, names, self.schema_of(names))
        self.assertEqual(22, done.ns["values"])
        for name in names:
            self.assertEqual(self.one(self.sealed, name), made[name], name)

    def test_random_payloads_open_and_are_made_anew(self):
        names = self.some(kms="local", algo="rand", allowed=True)
        self.assertEqual(48, len(names))
        _, opened = self.run_cases("decrypt", self.sealed, names, [])
        for name in names:
            self.assertEqual(self.one(self.plain, name), opened[name], name)
        _, made = self.run_cases("encrypt", self.plain, names, self.schema_of(names))
        with Judge(rawbson.split(self.vault.read_bytes()), self.providers) as judge:
            for name in names:
                old, new = self.value(self.one(self.sealed, name), name)[1], self.value(made[name], name)[1]
                self.assertEqual((len(old), old[:23]), (len(new), new[:23]), name)
                self.assertNotEqual(old, new)
                self.assertEqual(self.one(self.plain, name), judge.decrypt(made[name]), name)

    def test_what_is_not_allowed_is_refused_by_the_schema_or_fails_its_document(self):
        names = self.some(kms="local", allowed=False)
        self.assertEqual(16, len(names))
        by_schema = by_value = 0
        for name in names:
            with self.subTest(name):
                self.path("in.bson").write_bytes(self.one(self.plain, name))
                options = [*self.keys, "--ns-include", NS, "--from", "in.bson", "--to", name]
                self.refused("encrypt", *options, *self.schema_of([name]), says=(NS, name, "value"))
                by_schema += 1
                if self.cases[name]["algo"] == "det":
                    continue
                done = self.keyturn("encrypt", *options, *self.schema_of([name], types=False), exit=1)
                self.assertEqual(1, done.ns["failed"])
                self.assertIn(f"{name}.value", done.text)
                self.assertEqual(self.one(self.plain, name), self.path(name).read_bytes())
                (line,) = self.path(f"{NS}-failed.ndjson").read_text().splitlines()
                line = json.loads(line)
                self.assertEqual((NS, name, f"{name}.value"), (line["ns"], line["_id"], line["path"]))
                by_value += 1
        self.assertEqual((16, 6), (by_schema, by_value))

    def test_values_under_other_providers_stay_and_are_reported(self):
        names = [n for n in self.some(allowed=True) if rawbson.payload(*self.value(self.one(self.sealed, n), n))]
        done, made = self.run_cases("decrypt", self.sealed, names, [], exit=1)
        failed = [json.loads(line) for line in self.path(f"{NS}-failed.ndjson").read_text().splitlines()]
        reasons = {line["_id"]: line for line in failed}
        self.assertEqual(len(failed), len(reasons))
        self.assertEqual(done.ns["failed"], len(failed))
        for name in names:
            kms = self.cases[name]["kms"]
            wanted = self.plain if kms == "local" else self.sealed
            self.assertEqual(self.one(wanted, name), made[name], name)
            self.assertEqual(kms == "local", name not in reasons, name)
            if kms != "local":
                self.assertIn(kms, reasons[name]["reason"])
                self.assertEqual(f"{name}.value", reasons[name]["path"])
        self.assertGreater(len(failed), 200)

    def test_the_corpus_schema(self):
        """As it is it needs keys of all providers; its local part seals and opens the corpus as one document."""
        whole = json.loads((CORPUS / "corpus-schema.json").read_text())
        source = CORPUS / "bson/corpus-half.bson"
        options = [*self.keys, "--ns-include", NS, "--from", source, "--to", "sealed.bson"]
        done = self.refused("encrypt", *options, *write_schema(self.path("schema.json"), {NS: whole}), says=NS)
        self.assertRegex(done.text, "aws|azure|gcp|kmip")

        whole["properties"] = {n: p for n, p in whole["properties"].items() if n.startswith("local_")}
        rules = [n for n in self.some(kms="local", method="auto")]
        done = self.keyturn("encrypt", *options, *write_schema(self.path("schema.json"), {NS: whole}))
        self.assertEqual(len(rules), done.ns["values"])
        made = rawbson.fields(self.path("sealed.bson").read_bytes())
        self.assertEqual(list(self.plain), list(made))
        for name in made:
            if name not in rules:
                self.assertEqual(self.plain[name], made[name], name)
            elif self.cases[name]["algo"] == "det":
                self.assertEqual(self.sealed[name], made[name], name)
        self.keyturn("decrypt", *self.keys, "--from", "sealed.bson", "--to", "back.bson")
        self.assertEqual(source.read_bytes(), self.path("back.bson").read_bytes())


@needs_shared("vectors", "csfle-external")
class External(Case):
    """The drivers' other example: one string field, its schema and key as Extended JSON."""

    def test_schema_and_key(self):
        folder = SHARED / "vectors/csfle-external"
        fixtures = json.loads((SHARED / "vectors/fixtures.json").read_text())
        master = fixtures["local_master_keys"][0]["base64"]
        self.path("kms.json").write_text(json.dumps({"kmsProviders": {"local": {"key": master}}}))
        key = json_util.loads(folder.joinpath("external-key.json").read_text())
        self.path("keyvault.bson").write_bytes(bson.encode(key))
        options = ["--key-vault", "keyvault.bson", "--kms-providers", "kms.json", "--schema-map", "schema.json"]
        self.path("schema.json").write_text('{"db.coll": %s}' % folder.joinpath("external-schema.json").read_text())
        plain = bson.encode({"_id": 1, "encrypted": "test"})
        done = self.keyturn("encrypt", *options, "--from", "-", "--to", "-", stdin=plain)
        with Judge([bson.encode(key)], {"local": {"key": master}}) as judge:
            self.assertEqual(plain, judge.decrypt(done.out))
        self.assertNotEqual(plain, done.out)


if __name__ == "__main__":
    unittest.main()
