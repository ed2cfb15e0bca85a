# SPDX-License-Identifier: Apache-2.0
"""Partitions as a job array of a real Slurm: two nodes, one worker is killed and its task requeued."""
import json
import os
import signal
import unittest

import slurm
from live import PROGRAM, SANITIZED, LiveCase, count, plain_docs, rawbson

DOCUMENTS = count(3000, 100000)
REASON = "build: the release build runs it" if SANITIZED else slurm.why_not()


@unittest.skipIf(REASON, REASON)
class Array(LiveCase):
    NODES = ("n1", "n2")

    @classmethod
    def setUpClass(cls):
        cls.cluster = slurm.Slurm(cls.NODES)
        cls.addClassCleanup(cls.cluster.close)

    def setUp(self):
        super().setUp()
        self.plain = plain_docs(DOCUMENTS)
        self.insert(self.plain)

    def submit(self, pace):
        command = (f"echo $SLURMD_NODENAME >> node-$SLURM_ARRAY_TASK_ID; {PROGRAM} encrypt --config config.json --yes "
                   f"--partition auto --max-docs-per-second {pace} --report report-$SLURM_ARRAY_TASK_ID.json")
        return self.cluster.submit(command, "--array=0-1", "--requeue", f"--chdir={self.folder}", "--output=out-%a.txt",
                                   "--open-mode=append")

    def wait_for(self, job, task, wanted):
        self.until(f"task {task} is {wanted}", lambda: self.cluster.states(job).get(str(task)) == wanted)

    def sealed(self):
        return {rawbson.fields(d)["_id"]: d for d in self.read() if self.sealed_count(d)}

    def lease(self, part):
        return self.state["checkpoints"].find_one({"_id.is": "lease", "_id.part": part})

    def at_work(self, part):
        return self.lease(part) and any(r["at"] for r in self.state["checkpoints"].find(
            {"_id.is": "range", "_id.n": {"$mod": [2, part]}}))

    def test_a_worker_is_killed_and_its_task_requeued(self):
        job = self.submit(DOCUMENTS // 2)
        self.until("both are at work", lambda: self.at_work(0) and self.at_work(1))
        os.kill(self.lease(0)["pid"], signal.SIGKILL)
        self.wait_for(job, 0, "FAILED")
        before = self.sealed()
        self.assertTrue(0 < len(before) < DOCUMENTS)
        self.cluster.ask("scontrol", "requeue", f"{job}_0")
        # A requeued task would wait for two minutes.
        self.wait_for(job, 0, "PENDING")
        self.cluster.ask("scontrol", "update", f"jobid={job}_0", "StartTime=now")
        for task in (0, 1):
            self.wait_for(job, task, "COMPLETED")
        self.compare(before)
        self.assertEqual(set(self.NODES), {self.path(f"node-{task}").read_text().split()[0] for task in (0, 1)})
        self.assertEqual(2, len(self.path("node-0").read_text().split()), "task 0 ran twice")

    def compare(self, before):
        reports = [json.loads(self.path(f"report-{task}.json").read_text()) for task in (0, 1)]
        self.assertEqual([True, False], [r["resumed"] for r in reports])
        figures = [r["namespaces"][self.ns] for r in reports]
        self.assertEqual((DOCUMENTS, 3 * DOCUMENTS, 0, 0), tuple(sum(f[name] for f in figures) for name in (
            "documents", "values", "already", "failed")))
        self.assertTrue(all(f["documents"] > DOCUMENTS / 10 for f in figures), figures)
        after = self.sealed()
        self.assertEqual(DOCUMENTS, len(after))
        self.assertEqual(before, {i: after[i] for i in before}, "sealed twice")
        self.assertEqual(self.plain, [self.opened(d) for d in self.read()])
        self.assert_closed()


if __name__ == "__main__":
    unittest.main()
