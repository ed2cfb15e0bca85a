# SPDX-License-Identifier: Apache-2.0
"""keyturn bench kms."""
import json
import unittest

import stage
from stage import FAST_CREDENTIALS, b64

servers = None


def setUpModule():
    global servers
    servers = stage.start("fast")


class Bench(stage.Case):
    def bench(self, kms, *more, exit=0):
        target = {name: value for name, value in kms.cmk("new").items() if name != "provider"}
        return self.keyturn("bench", "kms", *self.providers(FAST_CREDENTIALS, {"aws": {"tlsCAFile": servers.ca}}),
                            "--provider", "aws", "--master-key", json.dumps(target), *more, exit=exit)

    def test_wraps_and_unwraps(self):
        kms = stage.Fast(servers, delay=5)
        done = self.bench(kms, "--keys", 200)
        figures = kms.figures()
        self.assertEqual((done.report["deks"], done.report["failed"], done.report["kms"]["calls"]), (200, 0, 400))
        self.assertEqual(figures["served"], 400)
        self.assertGreater(done.report["kms"]["p50Ms"], 4)
        self.assertRegex(done.out, r"unwrap +200 DEKs +[\d.]+ s +[\d,]+/s")

    def test_refusals_are_told(self):
        kms = stage.Fast(servers)
        bad = {"aws": {"accessKeyId": "AKID", "secretAccessKey": "secret", "sessionToken": "exp-1000"}}
        target = {name: value for name, value in kms.cmk("new").items() if name != "provider"}
        done = self.keyturn("bench", "kms", *self.providers(bad, {"aws": {"tlsCAFile": servers.ca}}), "--provider", "aws",
                            "--master-key", json.dumps(target), "--keys", 3, exit=1)
        kms.figures()
        self.assertEqual(done.report["failed"], 3)
        self.assertIn("3 failed: ", done.out)

    def test_local_and_bad_use(self):
        local = self.providers({"local": {"key": b64(bytes(range(96)))}})
        done = self.keyturn("bench", "kms", *local, "--provider", "local", "--keys", 10000)
        self.assertEqual((done.report["deks"], done.report["failed"]), (10000, 0))
        self.assertNotIn("kms", done.report)
        self.assertIn("10000", self.keyturn("bench", "kms", *local, "--provider", "local", "--keys", 10001, exit=2).err.replace(",", ""))
        self.assertIn("lacks provider", self.keyturn("bench", "kms", *local, "--provider", "local:no", exit=2).err)
        self.assertIn("bench kms", self.keyturn("bench", exit=2).err)
        self.assertIn("--provider ID is missing", self.keyturn("bench", "kms", *local, exit=2).err)


if __name__ == "__main__":
    unittest.main()
