# SPDX-License-Identifier: Apache-2.0
"""How jobs end, and what they hold while they wait: leases, lists of failures, transactions, refusals that no
document is to blame for."""
import datetime
import itertools
import json
import signal
import time
import uuid

import bson
from bson.binary import Binary
from bson.raw_bson import RawBSONDocument

from live import LiveCase, count, plain_docs
from test_rewrap import VaultCase


class Held:
    """A lease that somebody on another machine holds, for some seconds more."""

    def hold(self, ns, seconds):
        now = self.client.admin.command("hello")["localTime"]
        self.state["checkpoints"].insert_one({
            "_id": {"ns": ns, "is": "lease", "part": 0}, "owner": Binary(uuid.uuid4().bytes, 4), "command": "encrypt",
            "job": "x", "host": "elsewhere", "bootId": "x", "pidNs": 1, "pid": 1, "started": 1, "sessions": [],
            "expires": now + datetime.timedelta(seconds=seconds)})

    def expires(self, ns):
        found = self.state["checkpoints"].find_one({"_id": {"ns": ns, "is": "lease", "part": 0}})
        return found and found["expires"]

    def assert_renewed(self, ns, seconds=9):
        before = self.expires(ns)
        self.until(f"the lease of {ns} is renewed", lambda: self.expires(ns) > before, seconds)


class Leases(Held, LiveCase):
    def test_the_first_is_renewed_while_the_second_is_waited_for(self):
        second = f"{self.database.name}.zzz"
        schema = {"bsonType": "object", "properties": {"a": self.vault.rule("a", True, "string")}}
        self.write_config(schemaMap={self.ns: schema, second: schema})
        self.database["zzz"].insert_one({"_id": 1, "a": "x"})
        self.docs.insert_one({"_id": 1, "a": "x"})
        self.hold(second, 9)
        process = self.start("encrypt")
        self.until("it has the first", lambda: self.expires(self.ns))
        self.assert_renewed(self.ns)
        self.assertEqual(0, process.wait(60), self.err_text())
        self.assert_closed()


class Lists(LiveCase):
    def test_no_partition_closes_the_job_over_anothers_list(self):
        """The first to read its list is slow: the others end meanwhile."""
        number = count(6000, 60000, 3000)
        self.insert([bson.encode({"_id": i, "a": None if i % 50 == 0 else "text"}) for i in range(number)])
        self.client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": {
            "appName": "keyturn", "failCommands": ["find"], "namespace": f"{self.state_db}.failures",
            "blockConnection": True, "blockTimeMS": 4000}})
        try:
            workers = [self.start("encrypt", "--partition", f"{i}/3", "--failures", f"f{i}") for i in range(3)]
            self.assertEqual([1, 1, 1], [w.wait(120) for w in workers], self.err_text())
        finally:
            self.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        lines = [line for i in range(3) for line in self.path(f"f{i}-{i}-of-3").read_text().splitlines()]
        self.assertEqual({str(i) for i in range(0, number, 50)},
                         {json.loads(line)["_id"]["$numberInt"] for line in lines})
        self.assertEqual(number // 50, len(lines))
        self.assert_closed()

    def test_partitions_in_one_folder_have_lists_of_their_own(self):
        self.insert([bson.encode({"_id": i, "a": None if i in (1, 7998) else "text"}) for i in range(8000)])
        named = {f"{self.ns}-failed": (), "list": ("--failures", "list.ndjson"), "log.txt": ("--failures", "log.txt")}
        for name, options in named.items():
            end = "" if name == "log.txt" else ".ndjson"
            lists = [f"{name}-{i}-of-2{end}" for i in range(2)]
            for i in range(2):
                done = self.run_job("encrypt", "--partition", f"{i}/2", *options, exit=1)
                self.assertEqual(lists[i], done.report["failuresFile"])
            ids = [json.loads(line)["_id"]["$numberInt"] for f in lists for line in self.path(f).read_text().splitlines()]
            self.assertEqual(["1", "7998"], sorted(ids))
            self.assert_closed()
        self.refused(*self.args("encrypt", "--partition", "1/2", "--only", lists[1], "--failures", "log.txt"), says="--only")
        self.docs.update_many({"a": None}, {"$set": {"a": "mended"}})
        self.path("all.ndjson").write_text("".join(self.path(f).read_text() for f in lists))
        done = self.run_job("encrypt", "--only", "all.ndjson")
        self.assertEqual(2, done.ns["changed"])

    def test_a_list_longer_than_a_document_may_be(self):
        names = [f"{i:03}" + "\x01" * 60000 for i in range(80)]
        self.docs.insert_many([{"_id": name, "a": None} for name in names])
        self.run_job("encrypt", exit=1)
        lines = self.path(f"{self.ns}-failed.ndjson").read_text().splitlines()
        self.assertEqual(names, [json.loads(line)["_id"] for line in lines])
        self.assert_closed()


class Small(LiveCase):
    """Fewer ranges than partitions: most parts have nothing to do."""

    def run_parts(self, parts, *more):
        for i in parts:
            done = self.run_job("encrypt", "--partition", f"{i}/3", *more)
            self.assertEqual(5 if i == 0 else 0, done.ns["documents"])

    def test_no_part_leaves_a_job_behind(self):
        plain = plain_docs(5)
        for parts in itertools.permutations(range(3)):
            self.docs.delete_many({})
            self.insert(plain)
            self.run_parts(parts)
            self.assertEqual(plain, [self.opened(d) for d in self.read()])
            self.assert_closed()

    def test_copies_too(self):
        self.insert(plain_docs(5))
        base, _, query = self.uri.partition("?")
        for parts in ((0, 1, 2), (2, 0, 1)):
            other = self.client[f"{self.database.name}_{parts[0]}"]
            self.addCleanup(self.client.drop_database, other.name)
            self.run_parts(parts, "--to", f"{base}{other.name}?{query}")
            self.assertEqual(5, other["docs"].count_documents({}))
            self.assert_closed()

    def test_at_once_and_beside_a_larger_one(self):
        """A part that has ranges in the larger one alone closes both when it is last."""
        large = f"{self.database.name}.large"
        self.write_config(schemaMap={self.ns: self.schema(), large: self.schema()})
        self.insert(plain_docs(5))
        self.raw_collection(self.database["large"]).insert_many([RawBSONDocument(d) for d in plain_docs(3000)])
        last = self.start("encrypt", "--partition", "2/3", "--max-docs-per-second", 400)
        self.until("it began", lambda: self.database["large"].find_one({"b": {"$type": "binData"}}), process=last)
        workers = [last] + [self.start("encrypt", "--partition", f"{i}/3") for i in (0, 1)]
        self.assertEqual([0, 0, 0], [w.wait(120) for w in workers], self.err_text())
        self.assert_closed()


class SecondRefused(LiveCase):
    """Of two namespaces the second cannot be done: nothing stays of the first."""

    def setUp(self):
        super().setUp()
        self.second = f"{self.database.name}.zzz"
        self.write_config(schemaMap={self.ns: self.schema(), self.second: self.schema()})
        self.insert(plain_docs(5))
        self.database["zzz"].insert_one({"_id": 1, "b": 1})

    def test_another_job_is_on_it(self):
        job = {"_id": {"ns": self.second, "is": "job"}, "keyturn": 99}
        self.state["checkpoints"].insert_one(job)
        self.refused(*self.args("encrypt"), says="another version of keyturn")
        self.assertEqual([job], self.state_docs())
        self.assertEqual(plain_docs(5), self.read())
        self.run_job("encrypt", "--ns-include", self.ns)
        self.run_job("encrypt", "--forget")
        self.assert_closed()

    def test_what_would_be_forgotten_stays_when_the_second_is_refused(self):
        base, _, query = self.uri.partition("?")
        other = self.client[f"{self.database.name}_to"]
        self.addCleanup(self.client.drop_database, other.name)
        other["zzz"].insert_one({"_id": "there"})
        to = ("--to", f"{base}{other.name}?{query}")
        self.refused(*self.args("encrypt", *to), says="holds documents")
        self.assertEqual(["zzz"], other.list_collection_names())
        self.assertEqual([], self.state_docs())
        job = {"_id": {"ns": self.ns, "is": "job"}, "keyturn": 99}
        self.state["checkpoints"].insert_one(job)
        self.refused(*self.args("encrypt", "--forget", *to), says="holds documents")
        self.assertEqual([job], self.state_docs())
        other["zzz"].delete_many({})
        self.run_job("encrypt", "--forget", *to)
        self.assert_closed()


class Refusals(LiveCase):
    def test_a_checkpoint_that_the_server_refuses_ends_the_job(self):
        self.insert(plain_docs(50))
        self.state.create_collection("checkpoints", validator={"done": {"$ne": True}})
        done = self.run_job("encrypt", exit=4)
        self.assertIn("writing the checkpoint", done.text)
        self.state.command("collMod", "checkpoints", validator={})
        self.run_job("encrypt")
        self.assert_closed()

    def test_no_transaction_is_left_open(self):
        """Neither commit nor abort goes through: the documents' new values stand in an open transaction."""
        self.insert(plain_docs(50))
        admin = self.client.admin
        admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": {
            "appName": "keyturn", "failCommands": ["abortTransaction", "commitTransaction"], "errorCode": 13}})
        try:
            self.run_job("encrypt", exit=4)
            begun = time.monotonic()
            self.docs.update_many({}, {"$set": {"z": "new"}})
            self.assertLess(time.monotonic() - begun, 10)
        finally:
            admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        self.run_job("encrypt")
        self.assert_closed()


class Whole(Held, VaultCase):
    ARGS = ("rewrap", "--provider", "local:new", "--all-or-nothing")

    def setUp(self):
        super().setUp()
        self.fill(300)
        self.ns = f"{self.database.name}.__keyVault"

    def test_a_vault_that_takes_no_new_wraps(self):
        before = self.keys()
        self.database.command("collMod", "__keyVault", validator={"masterKey.provider": {"$ne": "local:new"}})
        for args in (self.ARGS, self.ARGS[:3]):
            done = self.run_job(*args, exit=4)
            self.assertIn("writing key documents", done.text)
            self.assertIn("error 121", done.text)
            self.assertEqual(before, self.keys())
            self.client.drop_database(self.state_db)

    def test_it_renews_its_lease_and_can_be_paused(self):
        self.hold(self.ns, 3)
        process = self.start(*self.ARGS)
        self.until("it waits for the lease", lambda: "holds the lease" in self.err_text())
        process.send_signal(signal.SIGUSR1)
        self.until("it has the lease", lambda: self.state["checkpoints"].find_one({"_id.is": "lease",
                                                                                   "pid": process.pid}))
        self.assert_renewed(self.ns)
        self.assertIsNone(process.poll())
        self.assertEqual({"local:old"}, self.providers())
        process.send_signal(signal.SIGUSR2)
        self.assertEqual(0, process.wait(60), self.err_text())
        self.assertEqual({"local:new"}, self.providers())
        self.assertEqual(self.expected(), self.deks())
        self.assert_closed()

    def test_stopped_while_paused(self):
        self.hold(self.ns, 2)
        process = self.start(*self.ARGS)
        self.until("it waits for the lease", lambda: "holds the lease" in self.err_text())
        process.send_signal(signal.SIGUSR1)
        time.sleep(4)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(3, process.wait(30), self.err_text())
        self.assertEqual({"local:old"}, self.providers())
        self.assert_closed()
