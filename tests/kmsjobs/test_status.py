# SPDX-License-Identifier: Apache-2.0
"""keyturn status: key vaults in files, backups and on a server; CMKs of Azure's double and local ones."""
import datetime
import json
import os
import unittest

import bson
from bson import json_util
from bson.binary import Binary

import kmscrypt
import stage
from stage import b64, key_document

URI = os.environ.get("KEYTURN_TEST_MONGODB_URI")
servers = azure = None


def setUpModule():
    global servers, azure
    servers = stage.start("azure")
    azure = servers.azure()


def given():
    return {"azure": {"tenantId": azure["tenantId"], "clientId": azure["clientId"], "clientSecret": azure["clientSecret"],
                      "identityPlatformEndpoint": f"127.0.0.1:{azure['port']}"},
            "local:a": {"key": b64(bytes(range(96)))}, "local:b": {"key": b64(bytes(range(1, 97)))}}


class Status(stage.Case):
    @classmethod
    def setUpClass(cls):
        accounts = given()
        accounts["azure"] = {**accounts["azure"], "clientSecret": kmscrypt.quote(azure["clientSecret"])}
        driver = kmscrypt.Driver(accounts, servers.ca, f"{servers.certs}/client.pem")
        at = {"keyVaultEndpoint": f"127.0.0.1:{azure['port']}"}

        def make(provider, master_key, age_days, names=()):
            document = bson.decode(driver.create(provider, master_key)[0])
            now = datetime.datetime.now(datetime.timezone.utc)
            document["creationDate"] = document["updateDate"] = now - datetime.timedelta(days=age_days)
            if names:
                document["keyAltNames"] = list(names)
            return document
        cls.fresh = [make("local:a", {}, 0, ["one"]), make("local:a", {}, 5)]
        cls.old = [make("local:b", {}, 400)]
        cls.pinned = [make("azure", {**at, "keyName": "cmk1", "keyVersion": azure["keys"]["cmk1"][0]}, 3)]
        cls.open_version = [make("azure", {**at, "keyName": "cmk2"}, 3)]
        driver.close()

    def status(self, documents, *more, exit=0, providers=True):
        kms = self.providers(given(), {"azure": {"tlsCAFile": servers.ca}}) if providers else []
        done = self.keyturn("status", *self.vault(documents), *kms, *more, exit=exit)
        self.assertEqual(done.report["job"], "status")
        return done

    def cmk(self, done, word):
        (found,) = [cmk for vault in done.report["keyVaults"] for cmk in vault["cmks"] if word in cmk["cmk"]]
        return found

    def test_nothing_to_find(self):
        done = self.status(self.fresh + self.pinned)
        self.assertIn("no findings", done.out)
        self.assertEqual(done.report["keyVaults"][0]["deks"], 3)
        self.assertEqual(self.cmk(done, "local:a")["deks"], 2)
        self.assertEqual({cmk["usable"] for cmk in done.report["keyVaults"][0]["cmks"]}, {"yes"})
        self.assertIn("names   0 duplicates, 2 DEKs without", done.out)

    def test_old_wraps(self):
        done = self.status(self.fresh + self.old, "--older-than", "90d", exit=5)
        self.assertRegex(done.out, r"local:b +1 +\d{4}-\d\d-\d\d  400 d ! +yes")
        self.assertIn("1 finding: 1 older than 90 days   exit 5", done.out)
        self.assertEqual((self.cmk(done, "local:b")["old"], self.cmk(done, "local:a")["old"]), (1, 0))
        self.status(self.fresh + self.old)

    def test_azure_without_a_version(self):
        done = self.status(self.open_version, exit=5)
        self.assertIn("yes, but no keyVersion: a new version locks these out", done.out)
        self.assertEqual(done.report["findings"]["versionless"], 1)
        empty = dict(self.open_version[0], masterKey={**self.open_version[0]["masterKey"], "keyVersion": ""})
        self.assertEqual(self.status([empty], exit=5).report["findings"]["versionless"], 1)

    def test_providers_that_are_not_there(self):
        documents = self.fresh + [key_document({"provider": "gcp", "projectId": "p", "location": "l", "keyRing": "r",
                                                "keyName": "k"}, b"\1" * 180)]
        done = self.status(documents, exit=5)
        self.assertIn("not configured", self.cmk(done, "gcp")["why"])
        done = self.status(documents, providers=False)
        self.assertEqual({cmk["usable"] for cmk in done.report["keyVaults"][0]["cmks"]}, {None})
        self.assertIn("not tried", done.out)

    def test_a_master_key_that_does_not_fit(self):
        wrong = dict(self.fresh[0], masterKey={"provider": "local:b"})
        done = self.status([wrong], exit=5)
        self.assertEqual(self.cmk(done, "local:b")["usable"], "no")

    def test_names_that_two_share_and_documents_that_are_none(self):
        twin = dict(self.fresh[1], keyAltNames=["one", "two"])
        done = self.status([self.fresh[0], twin, {"_id": 1, "masterKey": 5}, dict(self.fresh[1], note="x")], exit=5)
        self.assertEqual((done.report["findings"]["duplicateNames"], done.report["findings"]["broken"]), (1, 2))
        self.assertIn("broken  2 documents that drivers refuse", done.out)

    def test_is_a_cmk_needed(self):
        backup = [{"_id": document["_id"], "ns": "encryption.__keyVault", "old": document,
                   "new": {"keyMaterial": document["keyMaterial"], "masterKey": {"provider": "local:a"}}} for document in self.old * 2]
        with open(self.path("rewrap-backup.bson"), "wb") as out:
            out.write(b"".join(map(bson.encode, backup)))
        more = ["--key-vault", self.path("rewrap-backup.bson"), "--cmk"]
        done = self.status(self.fresh, *more, '{"provider": "local:b"}')
        self.assertIn("--cmk   local:b: 0 DEKs here, 2 in 1 backup file: disable it once that backup may die", done.out)
        self.assertEqual([vault["underCmk"] for vault in done.report["keyVaults"]], [0, 2])
        self.assertEqual(done.report["keyVaults"][1]["inBackup"], 2)
        self.assertIn("2 DEKs here: it is needed", self.status(self.fresh, *more, '{"provider": "local:a"}').out)
        nobody = '{"provider": "aws", "region": "us-east-1", "key": "k"}'
        self.assertIn("nothing that was given needs it", self.status(self.fresh, *more, nobody).out)

    def test_a_cmk_without_its_version_stands_for_all(self):
        anything = {"provider": "azure", "keyVaultEndpoint": f"127.0.0.1:{azure['port']}", "keyName": "cmk1"}
        done = self.status(self.pinned, "--cmk", json.dumps(anything))
        self.assertEqual(done.report["keyVaults"][0]["underCmk"], 1)
        anything["keyVersion"] = azure["keys"]["cmk1"][1]
        done = self.status(self.pinned, "--cmk", json.dumps(anything))
        self.assertEqual(done.report["keyVaults"][0]["underCmk"], 0)

    def test_which_deks_nothing_uses(self):
        payload = bytes([1]) + bytes(self.fresh[0]["_id"]) + bytes([2]) + os.urandom(64)
        os.mkdir(self.path("dump"))
        os.mkdir(self.path("dump/shop"))
        with open(self.path("dump/shop/c.bson"), "wb") as out:
            out.write(bson.encode({"_id": 1, "deep": [{"v": Binary(payload, 6)}]}))
        done = self.status(self.fresh, "--from", self.path("dump"))
        self.assertEqual(done.report["keyVaults"][0]["unused"], 1)
        self.assertIn("unused  1 DEK that nothing in the data names", done.out)

    def test_values_of_queryable_encryption_use_their_deks_too(self):
        """So does what begins as one of ours and was cut."""
        key = bytes(self.fresh[0]["_id"])
        for kind, rest in [(kind, 200) for kind in (6, 7, 9, 14, 15, 16, 17)] + [(1, 30), (2, 3)]:
            value = Binary(bytes([kind]) + key + os.urandom(rest), 6)
            for document in ({"v": value}, {"deep": [{"v": value}]}, {"code": bson.Code("f()", {"v": value})}):
                with open(self.path("c.bson"), "wb") as out:
                    out.write(bson.encode({"_id": 1, **document}))
                done = self.status(self.fresh[:1], "--from", self.path("c.bson"), providers=False)
                self.assertEqual(done.report["keyVaults"][0]["unused"], 0, (kind, document))

    def test_a_collections_options_use_their_deks(self):
        """Of encryptedFields or a validator a DEK is in use before the first value is sealed under it."""
        key = Binary(bytes(self.fresh[0]["_id"]), 4)
        os.makedirs(self.path("dump/shop"))
        open(self.path("dump/shop/c.bson"), "wb").close()
        encrypt = {"encrypt": {"keyId": [key], "bsonType": "string"}}
        # A server takes this condition; libbson's reader of Extended JSON does not.
        types = {"a": {"$type": ["string", "int"]}}
        other = Binary(os.urandom(16), 4)
        for options, unused in (({"validator": {**types, "b": other}}, 1),
                                ({"encryptedFields": {"fields": [{"path": "v", "keyId": key}]}}, 0),
                                ({"validator": {**types, "$jsonSchema": {"properties": {"v": encrypt}}}}, 0)):
            text = json_util.dumps({"options": options, "indexes": [], "collectionName": "c"},
                                   json_options=json_util.CANONICAL_JSON_OPTIONS)
            as_uuid = json.dumps({"$uuid": str(key.as_uuid())})
            as_binary = json_util.dumps(key, json_options=json_util.CANONICAL_JSON_OPTIONS)
            for form in (text, text.replace(as_binary, as_uuid), text.replace("/", "\\/")):
                with open(self.path("dump/shop/c.metadata.json"), "w", encoding="utf-8") as out:
                    out.write(form)
                done = self.status(self.fresh[:1], "--from", self.path("dump"), providers=False)
                self.assertEqual(done.report["keyVaults"][0]["unused"], unused, form)

    def test_changes_in_a_dumps_oplog_use_their_deks(self):
        value = Binary(bytes([1]) + bytes(self.fresh[0]["_id"]) + os.urandom(65), 6)
        os.mkdir(self.path("dump"))
        with open(self.path("dump/oplog.bson"), "wb") as out:
            out.write(bson.encode({"op": "i", "ns": "shop.c", "o": {"_id": 1, "v": value}}))
        done = self.status(self.fresh[:1], "--from", self.path("dump"), providers=False)
        self.assertEqual(done.report["keyVaults"][0]["unused"], 0)

    def test_a_dump_is_a_key_vault(self):
        os.makedirs(self.path("dump/encryption"))
        with open(self.path("dump/encryption/__keyVault.bson"), "wb") as out:
            out.write(b"".join(map(bson.encode, self.fresh)))
        done = self.keyturn("status", "--key-vault", self.path("dump"))
        self.assertEqual(done.report["keyVaults"][0]["deks"], 2)
        done = self.keyturn("status", "--key-vault", self.path("dump"), "--key-vault-namespace", "a.b", exit=2)
        self.assertIn("holds no a.b", done.err)

    def test_bad_use(self):
        self.assertIn("--key-vault STORE is missing", self.keyturn("status", exit=2).err)
        self.keyturn("status", "--key-vault", "nowhere.bson", exit=2)
        done = self.status(self.fresh, "--cmk", '{"region": "x"}', exit=2)
        self.assertIn("provider", done.err)
        done = self.status(self.fresh, "--cmk", '{"provider": "aws"}', exit=2)
        self.assertIn("region", done.err)

    def test_several_vaults_from_the_configuration(self):
        self.vault(self.fresh, "a.bson")
        self.vault(self.old, "b.bson")
        with open(self.path("keyturn.json"), "w", encoding="utf-8") as out:
            json.dump({"keyVault": ["a.bson", "b.bson"], "kmsRate": 100}, out)
        done = self.keyturn("status", "--config", self.path("keyturn.json"))
        self.assertEqual([vault["deks"] for vault in done.report["keyVaults"]], [2, 1])
        self.assertIn("takes one --key-vault", self.keyturn("rewrap", "--config", self.path("keyturn.json"), "--to", "c.bson",
                                                            *self.providers(given()), exit=2).err)


@unittest.skipUnless(URI, "machine: no mongod")
class OnAServer(stage.Case):
    def setUp(self):
        super().setUp()
        import pymongo
        self.client = pymongo.MongoClient(URI)
        self.addCleanup(self.client.close)
        self.name = f"kt_status_{os.getpid()}"
        self.collection = self.client[self.name]["vault"]
        self.addCleanup(self.client.drop_database, self.name)
        self.collection.insert_many([key_document({"provider": "local:a"}, os.urandom(160), [f"n{i}"]) for i in range(250)])

    def status(self, exit):
        return self.keyturn("status", "--key-vault", URI, "--key-vault-namespace", f"{self.name}.vault", exit=exit)

    def index(self, **options):
        self.collection.drop_indexes()
        if options:
            self.collection.create_index("keyAltNames", **options)
        done = self.status(0 if options == self.GOOD else 5)
        self.assertEqual(done.report["keyVaults"][0]["deks"], 250)
        self.assertIn(f"{self.name}.vault on ", done.out)
        (vault,) = done.report["keyVaults"]
        self.assertEqual((vault["file"], vault["hosts"]), (None, ",".join("%s:%d" % node for node in sorted(self.client.nodes))))
        self.assertEqual(vault["cmks"][0]["masterKey"], {"provider": "local:a"})
        return vault["index"]

    GOOD = {"unique": True, "partialFilterExpression": {"keyAltNames": {"$exists": True}}}

    def test_its_index(self):
        self.assertEqual(self.index(**self.GOOD), "good")
        self.assertEqual(self.index(), "missing")
        self.assertEqual(self.index(unique=True), "notPartial")
        self.assertEqual(self.index(partialFilterExpression=self.GOOD["partialFilterExpression"]), "notUnique")

    def test_a_vault_that_is_not_there(self):
        done = self.keyturn("status", "--key-vault", URI, "--key-vault-namespace", "kt_none.kt_none", exit=2)
        self.assertIn("holds no kt_none.kt_none", done.err)


if __name__ == "__main__":
    unittest.main()
