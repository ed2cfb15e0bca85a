# SPDX-License-Identifier: Apache-2.0
"""Credentials that end while a job runs, that an embedding program supplies, and services that give them out with trouble.
The fast responder refuses a session from the time on that stands in its token."""
import json
import os
import subprocess
import time
import unittest

import stage
from stage import FAST_CREDENTIALS

servers = None
KEYS = 600
EMBEDDER = str(stage.BUILD / "tests/kmsjobs/embedder")


def setUpModule():
    global servers
    servers = stage.start("metadata")


class Sessions(stage.Case):
    def setUp(self):
        super().setUp()
        self.kms = stage.Fast(servers, delay=5)
        self.documents, self.deks = self.kms.vault(KEYS)
        self.vault(self.documents)
        self.target = {name: value for name, value in self.kms.cmk("new").items() if name != "provider"}
        self.tls = {"aws": {"tlsCAFile": servers.ca}}

    def tearDown(self):
        self.figures = self.kms.figures()

    def rewrap(self, credentials, *more, exit=0, env=None):
        return self.keyturn("rewrap", "--key-vault", self.path("keyvault.bson"), "--to", "new.bson", "--kms-rate", 300,
                            *self.providers({"aws": credentials}, self.tls), "--provider", "aws", "--master-key",
                            json.dumps(self.target), *more, exit=exit, env=env)

    def all_there(self):
        left = dict(self.deks)
        for document in self.read("new.bson"):
            self.assertEqual(self.kms.open(document["keyMaterial"]), left.pop(bytes(document["_id"])))
        self.assertEqual(left, {})


def session(seconds):
    return {**FAST_CREDENTIALS["aws"], "sessionToken": f"exp-{int((time.time() + seconds) * 1000)}"}


class Ends(Sessions):
    def test_a_given_session_ends_the_job_which_goes_on_with_a_fresh_one(self):
        done = self.rewrap(session(1), exit=4)
        self.assertIn("ExpiredToken", done.err)
        self.assertIn("With fresh credentials the same command goes on", done.err)
        self.assertEqual((done.report["keys"]["failed"], self.failures()), (0, []))
        self.assertFalse(os.path.exists(self.path("new.bson")))
        done = self.rewrap(session(600))
        self.assertEqual(done.report["keys"]["rewrapped"], KEYS)
        self.all_there()

    def test_a_dead_session_at_the_start_is_refused(self):
        done = self.rewrap(session(-1), exit=2)
        self.assertIn("ExpiredToken", done.err)
        self.assertEqual(self.failures(), [])

    def test_a_profile_that_is_renewed_meanwhile(self):
        def write(seconds):
            with open(self.path("next"), "w", encoding="utf-8") as out:
                out.write(f"[default]\naws_access_key_id=AKID\naws_secret_access_key=s\naws_session_token="
                          f"{session(seconds)['sessionToken']}\n")
            os.rename(self.path("next"), self.path("credentials"))
        write(1.5)
        renewal = subprocess.Popen(["sleep", "1"])
        begun = subprocess.Popen([stage.PROGRAM, "rewrap", "--key-vault", self.path("keyvault.bson"), "--to", "new.bson",
                                  "--kms-rate", "300", *self.providers({"aws": {}}, self.tls), "--provider", "aws",
                                  "--master-key", json.dumps(self.target)], cwd=self.folder, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True,
                                 env={**stage.CLEAN, "HOME": "/nonexistent", "AWS_CONFIG_FILE": "/nonexistent",
                                      "AWS_SHARED_CREDENTIALS_FILE": self.path("credentials")})
        renewal.wait()
        write(600)
        text = begun.communicate(timeout=120)[0]
        self.assertEqual(begun.returncode, 0, text)
        self.all_there()


class Trouble(Sessions):
    def test_a_metadata_service_that_answers_at_last(self):
        there = servers.metadata(aws={"AccessKeyId": "AKID", "SecretAccessKey": "secret", "Token": "t"}, trouble=[503] * 6)
        self.rewrap({}, env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{there['port']}"})
        self.all_there()


class Supplied(Sessions):
    def embedder(self, what, lifetime_ms, dead_after_ms=0):
        kms = {"kmsProviders": {"aws": {}}, "tlsOptions": self.tls}
        done = subprocess.run([EMBEDDER, what, self.path("keyvault.bson"), self.path("new.bson"), json.dumps(kms),
                               json.dumps(self.target), str(lifetime_ms), str(dead_after_ms)], capture_output=True, text=True,
                              cwd=self.folder, timeout=120, check=True,
                              env={**stage.CLEAN, "AWS_ACCESS_KEY_ID": "not", "AWS_SECRET_ACCESS_KEY": "asked"})
        self.assertNotIn("supplied-secret", done.stderr)
        return json.loads(done.stdout)

    def test_it_is_asked_again_in_time(self):
        done = self.embedder("rewrap", 800)
        self.assertEqual((done["status"], done["exit"], done["failed"]), ("KT_OK", 0, 0), done)
        self.assertGreaterEqual(done["calls"], 2)
        self.all_there()

    def test_it_is_asked_again_when_the_service_refuses(self):
        done = self.embedder("rewrap", 0)
        self.assertEqual((done["status"], done["exit"], done["failed"]), ("KT_OK", 0, 0), done)
        self.assertGreaterEqual(done["calls"], 2)
        self.all_there()

    def test_it_has_only_dead_ones_any_more(self):
        done = self.embedder("rewrap", 800, 900)
        self.assertEqual((done["status"], done["exit"], done["failed"]), ("KT_E_CREDENTIALS", 4, 0), done)
        self.assertFalse(os.path.exists(self.path("new.bson")))
        done = self.embedder("rewrap", 60000)
        self.assertEqual((done["status"], done["calls"]), ("KT_OK", 1), done)
        self.all_there()

    def test_an_audit_asks_too(self):
        done = self.embedder("audit", 60000)
        self.assertEqual((done["status"], done["exit"], done["failed"], done["calls"]), ("KT_OK", 0, 0, 1), done)


if __name__ == "__main__":
    unittest.main()
