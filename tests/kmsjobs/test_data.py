# SPDX-License-Identifier: Apache-2.0
"""encrypt, verify and decrypt with a key vault whose DEKs lie under AWS, Azure, Google Cloud and KMIP."""
import json
import os
import subprocess
import time
import unittest

import bson
from bson.binary import Binary

import kmscrypt
import stage
import test_pairs

setUpModule = test_pairs.setUpModule
PROVIDERS = ["aws", "azure", "gcp", "kmip", "local"]
NS = "shop.c"


class Data(stage.Case):
    @classmethod
    def setUpClass(cls):
        cls.given = test_pairs.credentials()
        cls.tls = {name: {"tlsCAFile": test_pairs.servers.ca,
                          "tlsCertificateKeyFile": f"{test_pairs.servers.certs}/client.pem"}
                   for name in cls.given if not name.startswith("local")}
        driver = kmscrypt.Driver(test_pairs.driver_providers(cls.given), test_pairs.servers.ca,
                                 f"{test_pairs.servers.certs}/client.pem")
        cls.documents = {name: bytes(driver.create(name, test_pairs.cmk(name))[0]) for name in PROVIDERS}
        driver.close()

    def setUp(self):
        super().setUp()
        os.makedirs(self.path("dump/shop"))
        self.plain = b"".join(bson.encode({"_id": i, **{name: f"{name} {i % 7}" for name in PROVIDERS}}) for i in range(3000))
        with open(self.path("dump/shop/c.bson"), "wb") as out:
            out.write(self.plain)
        rules = {}
        for i, name in enumerate(PROVIDERS):
            key_id = bson.decode(self.documents[name])["_id"]
            algorithm = "AEAD_AES_256_CBC_HMAC_SHA_512-" + ("Random", "Deterministic")[i % 2]
            rules[name] = {"encrypt": {"keyId": [{"$binary": {"base64": stage.b64(key_id), "subType": "04"}}],
                                       "bsonType": "string", "algorithm": algorithm}}
        with open(self.path("schema.json"), "w", encoding="utf-8") as out:
            json.dump({NS: {"bsonType": "object", "properties": rules}}, out)
        self.common = [*self.vault(self.documents.values()), *self.providers(self.given, self.tls),
                       "--schema-map", self.path("schema.json")]

    def test_there_and_back_with_one_request_a_dek(self):
        done = self.keyturn("encrypt", *self.common, "--from", "dump", "--to", "sealed")
        self.assertEqual(done.report["namespaces"][NS]["values"], 3000 * len(PROVIDERS))
        # one unwrap each; KMIP fetches its key-encryption key, Azure's CMK is pinned
        self.assertEqual(done.report["kms"]["calls"], 4, done.report)
        self.assertRegex(done.out, r"KMS     4 calls, p50 [\d.]+ ms")
        done = self.keyturn("verify", *self.common, "--from", "sealed")
        self.assertEqual(sum(path["authentic"] for path in done.report["namespaces"][NS]["paths"].values()),
                         3000 * len(PROVIDERS))
        self.keyturn("decrypt", *self.common, "--from", "sealed", "--to", "plain")
        with open(self.path("plain/shop/c.bson"), "rb") as opened:
            self.assertEqual(opened.read(), self.plain)

    def test_the_plan_counts_the_keys_that_the_schema_names(self):
        done = self.keyturn("encrypt", *self.common, "--from", "dump", "--to", "sealed", "--dry-run")
        for line in (r"unwrap +aws us-east-1 key/\S+ +1 DEK +1 each +1 call\n", r"unwrap +azure \S+ +1 DEK +1 each +1 call\n",
                     r"unwrap +gcp \S+ +1 DEK +1 each +1 call\n", r"unwrap +kmip .*\S +1 DEK +1 each +1 call\n",
                     r"  total   4 calls, USD 0\.00"):
            self.assertRegex(done.out, line)
        self.assertEqual(done.report["kms"]["calls"], 4)
        self.assertEqual(sorted((line["provider"], line["deks"], line["calls"]) for line in done.report["unwrapped"]),
                         [(name, 1, 1) for name in sorted(PROVIDERS) if name != "local"])
        # what only documents name is counted when it has been met
        done = self.keyturn("decrypt", *self.common[:-2], "--from", "dump", "--to", "plain", "--dry-run")
        self.assertEqual(done.report["unwrapped"], [])

    def test_status_of_each_provider(self):
        documents = [bson.decode(document) for document in self.documents.values()]
        bad = {"gcp": {"keyName": "k9"}, "kmip": {"keyId": "999999"}}
        for name, change in bad.items():
            document = dict(bson.decode(self.documents[name]), _id=Binary(os.urandom(16), 4))
            document["masterKey"] = {**document["masterKey"], **change}
            documents.append(document)
        done = self.keyturn("status", *self.vault(documents), *self.providers(self.given, self.tls), exit=5)
        (vault,) = done.report["keyVaults"]
        self.assertEqual((vault["file"], vault["server"]), (self.path("keyvault.bson"), None))
        found = {json.dumps(cmk["masterKey"], sort_keys=True): cmk for cmk in vault["cmks"]}
        for document in documents:
            cmk = found.pop(json.dumps(document["masterKey"], sort_keys=True))
            changed = bad.get(document["masterKey"]["provider"], {}).items() <= document["masterKey"].items() and \
                document["masterKey"]["provider"] in bad
            self.assertEqual(cmk["usable"], "no" if changed else "yes", cmk)
        self.assertEqual(found, {})
        self.assertEqual(done.report["findings"]["unusable"], 2)

    def test_a_kms_that_is_away_is_no_finding_and_loses_nothing(self):
        self.keyturn("encrypt", *self.common, "--from", "dump", "--to", "sealed")
        with open(self.path("kms.json"), encoding="utf-8") as file:
            kms = json.load(file)
        documents = [bson.decode(document) for document in self.documents.values()]
        for document in documents:
            if document["masterKey"]["provider"] == "aws":
                document["masterKey"]["endpoint"] = "127.0.0.1:1"
        self.vault(documents)
        with open(self.path("kms.json"), "w", encoding="utf-8") as file:
            json.dump(kms, file)
        process = subprocess.Popen([stage.PROGRAM, "decrypt", *self.common, "--from", "sealed", "--to", "plain"],
                                   cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=stage.CLEAN)
        time.sleep(2)
        process.terminate()
        self.assertIn(process.wait(30), (3, 4))
        self.assertFalse(os.path.exists(self.path("plain")))


if __name__ == "__main__":
    unittest.main()
