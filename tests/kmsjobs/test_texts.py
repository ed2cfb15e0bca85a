# SPDX-License-Identifier: Apache-2.0
"""No secret of any provider in what the program prints, logs and reports: keys, tokens, passwords and DEKs, searched for as
they are, in hex and in base64 at every alignment."""
import json
import os
import sqlite3
import ssl
import subprocess
import unittest
import urllib.request

import bson

import kmscrypt
import stage
import test_pairs

setUpModule = test_pairs.setUpModule
PASSWORD = "pem-password-Zq7"


class Texts(stage.Case):
    def setUp(self):
        super().setUp()
        servers = test_pairs.servers
        self.client = self.path("client.pem")
        key = subprocess.run(["openssl", "pkcs8", "-topk8", "-in", f"{servers.certs}/client.pem", "-passout", f"pass:{PASSWORD}"],
                             capture_output=True, text=True, check=True).stdout
        with open(f"{servers.certs}/client.pem", encoding="utf-8") as whole, open(self.client, "w", encoding="utf-8") as out:
            text = whole.read()
            out.write(key + text[text.index("-----BEGIN CERTIFICATE"):])
        self.given = test_pairs.credentials()
        self.tls = {name: {"tlsCAFile": servers.ca, "tlsCertificateKeyFile": self.client, "tlsCertificateKeyFilePassword": PASSWORD}
                    for name in self.given if not name.startswith("local")}
        driver = kmscrypt.Driver(test_pairs.driver_providers(self.given), servers.ca, f"{servers.certs}/client.pem")
        made = [driver.create(name, test_pairs.cmk(name)) for name in ("aws", "azure", "gcp", "kmip", "local")]
        driver.close()
        self.documents, self.deks = [bson.decode(document) for document, _ in made], [dek for _, dek in made]
        self.texts = []

    def say(self, *args, exit=None, env=None):
        done = self.keyturn(*args, "--verbose", exit=exit, env=env)
        self.texts += [done.out, done.err, json.dumps(done.report), json.dumps(self.failures())]
        for name in os.listdir(self.folder):
            if name.startswith("new.bson") or name.endswith(".ndjson"):
                os.unlink(self.path(name))
        return done

    def rewrap(self, given, provider, **more):
        target = test_pairs.cmk(provider, 1) if provider != "kmip" else None
        master = ["--master-key", json.dumps(target)] if target else []
        return self.say("rewrap", *self.vault(self.documents), "--to", "new.bson", *self.providers(given, self.tls),
                        "--provider", provider, *master, **more)

    def secrets(self):
        servers, azure, gcp = test_pairs.servers, test_pairs.azure, test_pairs.gcp
        context = ssl.create_default_context(cafile=servers.ca)
        with urllib.request.urlopen(f"https://127.0.0.1:{azure['port']}/control/tokens", context=context, timeout=10) as reply:
            tokens = json.loads(reply.read())
        with sqlite3.connect(f"file:{servers.folder}/kmip/pykmip.db?mode=ro", uri=True) as database:
            keks = [bytes(row[0]) for row in database.execute("select value from managed_objects") if row[0]]
        self.assertGreater(min(len(tokens), len(keks)), 0)
        with open(self.client, encoding="utf-8") as pem:
            sealed = pem.read().split("-----")[2].replace("\n", "")
        return [azure["clientSecret"], azure["federatedToken"], *tokens, gcp["bearer"], stage.base64.b64decode(gcp["privateKey"]),
                gcp["pem"].splitlines()[3], sealed[64:128], PASSWORD, test_pairs.aws["secretAccessKey"], "w" * 40,
                *keks, *self.deks, stage.base64.b64decode(self.given["local"]["key"])]

    def test_no_secret_in_any_text(self):
        for provider in ("aws", "azure", "gcp", "kmip", "local"):
            self.assertEqual(self.rewrap(self.given, provider).exit, 0)
        self.say("status", *self.vault(self.documents), *self.providers(self.given, self.tls), "--log-format", "json")
        # wrong ones, and ones that the environment gives
        wrong = {**self.given, "azure": {**self.given["azure"], "clientSecret": "w" * 40},
                 "aws": {**self.given["aws"], "secretAccessKey": "w" * 40}, "gcp": {"accessToken": "w" * 40}}
        self.assertNotEqual(self.rewrap(wrong, "local").exit, 0)
        self.assertNotEqual(self.rewrap({**self.given, "azure": {}}, "local", env={
            "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "w" * 40,
            "AZURE_AUTHORITY_HOST": f"https://127.0.0.1:{test_pairs.azure['port']}"}).exit, 0)
        self.tls["kmip"] = {**self.tls["kmip"], "tlsCertificateKeyFilePassword": "w" * 40}
        self.assertNotEqual(self.rewrap(self.given, "local").exit, 0)
        whole = "\n".join(self.texts)
        self.assertGreater(len(whole), 5000)
        for secret in self.secrets():
            for form in stage.forms(secret):
                self.assertGreaterEqual(len(form), 8)
                self.assertNotIn(form, whole)


if __name__ == "__main__":
    unittest.main()
