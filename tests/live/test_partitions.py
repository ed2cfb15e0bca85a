# SPDX-License-Identifier: Apache-2.0
"""Several workers on one collection, each with its own part: at once, killed and run again, as a Slurm array."""
import json
import signal

import bson

from live import LiveCase, count, plain_docs, rawbson

DOCUMENTS = count(9000, 100000, 3000)


class Partitions(LiveCase):
    def setUp(self):
        super().setUp()
        self.plain = plain_docs(DOCUMENTS)
        self.insert(self.plain)

    def compare(self):
        self.assertEqual(self.plain, [self.opened(d) for d in self.read()])
        self.assertTrue(all(self.sealed_count(d) == 3 for d in self.read()))
        self.assert_closed()

    def jobs(self):
        return self.keyturn("status", "--jobs", "--from", self.uri, "--checkpoint", self.state_db).out.decode()

    def test_two_at_once(self):
        workers = [self.start("encrypt", "--partition", f"{i}/2", "--report", f"r{i}.json") for i in range(2)]
        self.assertEqual([0, 0], [w.wait(120) for w in workers], self.err_text())
        reports = [json.loads(self.path(f"r{i}.json").read_text())["namespaces"][self.ns] for i in range(2)]
        self.assertEqual((DOCUMENTS, 3 * DOCUMENTS), (sum(r["documents"] for r in reports),
                                                      sum(r["values"] for r in reports)))
        self.assertTrue(all(r["documents"] > DOCUMENTS / 10 for r in reports))
        self.compare()

    def test_one_after_the_other_and_another_number_is_refused(self):
        self.run_job("encrypt", "--partition", "1/3")
        self.refused(*self.args("encrypt", "--partition", "0/2"), says="--partition i/3")
        self.refused(*self.args("encrypt", "--partition", "3/3"), says="0 to n - 1")
        self.run_job("encrypt", "--partition", "0/3")
        again = self.run_job("encrypt", "--partition", "1/3")
        self.assertTrue(again.report["resumed"])
        self.assertEqual(0, again.ns["already"], "what is done is not read again")
        self.run_job("encrypt", "--partition", "2/3")
        self.compare()

    def test_one_of_a_slurm_array_is_killed_and_run_again(self):
        def task(number):
            return {"SLURM_ARRAY_TASK_ID": str(10 + 2 * number), "SLURM_ARRAY_TASK_MIN": "10",
                    "SLURM_ARRAY_TASK_MAX": "12", "SLURM_ARRAY_TASK_STEP": "2", "SLURM_ARRAY_TASK_COUNT": "2"}

        slow = self.start("encrypt", "--partition", "auto", "--max-docs-per-second", DOCUMENTS // 20, env=task(0))
        other = self.start("encrypt", "--partition", "auto", env=task(1))
        self.until("the first began", lambda: self.state["checkpoints"].find_one({"_id.is": "range", "at": {
            "$ne": b""}, "_id.n": {"$mod": [2, 0]}}))
        listed = self.jobs()
        self.assertIn("1 unfinished job", listed)
        self.assertRegex(listed, f"process ({slow.pid}|{other.pid}) on ")  # one of two workers is named
        slow.send_signal(signal.SIGKILL)
        slow.wait()
        self.assertEqual(0, other.wait(120), self.err_text())
        self.assertTrue(self.state_docs(), "half of it is left")
        listed = self.jobs()
        self.assertIn("encrypt", listed)
        self.assertIn("2 partitions", listed)
        done = self.keyturn(*self.args("encrypt", "--partition", "auto"), env=task(0))
        self.assertTrue(done.report["resumed"])
        self.compare()

    def test_jobs_are_listed(self):
        self.assertIn("0 unfinished jobs", self.jobs())
        process = self.start("encrypt", "--max-docs-per-second", DOCUMENTS // 20)
        self.until("it began", lambda: self.docs.find_one({"b": {"$type": "binData"}}))
        self.assertIn(f"process {process.pid} on", self.jobs())
        process.terminate()
        self.assertEqual(3, process.wait(60))
        self.assertIn("nobody works on it", self.jobs())
        self.run_job("encrypt")
        self.assertIn("0 unfinished jobs", self.jobs())
        self.keyturn("status", "--jobs", "--from", "x.bson", exit=2)

    def test_the_environment_is_asked_by_auto_alone(self):
        self.keyturn(*self.args("encrypt"), env={"SLURM_ARRAY_TASK_ID": "5", "JOB_COMPLETION_INDEX": "7"})
        self.compare()
        self.refused(*self.args("encrypt", "--partition", "auto"), says="SLURM_ARRAY_TASK_ID")
        self.keyturn(*self.args("encrypt", "--partition", "auto/2"), env={"JOB_COMPLETION_INDEX": "1"})
        self.keyturn(*self.args("encrypt", "--partition", "auto/2"), env={"JOB_COMPLETION_INDEX": "0"})
        self.compare()


class Pointers(LiveCase):
    KEYS = tuple(f"owner {i}" for i in range(40))
    FIELDS = {"b": ("owner 0", False, None)}

    def test_a_value_is_never_sealed_under_a_former_owners_key(self):
        """The owner, and with it the key, changes while the job runs; each change writes the value anew, and it names
        the owner that it is for."""
        rule = {"encrypt": {"keyId": "/owner", "algorithm": self.vault.rule("owner 0")["encrypt"]["algorithm"]}}
        self.write_config({"bsonType": "object", "properties": {"b": rule}})
        number = count(3000, 30000, 800)
        self.insert([bson.encode({"_id": i, "owner": "owner 0", "b": "owner 0"}) for i in range(number)])
        for turn in range(count(4, 20)):
            process = self.start("encrypt" if turn % 2 == 0 else "decrypt")
            n = 0
            while process.poll() is None:
                n += 1
                i, owner = n * 7919 % number, f"owner {n % 40}"
                self.docs.update_one({"_id": i}, {"$set": {"owner": owner, "b": owner}})
            self.assertEqual(0, process.returncode, self.err_text())
            self.assertGreater(n, 0)
            if turn % 2 == 0:
                self.assertGreater(self.sealed_for_their_owners(), number / 4)
        self.run_job("encrypt")
        self.assertEqual(number, self.sealed_for_their_owners())

    def sealed_for_their_owners(self):
        """How many are sealed, each under the key of the owner that it names now; who wrote since left a plain one."""
        total = 0
        for raw in self.read():
            fields = rawbson.fields(raw)
            owner = fields["owner"][1][4:-1]
            payload = rawbson.payload(*fields["b"])
            if payload:
                self.assertEqual(self.vault.ids[owner.decode()], payload[1:17])
            self.assertEqual(owner, (self.vault.open_value(payload) if payload else fields["b"])[1][4:-1])
            total += bool(payload)
        return total
