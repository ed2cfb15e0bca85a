# SPDX-License-Identifier: Apache-2.0
"""What cannot be done is said before anything is written."""
import fcntl
import json
import signal
import time

import bson

import pymongo
import processes
from live import LiveCase, plain_docs


class Refused(LiveCase):
    def setUp(self):
        super().setUp()
        self.plain = plain_docs(20)

    def refuse(self, *says, command="encrypt", more=()):
        self.refused(*self.args(command, *more), says=says)
        self.assertNotIn(self.state_db, self.client.list_database_names())

    def warned(self, *says):
        self.insert(self.plain)
        done = self.run_job("encrypt")
        for word in says:
            self.assertIn(word, done.text)

    def test_views(self):
        self.database.create_collection("docs", viewOn="other", pipeline=[])
        self.refuse(self.ns, "is a view")

    def test_time_series(self):
        self.database.create_collection("docs", timeseries={"timeField": "t"})
        self.refuse(self.ns, "time-series")

    def test_capped_collections(self):
        self.database.create_collection("docs", capped=True, size=1 << 20)
        self.refuse(self.ns, "capped")

    def test_id_in_the_schema(self):
        self.insert(self.plain)
        self.write_config({"bsonType": "object", "properties": {"_id": self.vault.rule("a", True, "int")}})
        self.refused(*self.args("encrypt"), says="_id")
        self.assertEqual(self.plain, self.read())

    def test_geo_indexes(self):
        self.insert(self.plain)
        self.docs.drop()
        self.docs.create_index([("b", "2dsphere")])
        self.refuse("b_2dsphere", "drop it first")

    def test_text_indexes_unless_accepted(self):
        self.insert(self.plain)
        self.docs.create_index([("a", "text")])
        self.refuse("a_text", "--accept a")
        self.run_job("encrypt", "--accept", "a")

    def test_ttl_indexes_unless_accepted(self):
        self.insert(self.plain)
        self.docs.create_index("b", expireAfterSeconds=1000000)
        self.refuse("expire", "--accept b")
        self.run_job("encrypt", "--accept", "b")

    def test_unique_indexes_on_random_paths_unless_accepted(self):
        self.insert(self.plain)
        self.docs.create_index("b", unique=True)
        self.refuse("unique", "--accept b")
        self.run_job("encrypt", "--accept", "b")

    def test_partial_filters_unless_accepted(self):
        self.insert(self.plain)
        self.docs.create_index("z", partialFilterExpression={"b": {"$gt": 5}})
        self.refuse("partial filter", "--accept b")
        self.docs.drop_indexes()
        self.docs.create_index("z", partialFilterExpression={"$and": [{"n.c": {"$exists": True}}]})
        self.refuse("partial filter", "--accept n.c")

    def test_other_indexes_are_warned_of(self):
        self.docs.create_index("a", unique=True)
        self.docs.create_index("b")
        self.warned("still unique", "can't be searched")

    def test_validators_that_would_refuse_the_result(self):
        self.insert(self.plain)
        self.database.command("collMod", "docs", validator={"$jsonSchema": {
            "properties": {"a": {"bsonType": "string"}}}})
        self.refuse(self.ns, "validator", "a")

    def test_schema_errors(self):
        self.insert(self.plain)
        self.write_config({"bsonType": "object", "properties": {"a": self.vault.rule("a", True, ["string", "int"])}})
        self.refuse("/properties/a", "bsonType")

    def test_a_key_that_is_missing(self):
        self.insert(self.plain)
        self.key_vault.delete_many({})
        self.refuse("key", "a")

    def test_no_terminal_and_no_yes(self):
        self.insert(self.plain)
        args = [a for a in self.args("encrypt") if a != "--yes"]
        self.refused(*args, says="--yes")
        self.assertEqual(self.plain, self.read())
        self.assertNotIn(self.state_db, self.client.list_database_names())

    def test_the_question_is_asked_and_no_is_no(self):
        self.insert(self.plain)
        args = [a for a in self.args("encrypt") if a != "--yes"]

        def asked(text):
            self.assertIn(self.ns, text)
            self.assertEqual(self.plain, self.read())

        for answer, code in (("\n", 2), ("n\n", 2), ("y\n", 0)):
            self.assertEqual(code, self.ask(args, answer, asked))
        self.assertNotEqual(self.plain, self.read())

    def test_passwords_on_the_command_line(self):
        config = json.loads(self.path("config.json").read_text())
        uri = config.pop("from")
        self.path("config.json").write_text(json.dumps(config))
        with_password = uri.replace("mongodb://", "mongodb://user:hunter2@")
        done = self.refused("encrypt", "--config", "config.json", "--from", with_password, "--yes", says="env:NAME")
        self.assertNotIn("hunter2", done.text)
        self.insert(self.plain)
        self.keyturn("encrypt", "--config", "config.json", "--from", "env:KT_URI", "--yes", env={"KT_URI": uri})
        self.refused("encrypt", "--config", "config.json", "--from", "env:KT_NOT_THERE", "--yes", says="KT_NOT_THERE")

    def test_stores_that_do_not_go_together(self):
        self.insert(self.plain)
        config = {"kmsProviders": self.vault.providers(), "schemaMap": {self.ns: self.schema()},
                  "keyVaultNamespace": f"{self.database.name}.__keyVault"}
        self.path("bare.json").write_text(json.dumps(config))
        secret = self.uri.replace("mongodb://", "mongodb://user:hunter2@")
        env = {"KT_URI": secret}
        for args in (("encrypt", "--from", "env:KT_URI", "--to", "out"), ("encrypt", "--from", "out", "--to", "env:KT_URI"),
                     ("rewrap", "--to", "out")):
            done = self.refused(*args, "--key-vault", "env:KT_URI", "--config", "bare.json", "--yes", env=env,
                                says="in place")
            self.assertNotIn("hunter2", done.text)
        done = self.refused("status", "--config", "bare.json", "--key-vault", "env:KT_URI", "--from", "env:KT_URI", env=env,
                            says="in a dump")
        self.assertNotIn("hunter2", done.text)
        self.assertFalse(self.path("out").exists())

    def test_what_could_only_fail_later(self):
        self.insert(self.plain)
        for name in ("admin", "a b", "a.b", "x" * 64):
            self.refused(*self.args("encrypt", "--checkpoint", name), says="--checkpoint")
        self.refuse("--failures", "create it first", more=("--failures", "nowhere/list"))
        with open(self.path(f"{self.ns}-failed.ndjson"), "w", encoding="utf-8") as held:
            fcntl.lockf(held, fcntl.LOCK_EX)
            self.refuse(f"{self.ns}-failed.ndjson: another job", "--failures")
        self.refuse("no namespace", more=("--ns-exclude", self.ns))
        self.refused("rewrap", "--config", "config.json", "--key-vault", self.uri, "--yes", "--backup",
                     f"{self.database.name}.__keyVault-failed.ndjson", says=("--failures", "--backup"))
        self.refused("rewrap", "--config", "config.json", "--key-vault", self.uri, "--yes", "--backup", "nowhere/b",
                     says=("--backup", "create it first"))
        self.assertEqual(self.plain, self.read())

    def test_another_unfinished_job(self):
        self.insert(plain_docs(3000))
        process = self.start("encrypt", "--max-docs-per-second", 100)
        self.until("it began", lambda: self.docs.find_one({"b": {"$type": "binData"}}))
        process.terminate()
        self.assertEqual(3, process.wait(60))
        self.assertIn("goes on from here", self.err_text())
        self.refused(*self.args("decrypt"), says=("unfinished encrypt", "--forget"))
        self.refused(*self.args("encrypt", "--on-unencryptable", "leave"), says="other options")
        self.refused(*self.args("encrypt", "--partition", "0/2"), says="partitions")
        done = self.run_job("decrypt", "--forget")
        self.assertEqual(0, self.docs.count_documents({"b": {"$type": "binData"}}))
        self.assertEqual(3000, done.ns["documents"])
        self.assert_closed()

    def test_two_operators_at_once(self):
        self.insert(plain_docs(3000))
        both = [self.start("encrypt", "--max-docs-per-second", 120) for _ in range(2)]
        begun = time.monotonic()
        self.until("one gives up", lambda: [p for p in both if p.poll() is not None])
        (loser,) = [p for p in both if p.poll() is not None]
        (winner,) = [p for p in both if p is not loser]
        self.assertGreater(time.monotonic() - begun, 15)
        self.assertEqual(2, loser.returncode)
        text = " ".join(self.err_text().split())
        self.assertIn("another keyturn works on it", text)
        self.assertIn(f"process {winner.pid}", text)
        winner.send_signal(signal.SIGTERM)
        self.assertEqual(3, winner.wait(60))
        done = self.run_job("encrypt")
        self.assertEqual((9000, 0), (done.ns["values"], done.ns["already"]))

    def test_limits_and_signals(self):
        self.insert(plain_docs(2000))
        process = self.start("encrypt", "--max-docs-per-second", 400)
        sealed = {"b": {"$type": "binData"}}
        self.until("it began", lambda: self.docs.find_one(sealed))
        process.send_signal(signal.SIGUSR1)
        time.sleep(1.5)
        before = self.docs.count_documents(sealed)
        time.sleep(1.5)
        self.assertEqual(before, self.docs.count_documents(sealed))
        process.send_signal(signal.SIGUSR2)
        self.until("it goes on", lambda: self.docs.count_documents(sealed) > before)
        process.send_signal(signal.SIGTSTP)
        self.until("it stops", lambda: processes.state(process.pid) == "T")
        begun = time.monotonic()
        for i in range(0, 2000, 20):
            self.docs.update_one({"_id": i}, {"$set": {"z": "kept"}})
        self.assertLess(time.monotonic() - begun, 5)
        process.send_signal(signal.SIGCONT)
        process.terminate()
        self.assertEqual(3, process.wait(60))
        begun = time.monotonic()
        self.run_job("encrypt", "--max-docs-per-second", 1000)
        left = 2000 - before
        self.assertGreater(time.monotonic() - begun, left / 1000 * 0.3)

    def test_max_failures(self):
        self.insert([bson.encode({"_id": i, "a": None if i % 2 else "text"}) for i in range(3000)])
        done = self.keyturn(*self.args("encrypt", "--max-failures", 10, "--threads", 1), exit=3)
        self.assertIn("--max-failures", done.text)
        self.assertTrue(10 <= done.ns["failed"] < 1500, done.ns)
        self.assertEqual(self.docs.count_documents({"a": {"$type": "binData"}}), done.ns["values"])
        done = self.run_job("encrypt", exit=1)
        self.assertEqual((1500, 1500, 0), (done.ns["failed"], done.ns["values"], done.ns["already"]))

    def test_a_second_ctrl_c_ends_at_once(self):
        self.insert(plain_docs(2000))
        fail = {"configureFailPoint": "failCommand"}
        self.addCleanup(self.client.admin.command, {**fail, "mode": "off"})
        self.client.admin.command({**fail, "mode": "alwaysOn", "data": {
            "appName": "keyturn", "failCommands": ["commitTransaction"], "blockConnection": True, "blockTimeMS": 4000}})
        process = self.start("encrypt")
        self.until("a batch is open", lambda: self.client.admin.command("serverStatus")["transactions"]["currentOpen"],
                   process=process)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        self.assertIsNone(process.poll(), "it ends the batches under way")
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        self.assertEqual(3, process.wait(60))
        for i in range(0, 2000, 100):
            self.docs.update_one({"_id": i}, {"$set": {"z": f"theirs {i}"}})
        self.assertLess(time.monotonic() - begun, 2.5)
        self.client.admin.command({**fail, "mode": "off"})
        done = self.run_job("encrypt")
        self.assertEqual((6000, 0), (done.ns["values"], done.ns["already"]))


if __name__ == "__main__":
    print(pymongo.version)
