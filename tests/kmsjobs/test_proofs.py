# SPDX-License-Identifier: Apache-2.0
"""A KMS whose wraps hold other bytes than they were given, now and then: a sample of the wraps is opened, and what it
shows of one is feared of all."""
import os

import kmscrypt
import stage
from stage import b64

KEYS = 60
servers = azure = None


def setUpModule():
    global servers, azure
    servers = stage.start("azure")
    azure = servers.azure()


class Proofs(stage.Case):
    def test_wraps_that_hold_other_bytes_end_the_job(self):
        given = {"local": {"key": b64(os.urandom(96))},
                 "azure": {"tenantId": azure["tenantId"], "clientId": azure["clientId"],
                           "clientSecret": azure["clientSecret"],
                           "identityPlatformEndpoint": f"127.0.0.1:{azure['port']}"}}
        driver = kmscrypt.Driver({"local": given["local"]}, servers.ca, f"{servers.certs}/client.pem")
        self.addCleanup(driver.close)
        documents = [bytes(driver.create("local", None)[0]) for _ in range(KEYS)]
        liar = {"keyVaultEndpoint": f"127.0.0.1:{azure['port']}", "keyName": "liar",
                "keyVersion": azure["keys"]["liar"][0]}
        done = self.keyturn("rewrap", *self.vault(documents), "--to", "new.bson",
                            *self.providers(given, {"azure": {"tlsCAFile": servers.ca}}), "--provider", "azure",
                            "--master-key", stage.json.dumps(liar), exit=4)
        self.assertIn("is wrong: it opened to other bytes than the old one", done.err)
        self.assertFalse((self.folder / "new.bson").exists())
        self.assertEqual([], self.failures())
