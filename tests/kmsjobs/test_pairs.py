# SPDX-License-Identifier: Apache-2.0
"""Every provider to every other, named and delegated ones too: libmongocrypt makes the DEKs under the old CMK, the
program rewraps them, libmongocrypt opens them with the new CMK at the same servers."""
import hashlib
import hmac
import json
import os
import struct
import unittest

import bson

import kmscrypt
import stage
from stage import b64

EACH = 2
servers = aws = azure = gcp = kmip = ports = None


def setUpModule():
    global servers, aws, azure, gcp, kmip, ports
    servers = stage.start("aws", "azure", "gcp", "kmip")
    aws, azure, gcp, kmip = servers.aws(2), servers.azure(), servers.gcp(), servers.kmip()
    ports = {"aws": servers.front(aws["port"]), "gcp": servers.front(gcp["port"], bearer=gcp["bearer"]),
             "tokens": servers.front(gcp["tokenPort"])}


def credentials():
    """kmsProviders for the program and for libmongocrypt alike."""
    amazon = {"accessKeyId": aws["accessKeyId"], "secretAccessKey": aws["secretAccessKey"]}
    microsoft = {"tenantId": azure["tenantId"], "clientId": azure["clientId"],
                 "clientSecret": azure["clientSecret"], "identityPlatformEndpoint": f"127.0.0.1:{azure['port']}"}
    google = {"email": gcp["email"], "privateKey": gcp["privateKey"], "endpoint": f"127.0.0.1:{ports['tokens']}"}
    keys = {"endpoint": f"localhost:{kmip['port']}"}
    return {"local": {"key": b64(os.urandom(96))}, "aws": amazon, "azure": microsoft, "gcp": google, "kmip": keys,
            "local:two": {"key": b64(os.urandom(96))}, "aws:two": amazon, "azure:two": microsoft, "gcp:two": google,
            "kmip:two": keys}


def cmk(provider, index=0):
    """The masterKey for --master-key and for libmongocrypt; None: none is needed."""
    kind = provider.split(":")[0]
    return {"local": None,
            "aws": {"region": "us-east-1", "key": aws["keys"][index], "endpoint": f"127.0.0.1:{ports['aws']}"},
            "azure": {"keyVaultEndpoint": f"127.0.0.1:{azure['port']}", "keyName": "cmk1",
                      "keyVersion": azure["keys"]["cmk1"][index]},
            "gcp": {"projectId": "proj", "location": "global", "keyRing": "ring", "keyName": gcp["keys"][index],
                    "endpoint": f"127.0.0.1:{ports['gcp']}"},
            "kmip": {}}[kind]


def driver_providers(given):
    """The token endpoint's secret has characters that libmongocrypt does not escape in its form."""
    made = {}
    for name, document in given.items():
        made[name] = dict(document)
        if name.startswith("azure"):
            made[name]["clientSecret"] = kmscrypt.quote(document["clientSecret"])
    return made


def is_sealed_with(dek, aad, sealed):
    body, tag = sealed[:-32], sealed[-32:]
    made = hmac.new(dek[:32], aad + body + struct.pack(">Q", 8 * len(aad)), hashlib.sha512).digest()[:32]
    return hmac.compare_digest(made, tag)


class Pairs(stage.Case):
    SOURCES = ["local", "aws", "azure", "gcp", "kmip", "aws:two", "local:two", "kmip delegated"]

    @classmethod
    def setUpClass(cls):
        cls.given = credentials()
        cls.tls = {name: {"tlsCAFile": servers.ca, "tlsCertificateKeyFile": f"{servers.certs}/client.pem"}
                   for name in cls.given if not name.startswith("local")}
        cls.driver = kmscrypt.Driver(driver_providers(cls.given), servers.ca, f"{servers.certs}/client.pem")
        cls.documents, cls.deks = [], {}
        for source in cls.SOURCES:
            provider, _, delegated = source.partition(" ")
            master_key = {"delegated": True} if delegated else cmk(provider)
            for _ in range(EACH):
                document, dek = cls.driver.create(provider, master_key)
                cls.documents.append(bytes(document))
                cls.deks[bytes(bson.decode(document)["_id"])] = dek

    @classmethod
    def tearDownClass(cls):
        cls.driver.close()

    def rewrap(self, *target, exit=0):
        return self.keyturn("rewrap", *self.vault(self.documents), "--to", "new.bson", *self.providers(self.given, self.tls),
                            *target, exit=exit)

    def judge(self, provider):
        judge = kmscrypt.Driver(driver_providers(self.given), servers.ca, f"{servers.certs}/client.pem")
        self.addCleanup(judge.close)
        before = self.deks.copy()
        for document in self.read("new.bson"):
            if provider:
                self.assertEqual(document["masterKey"]["provider"], provider)
            dek = before.pop(bytes(document["_id"]))
            self.assertTrue(is_sealed_with(dek, *judge.opens(document)), document["masterKey"])
        self.assertEqual(before, {})

    def pair(self, provider, master_key):
        target = ["--provider", provider]
        if master_key:
            target += ["--master-key", json.dumps(master_key)]
        done = self.rewrap(*target)
        keys = done.report["keys"]
        self.assertEqual((keys["rewrapped"], keys["failed"]), (len(self.documents), 0), done.report)
        self.assertEqual(len(keys["cmks"]), len({bytes(bson.encode(bson.decode(d)["masterKey"])) for d in self.documents}))
        self.judge(provider)
        return done

    def test_to_local(self):
        self.pair("local", None)

    def test_to_aws(self):
        self.pair("aws", cmk("aws", 1))

    def test_to_azure(self):
        self.pair("azure", cmk("azure", 1))

    def test_to_gcp(self):
        self.pair("gcp", cmk("gcp", 1))

    def test_to_kmip(self):
        self.pair("kmip", None)
        stored = {document["masterKey"]["keyId"] for document in self.read("new.bson")}
        self.assertEqual(len(stored), 1, "one key of the KMIP server serves all DEKs")

    def test_to_kmip_delegated(self):
        self.pair("kmip", {"delegated": True})
        self.assertEqual({len(document["keyMaterial"]) for document in self.read("new.bson")}, {128})

    def test_to_named_providers(self):
        for provider in ("local:two", "aws:two", "azure:two", "gcp:two", "kmip:two"):
            with self.subTest(provider):
                (self.folder / "new.bson").unlink(missing_ok=True)
                self.pair(provider, cmk(provider, 1))

    def test_a_link_to_a_kmip_server_leaves_room_for_the_other_provider(self):
        mine = [d for d in self.documents if bson.decode(d)["masterKey"]["provider"] == "kmip"]
        for target in (["aws", cmk("aws", 1)], ["azure", cmk("azure", 1)], ["kmip:two", {}]):
            with self.subTest(target[0]):
                (self.folder / "new.bson").unlink(missing_ok=True)
                done = self.keyturn("rewrap", *self.vault(mine), "--to", "new.bson", *self.providers(self.given, self.tls),
                                    "--provider", target[0], "--master-key", json.dumps(target[1]),
                                    "--kms-concurrency", "1", seconds=60)
                self.assertEqual((done.report["keys"]["rewrapped"], done.report["keys"]["failed"]), (len(mine), 0))
                self.assertEqual(done.report["kms"]["retries"], 0)

    def test_under_their_own(self):
        done = self.rewrap()
        self.assertEqual((done.report["keys"]["rewrapped"], done.report["keys"]["failed"]), (len(self.documents), 0))
        self.judge(None)
        before = {bytes(bson.decode(d)["_id"]): bson.decode(d) for d in self.documents}
        for document in self.read("new.bson"):
            old = before[bytes(document["_id"])]
            self.assertEqual(document["masterKey"], old["masterKey"])
            if old["masterKey"]["provider"] != "gcp":  # drongo wraps the same bytes to the same bytes
                self.assertNotEqual(document["keyMaterial"], old["keyMaterial"])

    def test_azure_without_a_version_is_pinned(self):
        open_version = {name: value for name, value in cmk("azure").items() if name != "keyVersion"}
        self.pair("azure", open_version)
        newest = azure["keys"]["cmk1"][-1]
        self.assertEqual({document["masterKey"].get("keyVersion") for document in self.read("new.bson")}, {newest})


if __name__ == "__main__":
    unittest.main()
