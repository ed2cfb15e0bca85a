# SPDX-License-Identifier: Apache-2.0
"""Which collections of a dump a job works on, and what it says of those that it cannot, or need not, touch."""

import json
import unittest

import rawbson as b
from bad import NS, Bad, person
from people import People
from vault import write_schema


class Dump(Bad):
    def setUp(self):
        super().setUp()
        self.path("dump/shop").mkdir(parents=True)
        self.path("dump/shop/people.bson").write_bytes(self.good)
        self.job = [*self.options, "--from", "dump", "--to", "out"]

    def metadata(self, **fields):
        self.path("dump/shop/people.metadata.json").write_text(
            json.dumps({"collectionName": "people", "type": "collection", **fields})
        )


class Names(Dump):
    def test_a_mistyped_namespace_is_no_success(self):
        for names in (("shop.peopel",), ("*.staff", "log.*")):
            more = [a for name in names for a in ("--ns-include", name)]
            self.refused("encrypt", *self.job, *more, says=("--ns-include", "dump"))
            self.refused("decrypt", *self.keys, *self.job[6:], *more, says="--ns-include")
            self.keyturn("verify", *self.options, "--from", "dump", *more, exit=2)
        self.refused("encrypt", *self.job, "--ns-exclude", "*", says="--ns-exclude")
        self.refused("encrypt", *self.job, "--ns-include", "shop", says="shop.*")
        done = self.keyturn("encrypt", *self.job, "--ns-include", "shop.people", "--ns-include", "no.pe")
        self.assertIn("--ns-include no.pe matches nothing", done.text)

    def test_an_empty_schema_copies_everything(self):
        self.path("empty.json").write_text("{}")
        self.keyturn(
            "encrypt", *self.keys, "--schema-map", "empty.json", *self.job[6:], "--ns-include", "shop.people"
        )
        self.assertEqual(self.good, self.path("out/shop/people.bson").read_bytes())

    def test_a_stream_without_a_name(self):
        self.keyturn("decrypt", *self.keys, "--from", "-", "--to", "-", stdin=self.good, exit=2)
        done = self.keyturn(
            "decrypt", *self.keys, "--from", "-", "--to", "-", "--ns-include", NS, stdin=self.good
        )
        self.assertEqual(self.good, done.out)

    def test_listed_documents_that_are_not_there(self):
        def only(*lines):
            self.path("list").write_text("".join(json.dumps(line) + "\n" for line in lines))
            return ["--only", "list"]

        there, missing = {"ns": NS, "_id": 3}, {"ns": NS, "_id": 300}
        verify = ["verify", *self.options, "--from", "dump"]
        self.assertIn("1 of the 2 that it lists", self.keyturn(*verify, *only(there, missing, there), exit=5).text)
        self.assertIn("1 of the 1 that it lists", self.keyturn(*verify, *only(missing)).text)
        self.assertIn("lists nothing", self.keyturn(*verify, *only()).text)
        self.assertNotIn("--only", self.keyturn(*verify, *only(there), exit=5).text)
        done = self.keyturn("encrypt", *self.job, *only(there, missing))
        self.assertIn("1 of the 2 that it lists", done.text)
        self.assertTrue(any("that it lists" in warning for warning in done.report["warnings"]))


class Chosen(People):
    def test_namespaces(self):
        for ns in ("shop.people", "shop.staff", "shop.sub.people", "log.people"):
            db, collection = ns.split(".", 1)
            self.path("dump", db).mkdir(parents=True, exist_ok=True)
            self.path("dump", db, collection + ".bson").write_bytes(self.docs[0])
        rule = self.schema[NS]
        names = ("shop.people", "shop.staff", "shop.sub.people", "log.people")
        options = self.keys + write_schema(self.path("all.json"), {ns: rule for ns in (*names, "not.there")})
        cases = {
            (): set(names),
            ("--ns-include", "shop.*"): {"shop.people", "shop.staff", "shop.sub.people"},
            ("--ns-include", "*.people", "--ns-exclude", "log.*"): {"shop.people", "shop.sub.people"},
            ("--ns-exclude", "shop.people", "--ns-exclude", "shop.st*"): {"shop.sub.people", "log.people"},
            ("--ns-include", "shop.people", "--ns-include", "log.people"): {"shop.people", "log.people"},
        }
        for i, (more, wanted) in enumerate(cases.items()):
            with self.subTest(more):
                done = self.keyturn("encrypt", *options, *more, "--from", "dump", "--to", f"out{i}")
                self.assertEqual(wanted, set(done.report["namespaces"]))
                for ns in names:
                    raw = (
                        self.path(f"out{i}", *ns.split(".", 1)).with_name(ns.split(".", 1)[1] + ".bson").read_bytes()
                    )
                    self.assertEqual(ns in wanted, raw != self.docs[0], ns)
                if not more:
                    self.assertIn("not.there", done.text)
                    self.assertTrue(any("not.there" in warning for warning in done.report["warnings"]))

    def test_metadata_names_a_collection_and_percent_signs_are_decoded(self):
        self.path("dump/shop").mkdir(parents=True)
        self.path("dump/shop/peo%2Fple.bson").write_bytes(self.docs[0])
        self.path("dump/shop/short.bson").write_bytes(self.docs[0])
        self.path("dump/shop/short.metadata.json").write_text('{"collectionName": "a very long name", "indexes": []}')
        names = {"shop.peo/ple": self.schema[NS], "shop.a very long name": self.schema[NS]}
        done = self.keyturn(
            "encrypt", *self.keys, *write_schema(self.path("all.json"), names), "--from", "dump", "--to", "out"
        )
        self.assertEqual(set(names), set(done.report["namespaces"]))
        self.assertEqual([2, 2], [ns["values"] for ns in done.report["namespaces"].values()])


class Kinds(Dump):
    def test_a_time_series_in_a_folder(self):
        series = {"timeField": "at", "bucketMaxSpanSeconds": 3600}
        self.path("dump/shop/people.bson").rename(self.path("dump/shop/system.buckets.people.bson"))
        self.metadata(type="timeseries", options={"timeseries": series})
        self.refused("encrypt", *self.job, says=(NS, "time-series"))
        lone = ["--from", "dump/shop/system.buckets.people.bson", "--to", "out"]
        self.refused("encrypt", *self.options, *lone, "--ns-include", NS, says=(NS, "time-series"))
        self.path("dump/shop/system.buckets.people.bson").rename(self.path("dump/shop/people.bson"))
        self.refused("encrypt", *self.job, says=(NS, "time-series"))

    def test_an_oplog_in_a_folder_is_looked_at_before_anything_is_written(self):
        def entry(ns):
            return b.document(("op", b.STRING, b.string("i")), ("ns", b.STRING, b.string(ns)))

        other = entry("shop.other") * 1000
        self.path("dump/oplog.bson").write_bytes(other + entry(NS))
        self.refused("encrypt", *self.job, says=(NS, "--oplog"))
        self.assert_no_leftovers()
        self.path("dump/oplog.bson").write_bytes(other)
        self.keyturn("encrypt", *self.job)
        self.assertEqual(other, self.path("out/oplog.bson").read_bytes())


class Metadata(Dump):
    def warnings(self, **fields):
        self.metadata(**fields)
        done = self.keyturn("encrypt", *self.options, "--from", "dump", "--dry-run")
        return done.report["warnings"]

    def test_indexes_that_the_result_breaks(self):
        key = {"v": {"$numberInt": "2"}, "name": "it"}
        for more, says in (
            ({"key": {"name": "2dsphere"}}, "2dsphere"),
            ({"key": {"name": 1}, "unique": True}, "unique"),
            ({"key": {"a": 1, "deep": 1}, "expireAfterSeconds": {"$numberInt": "60"}}, "expire"),
            ({"key": {"_fts": "text", "_ftsx": 1}, "weights": {"name": 1}}, "text search"),
            ({"key": {"a": 1}, "partialFilterExpression": {"name": {"$exists": True}}}, "partial"),
        ):
            with self.subTest(says):
                (warning, *_) = self.warnings(indexes=[key | more])
                self.assertIn(f"{NS}: index it", warning)
                self.assertIn(says, warning)
        for harmless in ({"key": {"name": 1}}, {"key": {"other": "2dsphere"}}, {"key": {"a": 1}, "unique": True}):
            self.assertEqual([], self.warnings(indexes=[key | harmless]))

    def test_validators_that_refuse_what_is_sealed(self):
        def validator(name, **more):
            schema = {"bsonType": "object", "properties": {"name": name, "other": {"bsonType": "int"}}}
            return {"validator": {"$jsonSchema": schema}, **more}

        for name in ({"bsonType": "string"}, {"bsonType": ["string", "null"]}, {"type": "string"}):
            (warning,) = self.warnings(options=validator(name))
            self.assertIn("binData at name", warning)
            self.assertEqual([], self.warnings(options=validator(name, validationAction="warn")))
        for name in ({"bsonType": "binData"}, {"bsonType": ["string", "binData"]}, {"encrypt": {}}, {}):
            self.assertEqual([], self.warnings(options=validator(name)))
        nested = {"bsonType": "object", "properties": {"x": {"bsonType": "string"}}}
        schema = {"$jsonSchema": {"properties": {"deep": nested}}}
        (warning,) = self.warnings(options={"validator": schema})
        self.assertIn("binData at deep.x", warning)

    def test_decrypt_and_verify_have_nothing_to_warn_of(self):
        self.metadata(indexes=[{"key": {"name": "2dsphere"}, "name": "it"}])
        done = self.keyturn("verify", *self.options, "--from", "dump", exit=5)
        self.assertEqual([], done.report["warnings"])

    def test_metadata_that_is_broken_is_named(self):
        self.path("dump/shop/people.metadata.json").write_text("{")
        self.refused("encrypt", *self.job, exit=2, says="dump/shop/people.metadata.json")
        self.metadata(options={"a": {"$date": 5}})
        self.assertIn("no Extended JSON", "".join(self.warnings(options={"a": {"$numberInt": "x"}})))
        self.assertEqual(self.good, b"".join(person(i) for i in range(50)))


if __name__ == "__main__":
    unittest.main()
