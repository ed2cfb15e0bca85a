# SPDX-License-Identifier: Apache-2.0
"""CMKs that refuse, servers whose certificates do, and what the screens and logs say of it: AWS as moto with policies,
behind HAProxy."""
import json
import os
import unittest
import uuid

import bson
from bson.codec_options import CodecOptions

import kmscrypt
import stage


URI = os.environ.get("KEYTURN_TEST_MONGODB_URI")
CODEC = CodecOptions(uuid_representation=0)
servers = aws = port = None
CMKS = 10
DISABLED, DENIED, MISSING = 3, 5, 7
NO_KEY = "00000000-0000-4000-8000-000000000007"


def disable(index):
    """moto's Decrypt looks at no state, so HAProxy answers for one CMK as KMS would: Encrypt names it, Decrypt and
    ReEncrypt in what moto has wrapped."""
    name = aws["keys"][index].rsplit("/", 1)[1]
    return ("http-request return status 400 content-type application/json string "
            "'{\"__type\":\"DisabledException\",\"message\":\"is disabled.\"}' "
            f"if {{ req.body -m reg ({name}|{stage.b64(name.encode())}) }}")


def setUpModule():
    global servers, aws, port
    servers = stage.start("aws")
    aws = servers.aws(CMKS + 1)
    port = servers.front(aws["port"], extra=[disable(DISABLED)])


def cmk(index, at=None):
    key = aws["keys"][index] if index != MISSING else aws["keys"][index].rsplit("/", 1)[0] + "/" + NO_KEY
    return {"region": "us-east-1", "key": key, "endpoint": f"127.0.0.1:{at or port}"}


def given(**more):
    return {"aws": {"accessKeyId": aws["accessKeyId"], "secretAccessKey": aws["secretAccessKey"], **more}}


def two_accounts():
    """The second has no right at all in IAM; moto knows no rights to single keys."""
    return {"kms_providers": {**given(), "aws:denied": aws["nobody"]},
            "tls_options": {name: {"tlsCAFile": servers.ca} for name in ("aws", "aws:denied")}}


def provider_of(index):
    return "aws:denied" if index == DENIED else "aws"


class Refused(stage.Case):
    """Ten CMKs; the fourth is disabled, the sixth denied, the eighth missing."""

    # What a wrap under a key that is not there gets from KMS does not say more than that.
    EACH, BAD = 3, {DISABLED: "disabled", DENIED: "not authorized to perform: kms:decrypt", MISSING: "accessdeniedexception"}

    @classmethod
    def setUpClass(cls):
        straight = servers.front(aws["port"])
        driver = kmscrypt.Driver(given(), servers.ca, f"{servers.certs}/client.pem")
        cls.documents, cls.bad = [], {}
        for index in range(CMKS):
            for _ in range(cls.EACH):
                document, _ = driver.create("aws", {**cmk(index, straight), "key": aws["keys"][index]})
                document = bson.decode(document)
                document["masterKey"] = {"provider": provider_of(index), **cmk(index)}
                if index == MISSING:  # moto's wraps begin with the key's id
                    document["keyMaterial"] = NO_KEY.encode() + document["keyMaterial"][36:]
                cls.documents.append(document)
                if index in cls.BAD:
                    cls.bad[bytes(document["_id"]).hex()] = index
        driver.close()

    def rewrap(self, *more, documents=None, target=CMKS, exit=1):
        return self.keyturn("rewrap", *self.vault(documents or self.documents), "--to", "new.bson",
                            *self.providers(**two_accounts()), "--provider", provider_of(target),
                            "--master-key", json.dumps(cmk(target)), *more, exit=exit)

    def listed(self, documents, ns="encryption.__keyVault"):
        lines = [{"ns": ns, "_id": {"$binary": {"base64": stage.b64(d["_id"]), "subType": "04"}}} for d in documents]
        (self.folder / "list.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return ["--only", self.path("list.ndjson")]

    def good(self):
        return [d for d in self.documents if bytes(d["_id"]).hex() not in self.bad]

    def check_only(self, done, made, listed):
        """Those alone have moved."""
        self.assertEqual((done.report["keys"]["rewrapped"], done.report["keys"]["failed"], done.report["warnings"]),
                         (len(listed), 0, []))
        self.assertEqual(sum(cmk["rewrapped"] for cmk in done.report["keys"]["cmks"]), len(listed))
        moved = {bytes(d["_id"]) for d in listed}
        before = {bytes(d["_id"]): d for d in self.documents}
        for document in made:
            old = before.pop(bytes(document["_id"]))
            if bytes(document["_id"]) in moved:
                self.assertEqual(document["masterKey"]["key"], aws["keys"][CMKS])
                self.assertNotEqual(document["keyMaterial"], old["keyMaterial"])
            else:
                self.assertEqual(document, old)
        self.assertEqual(before, {})

    def check_reasons(self):
        failures = self.failures()
        self.assertEqual(len(failures), 3 * self.EACH)
        for failure in failures:
            index = self.bad[stage.base64.b64decode(failure["_id"]["$binary"]["base64"]).hex()]
            self.assertIn(self.BAD[index], failure["reason"].lower(), failure)
            self.assertIn(f"{provider_of(index)} us-east-1 {cmk(index)['key']}: ", failure["reason"])

    def test_their_deks_alone_fail(self):
        done = self.rewrap()
        keys = done.report["keys"]
        self.assertEqual((keys["rewrapped"], keys["failed"]), ((CMKS - 3) * self.EACH, 3 * self.EACH))
        self.check_reasons()
        before = {bytes(document["_id"]): document for document in self.documents}
        for document in self.read("new.bson"):
            old = before.pop(bytes(document["_id"]))
            if bytes(old["_id"]).hex() in self.bad:
                self.assertEqual(document, old)
            else:
                self.assertEqual(document["masterKey"]["key"], aws["keys"][CMKS])
        self.assertEqual(before, {})
        for line in done.out.splitlines():
            if "no longer needs" in line:
                self.assertEqual([index for index in self.BAD if cmk(index)["key"].rsplit("/", 1)[1][:8] in line], [])

    def test_all_or_nothing(self):
        done = self.rewrap("--all-or-nothing")
        self.assertIn("nothing was written", done.err)
        self.assertEqual((done.report["withheld"], done.report["keys"]["rewrapped"]), (True, 0))
        self.check_reasons()
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith("new.bson")], [])
        # the trials and nothing more: one DEK a CMK and a few of those that refuse, the target, ReEncrypt from each
        self.assertLess(done.report["kms"]["calls"], 40)

    def test_all_or_nothing_of_a_list_that_they_are_not_on(self):
        listed = self.good()[::2]
        done = self.rewrap("--all-or-nothing", *self.listed(listed), exit=0)
        self.assertFalse(done.report["withheld"])
        self.check_only(done, self.read("new.bson"), listed)

    def test_all_or_nothing_of_a_list_with_one_of_them(self):
        bad = [d for d in self.documents if bytes(d["_id"]).hex() in self.bad]
        done = self.rewrap("--all-or-nothing", *self.listed([*self.good(), bad[-1]]))
        self.assertEqual((done.report["withheld"], done.report["keys"]["failed"]), (True, 1))
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith("new.bson")], [])

    def test_all_or_nothing_begins_anew_once_a_cmk_can_be_used(self):
        """What was put out while one could not are copies."""
        documents = [d for d in self.documents if self.bad.get(bytes(d["_id"]).hex(), DENIED) == DENIED]
        done = self.rewrap("--all-or-nothing", "--max-failures", 0, documents=documents, exit=3)
        self.assertEqual(done.report["keys"]["rewrapped"], 0)
        allowed = two_accounts()
        allowed["kms_providers"]["aws:denied"] = given()["aws"]
        done = self.keyturn("rewrap", *self.vault(documents), "--to", "new.bson", *self.providers(**allowed), "--provider",
                            "aws", "--master-key", json.dumps(cmk(CMKS)), "--all-or-nothing", "--failures", "again.ndjson")
        self.assertEqual((done.report["keys"]["rewrapped"], done.report["keys"]["failed"]), (len(documents), 0))
        self.assertEqual({d["masterKey"]["key"] for d in self.read("new.bson")}, {aws["keys"][CMKS]})

    def test_all_or_nothing_when_all_can(self):
        good = self.good()
        done = self.rewrap("--all-or-nothing", documents=good, exit=0)
        self.assertEqual((done.report["withheld"], done.report["keys"]["rewrapped"]), (False, len(good)))
        self.assertEqual(len(self.read("new.bson")), len(good))

    def test_one_damaged_wrap_withholds_everything(self):
        documents = [dict(d) for d in self.documents if bytes(d["_id"]).hex() not in self.bad]
        documents[5]["keyMaterial"] = documents[5]["keyMaterial"][:-6] + b"\0\1\2\3\4\5"
        done = self.rewrap("--all-or-nothing", documents=documents)
        self.assertEqual((done.report["withheld"], done.report["keys"]["failed"]), (True, 1))
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith("new.bson")], [])

    def test_status_says_which(self):
        done = self.keyturn("status", *self.vault(self.documents), *self.providers(**two_accounts()), exit=5)
        (vault,) = done.report["keyVaults"]
        self.assertEqual(len(vault["cmks"]), CMKS)
        refused = {cmk["cmk"]: cmk["why"] for cmk in vault["cmks"] if cmk["usable"] == "no"}
        self.assertEqual(len(refused), 3, vault["cmks"])
        for word in self.BAD.values():
            self.assertEqual(sum(word in why.lower() for why in refused.values()), 1, refused)
        self.assertEqual(done.report["findings"]["unusable"], 3)
        self.assertIn("3 findings: 3 unusable   exit 5", done.out)

    @unittest.skipUnless(URI, "machine: no mongod")
    def test_all_or_nothing_on_a_server(self):
        import pymongo
        client = pymongo.MongoClient(URI)
        self.addCleanup(client.close)
        name = f"keyturn_test_{uuid.uuid4().hex[:16]}"
        self.addCleanup(client.drop_database, name)
        vault = client[name]["__keyVault"].with_options(codec_options=CODEC)
        vault.insert_many(self.documents)
        rewrap = ["rewrap", "--key-vault", URI, "--key-vault-namespace", vault.full_name, "--yes", "--checkpoint",
                  f"{name}_state", *self.providers(**two_accounts()), "--provider", "aws", "--master-key",
                  json.dumps(cmk(CMKS)), "--all-or-nothing"]
        self.addCleanup(client.drop_database, f"{name}_state")
        done = self.keyturn(*rewrap, exit=1)
        self.assertEqual((done.report["withheld"], done.report["keys"]["rewrapped"]), (True, 0))
        self.assertEqual(list(vault.find(sort=[("_id", 1)])), sorted(self.documents, key=lambda d: d["_id"]))
        listed = self.good()[1::2]
        done = self.keyturn(*rewrap, *self.listed(listed, vault.full_name), "--failures", "again.ndjson")
        self.assertFalse(done.report["withheld"])
        self.check_only(done, list(vault.find()), listed)

    def test_a_target_that_refuses(self):
        for index, says in ((DISABLED, "disabled"), (DENIED, "not authorized to perform: kms:Encrypt"), (MISSING, "NotFoundException")):
            done = self.rewrap(documents=self.documents[:3], target=index, exit=2)
            self.assertIn(says, done.err)
            self.assertIn(cmk(index)["key"], done.err)
            self.assertFalse(os.path.exists(self.path("new.bson")))


class WithoutReEncrypt(stage.Case):
    def test_two_requests_a_dek_instead(self):
        driver = kmscrypt.Driver(given(), servers.ca, f"{servers.certs}/client.pem")
        documents = [bson.decode(driver.create("aws", cmk(0))[0]) for _ in range(12)]
        driver.close()
        rewrap = ["rewrap", *self.vault(documents), "--to", "new.bson", "--provider", "aws", "--master-key", json.dumps(cmk(1)),
                  *self.providers({"aws": aws["plain"]}, {"aws": {"tlsCAFile": servers.ca}})]
        dry = self.keyturn(*rewrap, "--dry-run")
        self.assertIn("kms:ReEncryptFrom", "".join(dry.report["warnings"]))
        self.assertRegex(dry.out, r"unwrap +aws .* 12 calls")
        self.assertRegex(dry.out, r"wrap +aws .* 12 calls")
        self.assertNotIn("ReEncrypt  ", dry.out)
        done = self.keyturn(*rewrap)
        self.assertEqual((done.report["keys"]["rewrapped"], done.report["keys"]["failed"]), (12, 0))
        self.assertEqual({document["masterKey"]["key"] for document in self.read("new.bson")}, {aws["keys"][1]})


class Tls(stage.Case):
    @classmethod
    def setUpClass(cls):
        straight = servers.front(aws["port"])
        driver = kmscrypt.Driver(given(), servers.ca, f"{servers.certs}/client.pem")
        cls.document = bson.decode(driver.create("aws", cmk(0, straight))[0])
        driver.close()

    def refused(self, says, tls=None, **options):
        front = servers.front(aws["port"], **options)
        document = {**self.document, "masterKey": {"provider": "aws", **cmk(0, front)}}
        done = self.keyturn("rewrap", *self.vault([document]), "--to", "new.bson",
                            *self.providers(given(), {"aws": tls or {"tlsCAFile": servers.ca}}), exit=4)
        self.assertIn(says, done.err)
        self.assertIn(aws["keys"][0], done.err)
        self.assertFalse(os.path.exists(self.path("new.bson")))

    def test_expired(self):
        self.refused("has expired", certificate="expired")

    def test_wrong_host(self):
        self.refused("for another host", certificate="wronghost")

    def test_unknown_ca(self):
        self.refused("unknown CA", certificate="stranger")

    def test_no_client_certificate(self):
        self.refused("wants a client certificate", client_ca=True)

    def test_insecure_options(self):
        done = self.keyturn("rewrap", *self.vault([self.document]), "--to", "new.bson",
                            *self.providers(given(), {"aws": {"tlsInsecure": True}}), exit=2)
        self.assertIn("tlsInsecure", done.err)


class Secrets(stage.Case):
    def test_no_secret_in_any_text(self):
        straight = servers.front(aws["port"])
        driver = kmscrypt.Driver(given(), servers.ca, f"{servers.certs}/client.pem")
        made = [driver.create("aws", cmk(0, straight)) for _ in range(4)]
        driver.close()
        documents = [bson.decode(document) for document, _ in made]
        stormy = servers.front(aws["port"], status503=12, throttle=8, garbage=4)
        for document in documents:
            document["masterKey"]["endpoint"] = f"127.0.0.1:{stormy}"
        documents[0]["masterKey"] = {"provider": "aws", **cmk(5)}
        session = aws["session"]
        secrets = [aws["secretAccessKey"], session["SecretAccessKey"], session["SessionToken"], *(dek for _, dek in made)]
        texts = []
        for credentials in (given(), {"aws": {"accessKeyId": session["AccessKeyId"], "sessionToken": session["SessionToken"],
                                              "secretAccessKey": session["SecretAccessKey"]}},
                            {"aws": {"accessKeyId": aws["accessKeyId"], "secretAccessKey": "w" * 40}}):
            for more in (["--verbose"], ["--verbose", "--log-format", "json"])[:1 + ("sessionToken" in credentials["aws"])]:
                for name in os.listdir(self.folder):
                    os.unlink(self.path(name))
                done = self.keyturn("rewrap", *self.vault(documents), "--to", "new.bson",
                                    *self.providers(credentials, {"aws": {"tlsCAFile": servers.ca}}), "--provider", "aws",
                                    "--master-key", json.dumps(cmk(1, stormy)), *more, exit=None)
                texts += [done.out, done.err, json.dumps(done.report), json.dumps(self.failures())]
                done = self.keyturn("status", *self.vault(documents), *more,
                                    *self.providers(credentials, {"aws": {"tlsCAFile": servers.ca}}), exit=None)
                texts += [done.out, done.err, json.dumps(done.report)]
        whole = "\n".join(texts)
        self.assertGreater(len(whole), 5000)
        for secret in [*secrets, "w" * 40]:
            for form in stage.forms(secret):
                self.assertNotIn(form, whole)


if __name__ == "__main__":
    unittest.main()
