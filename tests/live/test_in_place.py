# SPDX-License-Identifier: Apache-2.0
"""Encrypt, verify and decrypt in place, with nobody else at work."""
import json

import bson
from bson import json_util
from bson.decimal128 import Decimal128
from bson.max_key import MaxKey
from bson.min_key import MinKey

from live import LiveCase, count, plain_docs, rawbson


class InPlace(LiveCase):
    def test_there_and_back_is_the_same_bytes(self):
        docs = plain_docs(count(6000, 200000))
        self.insert(docs)
        done = self.run_job("encrypt")
        self.assertEqual(3 * len(docs), done.ns["values"])
        self.assertEqual(len(docs), done.ns["documents"])
        self.assert_closed()
        sealed = self.read()
        self.assertEqual(docs, [self.opened(d) for d in sealed])
        self.assertTrue(all(self.sealed_count(d) == 3 for d in sealed))
        done = self.run_job("verify")
        self.assertEqual([len(docs)] * 3, [p["authentic"] for p in done.ns["paths"].values()])
        again = self.run_job("encrypt")
        self.assertEqual((0, 3 * len(docs)), (again.ns["values"], again.ns["already"]))
        self.assertEqual(sealed, self.read())
        self.run_job("decrypt")
        self.assertEqual(docs, self.read())
        self.assert_closed()
        self.run_job("verify", exit=5)

    def test_ids_of_all_types(self):
        ids = [MinKey(), MaxKey(), None, 1, 2.5, Decimal128("7.0"), "", "b", {"a": 1}, b"\0", bson.ObjectId(), True,
               bson.datetime_ms.DatetimeMS(0), bson.timestamp.Timestamp(1, 1), {"x": {"y": 2}}]
        docs = [bson.encode({"_id": i, "a": f"name {n}", "b": n}) for n, i in enumerate(ids)]
        self.insert(docs)
        self.run_job("encrypt", "--threads", 3)
        self.assertEqual(sorted(docs), sorted(self.opened(d) for d in self.read()))
        self.assertTrue(all(self.sealed_count(d) == 2 for d in self.read()))
        self.run_job("decrypt")
        self.assertEqual(sorted(docs), sorted(self.read()))

    def test_many_ids_of_mixed_types_in_several_ranges(self):
        n = 3000
        docs = [bson.encode({"_id": i, "a": str(i)}) for i in range(n)]
        docs += [bson.encode({"_id": f"{i:05}", "a": str(i)}) for i in range(n)]
        docs += [bson.encode({"_id": {"k": i}, "a": str(i)}) for i in range(n)]
        docs.append(bson.encode({"_id": MaxKey(), "a": "last"}))
        self.insert(docs)
        done = self.run_job("encrypt")
        self.assertEqual(len(docs), done.ns["values"])
        self.assertEqual(docs, [self.opened(d) for d in self.read()])
        self.assertEqual(0, self.docs.count_documents({"a": {"$type": "string"}}))

    def test_string_ids_under_a_collation(self):
        self.database.create_collection("docs", collation={"locale": "en", "strength": 2})
        names = [f"{'aA'[i % 2]}{i:04}{'é' if i % 3 else 'E'}" for i in range(5000)]
        docs = [bson.encode({"_id": name, "a": name}) for name in names]
        self.insert(docs)
        self.database.command("profile", 2)
        done = self.run_job("encrypt")
        self.database.command("profile", 0)
        self.assertEqual(len(docs), done.ns["values"])
        self.assertEqual(sorted(docs), sorted(self.opened(d) for d in self.read()))
        for op in ("update", "query"):
            plans = {p.get("planSummary") for p in self.database["system.profile"].find({"ns": self.ns, "op": op})}
            self.assertTrue(plans and plans <= {"IDHACK", "IXSCAN { _id: 1 }"}, (op, plans))

    def test_a_field_that_stands_twice_fails_its_document_alone(self):
        twice = rawbson.document(("_id", rawbson.INT, rawbson.int32(2)), ("b", rawbson.STRING, rawbson.string("1")),
                                 ("b", rawbson.STRING, rawbson.string("2")))
        inside = rawbson.document(("_id", rawbson.INT, rawbson.int32(3)), ("n", rawbson.OBJECT, rawbson.document(
            ("c", rawbson.STRING, rawbson.string("1")), ("c", rawbson.INT, rawbson.int32(2)))))
        docs = [bson.encode({"_id": 1, "b": "fine"}), twice, inside, bson.encode({"_id": 4, "b": "fine"})]
        self.insert(docs)
        done = self.run_job("encrypt", exit=1)
        self.assertEqual(2, done.ns["failed"])
        after = self.read()
        self.assertEqual(docs[1:3], after[1:3])
        self.assertEqual([docs[0], docs[3]], [self.opened(after[0]), self.opened(after[3])])
        self.assertEqual(1, self.sealed_count(after[3]))
        self.assertEqual(2, len(self.path(f"{self.ns}-failed.ndjson").read_text().splitlines()))

    def test_a_list_of_failures_is_the_next_runs_work(self):
        docs = [bson.encode({"_id": i, "a": "text" if i % 10 else None, "b": 1}) for i in range(2000)]
        self.insert(docs)
        done = self.run_job("encrypt", exit=1)
        self.assertEqual(200, done.ns["failed"])
        failures = self.path(f"{self.ns}-failed.ndjson")
        self.assertEqual(200, len(failures.read_text().splitlines()))
        self.docs.update_many({"a": None}, {"$set": {"a": "mended"}})
        self.docs.update_one({"_id": 1}, {"$set": {"b": "plain again, but not on the list"}})
        done = self.run_job("encrypt", "--only", failures, "--failures", "other.ndjson")
        self.assertEqual(400, done.ns["values"])
        self.assertEqual("plain again, but not on the list", self.docs.find_one({"_id": 1})["b"])

    def test_refused_documents_are_taken_out(self):
        self.database.create_collection("docs")
        docs = plain_docs(300)
        self.insert(docs)
        self.database.command("collMod", "docs", validator={"$or": [{"_id": {"$mod": [7, 1]}}, {
            "b": {"$type": "binData"}}]}, validationLevel="strict")
        self.database.command("collMod", "docs", validator={"$or": [{"_id": {"$not": {"$mod": [7, 1]}}}, {
            "b": {"$type": "int"}}]})
        done = self.run_job("encrypt", exit=1)
        refused = [i for i in range(300) if i % 7 == 1]
        self.assertEqual(len(refused), done.ns["failed"])
        after = self.read()
        for i, raw in enumerate(after):
            self.assertEqual(0 if i in refused else 3, self.sealed_count(raw), i)
            self.assertEqual(docs[i], self.opened(raw))
        text = self.path(f"{self.ns}-failed.ndjson").read_text()
        self.assertEqual(len(refused), text.count("validator"))

    def test_keys_named_by_pointer(self):
        rule = {"encrypt": {"keyId": "/owner/key", "algorithm": self.vault.rule("a")["encrypt"]["algorithm"]}}
        self.write_config({"bsonType": "object", "properties": {"b": rule}})
        docs = [bson.encode({"_id": i, "owner": {"key": "abc"[i % 3], "x": 1}, "b": f"v{i}"}) for i in range(1500)]
        docs.append(bson.encode({"_id": 5000, "b": "no owner"}))
        docs.append(bson.encode({"_id": 5001, "owner": {"key": "unknown"}, "b": "x"}))
        self.insert(docs)
        done = self.run_job("encrypt", exit=1)
        self.assertEqual(2, done.ns["failed"])
        after = self.read()
        self.assertEqual(docs, [self.opened(d) for d in after])
        for i, raw in enumerate(after[:1500]):
            payload = rawbson.payload(*rawbson.fields(raw)["b"])
            self.assertEqual(self.vault.ids["abc"[i % 3]], payload[1:17])

    def test_an_empty_and_a_missing_collection(self):
        done = self.run_job("encrypt")
        self.assertIn("not there", done.text)
        self.database.create_collection("docs")
        self.assertEqual(0, self.run_job("encrypt").ns["documents"])
        self.assert_closed()

    def test_a_dry_run_says_the_same_and_writes_nothing(self):
        docs = plain_docs(2500) + [bson.encode({"_id": "x", "a": 5})]
        self.insert(docs)
        dry = self.run_job("encrypt", "--dry-run", exit=1)
        self.assertEqual(docs, self.read())
        self.assertNotIn(self.state_db, self.client.list_database_names())
        self.assertFalse(self.path(f"{self.ns}-failed.ndjson").exists())
        real = self.run_job("encrypt", exit=1)
        for figure in ("documents", "values", "failed", "changed", "already"):
            self.assertEqual(real.ns[figure], dry.ns[figure], figure)

    def test_the_schema_comes_from_the_server(self):
        docs = plain_docs(600)
        self.insert(docs)
        settings = json.loads(self.path("config.json").read_text())
        given = settings.pop("schemaMap")
        self.path("config.json").write_text(json.dumps(settings))
        args = ("--schema-from-server", "--ns-include", f"{self.database.name}.*")
        self.refused(*self.args("encrypt", *args), says="--schema-map")
        schema = json_util.loads(json.dumps(given[self.ns]))
        self.database.command("collMod", "docs", validator={"$jsonSchema": schema})
        done = self.run_job("encrypt", *args)
        self.assertEqual(1800, done.ns["values"])
        self.assertEqual(docs, [self.opened(d) for d in self.read()])
        self.path("map.json").write_text(json.dumps(given))
        self.run_job("verify", *args, "--schema-map", "map.json")
        del given[self.ns]["properties"]["b"]
        self.path("map.json").write_text(json.dumps(given))
        self.refused(*self.args("verify", *args, "--schema-map", "map.json"), says=(self.ns, "different"))

    def test_decrypt_without_a_schema_opens_everything(self):
        docs = plain_docs(800)
        self.insert(docs)
        self.run_job("encrypt")
        in_array = self.docs.find_one({"_id": 5})
        self.docs.update_one({"_id": 6}, {"$set": {"last.1.a": in_array["a"]}})
        config = self.path("config.json")
        settings = json.loads(config.read_text())
        del settings["schemaMap"]
        config.write_text(json.dumps(settings))
        self.run_job("decrypt", "--ns-include", self.ns)
        after = self.read()
        self.assertEqual(docs[:6] + docs[7:], after[:6] + after[7:])
        self.assertEqual("name 5", self.docs.find_one({"_id": 6})["last"][1]["a"])
