# SPDX-License-Identifier: Apache-2.0
"""Azure Key Vault: a double that Microsoft's own client library is run against first."""
import subprocess
import time
import unittest

from client import DEK, b64, call, leaks, one, run
import launcher

servers = azure = None

VENDOR = """
import sys
from azure.core.credentials import AccessToken
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm
import requests, time
port, tenant, client, secret, version, ca = sys.argv[1:]
class Credential:
    def get_token(self, *scopes, **_):
        reply = requests.post(f"https://127.0.0.1:{port}/{tenant}/oauth2/v2.0/token", verify=ca, timeout=10, data={
            "grant_type": "client_credentials", "client_id": client, "client_secret": secret, "scope": scopes[0]})
        reply.raise_for_status()
        return AccessToken(reply.json()["access_token"], int(time.time()) + 3000)
key = CryptographyClient(f"https://127.0.0.1:{port}/keys/cmk1/{version}", Credential(),
                         verify_challenge_resource=False, connection_verify=ca)
dek = bytes(range(96))
made = key.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, dek)
assert made.key_id.endswith(version), made.key_id
assert key.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, made.encrypted_key).key == dek
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.keys import KeyClient
vault = KeyClient(f"https://127.0.0.1:{port}", Credential(), verify_challenge_resource=False, connection_verify=ca)
listed = {name: [(one.version == version, one.enabled) for one in vault.list_properties_of_key_versions(name)] for name in ("cmk1", "aged")}
assert listed == {"cmk1": [(False, True), (True, True)], "aged": [(False, True), (False, False)]}, listed
try:
    vault.get_key("nokey")
    raise AssertionError("there is no such key")
except ResourceNotFoundError as error:
    assert (error.status_code, error.error.code) == (404, "KeyNotFound"), error
for name, inner in (("denied", "ForbiddenByRbac"), ("hidden", "ForbiddenByPolicy")):
    try:
        vault.get_key(name)
        raise AssertionError("it must not be read")
    except HttpResponseError as error:
        assert (error.status_code, error.error.code, error.error.innererror["code"]) == (403, "Forbidden", inner), error
if not sys.stdin.isatty():
    import base64
    given = sys.stdin.read()
    if given:
        assert key.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, base64.b64decode(given)).key == dek
print(base64.b64encode(made.encrypted_key).decode())
"""


def setUpModule():
    global servers, azure
    servers = launcher.start("azure")
    azure = servers.azure()


def account(**credentials):
    given = {"tenantId": azure["tenantId"], "clientId": azure["clientId"], "clientSecret": azure["clientSecret"],
             "identityPlatformEndpoint": f"127.0.0.1:{azure['port']}"}
    return {"azure": {"kms": "azure", "credentials": credentials or given, "tls": {"tlsCAFile": servers.ca}}}


def found():
    return {"azure": {"kms": "azure", "credentials": {}, "tls": {"tlsCAFile": servers.ca}}}


def cmk(name="cmk1", version=-1):
    document = {"provider": "azure", "keyVaultEndpoint": f"127.0.0.1:{azure['port']}", "keyName": name}
    if version is not None:
        document["keyVersion"] = azure["keys"][name][version]
    return document


def vendor(given=""):
    done = subprocess.run([launcher.VENV, "-c", VENDOR, str(azure["port"]), azure["tenantId"], azure["clientId"],
                           azure["clientSecret"], azure["keys"]["cmk1"][1], servers.ca], input=given,
                          capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise AssertionError(done.stderr[-2000:])
    return done.stdout.strip()


class Calls(unittest.TestCase):
    def test_the_vendors_client_and_ours_open_each_others_wraps(self):
        theirs = vendor()
        self.assertEqual(one(account(), call("unwrap", "azure", cmk(), theirs))["out"], b64(DEK))
        vendor(one(account(), call("wrap", "azure", cmk(), DEK))["out"])

    def test_wrapping_is_local(self):
        output = run(account(), [call("wrap", "azure", cmk(), DEK)] * 20)
        self.assertEqual({step["status"] for step in output["steps"]}, {"KT_OK"}, output["steps"])
        self.assertEqual((output["stats"]["requests"], output["stats"]["tokens"]), (1, 1))
        self.assertEqual(len({step["out"] for step in output["steps"]}), 20)

    def test_load(self):
        output = run(account(), [{"do": "load", "account": "azure", "masterKey": cmk(), "count": 100}], options={"concurrency": 16})
        self.assertEqual((output["steps"][0]["failed"], output["steps"][0]["equal"]), (0, 100), output["steps"])
        self.assertEqual(output["stats"]["requests"], 101)

    def test_wraps_at_the_vault_when_the_key_cannot_be_read(self):
        made = one(account(), call("wrap", "azure", cmk("hidden"), DEK))
        self.assertEqual(made["status"], "KT_OK", made)
        self.assertEqual(one(account(), call("unwrap", "azure", cmk("hidden"), made["out"]))["out"], b64(DEK))

    def test_older_versions_open_without_keyVersion(self):
        old = one(account(), call("wrap", "azure", cmk("cmk1", 0), DEK))["out"]
        opened = one(account(), call("unwrap", "azure", cmk("cmk1", None), old))
        self.assertEqual((opened["status"], opened.get("out")), ("KT_OK", b64(DEK)), opened)

    def test_an_older_version_opens_when_the_current_one_is_disabled(self):
        old = one(account(), call("wrap", "azure", cmk("aged", 0), DEK))["out"]
        opened = one(account(), call("unwrap", "azure", cmk("aged", None), old))
        self.assertEqual((opened["status"], opened.get("out")), ("KT_OK", b64(DEK)), opened)
        answer = one(account(), call("unwrap", "azure", {**cmk("off"), "keyVersion": ""}, bytes(256)))
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_DENIED", "disabled"), answer)

    def test_no_version_opens_a_foreign_wrap(self):
        foreign = one(account(), call("wrap", "azure", cmk("cmk2"), DEK))["out"]
        answer = one(account(), call("unwrap", "azure", cmk("cmk1", None), foreign))
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_KEY", "does not open"), answer)

    def test_wrapping_without_keyVersion_is_refused(self):
        answer = one(account(), call("wrap", "azure", cmk("cmk1", None), DEK))
        self.assertEqual((answer["status"], answer["attempts"]), ("KT_E_CONFIG", 0))
        self.assertIn("keyVersion", answer["message"])

    def test_resolve_pins_the_current_version(self):
        answer = one(account(), call("resolve", "azure", cmk("cmk1", None)))
        self.assertEqual(answer["masterKey"], cmk("cmk1", 1))
        self.assertEqual(one(account(), call("resolve", "azure", cmk("cmk1", 0)))["masterKey"], cmk("cmk1", 0))


class Faults(unittest.TestCase):
    def through(self, count, **front):
        at = servers.front(azure["port"], backend_tls=True, **front)
        document = {**cmk("hidden"), "keyVaultEndpoint": f"127.0.0.1:{at}"}
        output = run(account(), [{"do": "load", "account": "azure", "masterKey": document, "count": count}],
                     options={"concurrency": 8, "deadlineMs": 60000})
        self.assertEqual((output["steps"][0]["failed"], output["steps"][0]["equal"]), (0, count), output["steps"])
        return output["stats"]

    def test_retry_after_is_obeyed(self):
        begun = time.monotonic()
        stats = self.through(1, extra=[
            "stick-table type ip size 1k expire 60s store http_req_cnt", "http-request track-sc0 src",
            "http-request return status 429 hdr Retry-After 2 content-type application/json string "
            '\'{"error":{"code":"Throttled","message":"slow down"}}\' if { sc_http_req_cnt(0) eq 2 }'])
        self.assertEqual(stats["throttled"], 1)
        self.assertGreaterEqual(time.monotonic() - begun, 2)

    def test_server_errors_and_resets(self):
        self.assertGreater(self.through(40, status503=15, reset=8)["retries"], 0)


class Credentials(unittest.TestCase):
    def identity(self, **more):
        return {"AZURE_TENANT_ID": azure["tenantId"], "AZURE_CLIENT_ID": azure["clientId"],
                "AZURE_AUTHORITY_HOST": f"https://127.0.0.1:{azure['port']}/", **more}

    def token(self):
        """A bearer token of the double, for services that only hand one on."""
        import http.client
        import ssl
        import urllib.parse
        link = http.client.HTTPSConnection("127.0.0.1", azure["port"], timeout=10,
                                           context=ssl.create_default_context(cafile=servers.ca))
        link.request("POST", f"/{azure['tenantId']}/oauth2/v2.0/token", urllib.parse.urlencode({
            "grant_type": "client_credentials", "client_id": azure["clientId"], "scope": "https://0.0.1/.default",
            "client_secret": azure["clientSecret"]}))
        import json
        answer = json.loads(link.getresponse().read())["access_token"]
        link.close()
        return answer

    def test_client_secret_of_the_environment(self):
        answer = one(found(), call("wrap", "azure", cmk(), DEK), env=self.identity(AZURE_CLIENT_SECRET=azure["clientSecret"]))
        self.assertEqual(answer["status"], "KT_OK", answer)

    def test_workload_identity(self):
        path = f"{servers.folder}/federated"
        with open(path, "w", encoding="utf-8") as out:
            out.write(azure["federatedToken"] + "\n")
        answer = one(found(), call("wrap", "azure", cmk(), DEK), env=self.identity(AZURE_FEDERATED_TOKEN_FILE=path))
        self.assertEqual(answer["status"], "KT_OK", answer)
        answer = one(found(), call("wrap", "azure", cmk(), DEK), env=self.identity(AZURE_FEDERATED_TOKEN_FILE="/nonexistent"))
        self.assertEqual(answer["reason"], "credentials")

    def test_managed_identity(self):
        there = servers.metadata(azureToken=self.token())
        answer = one(found(), call("wrap", "azure", cmk(), DEK),
                     env={"AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://127.0.0.1:{there['port']}"})
        self.assertEqual(answer["status"], "KT_OK", answer)

    def test_given_access_token(self):
        self.assertEqual(one(account(accessToken=self.token()), call("wrap", "azure", cmk(), DEK))["status"], "KT_OK")
        answer = one(account(accessToken="wrong"), call("wrap", "azure", cmk(), DEK))
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_CREDENTIALS", "credentials"))

    def test_wrong_secret(self):
        who = account()
        who["azure"]["credentials"]["clientSecret"] = "wrong"
        output = run(who, [call("wrap", "azure", cmk(), DEK)])
        self.assertEqual(output["steps"][0]["reason"], "credentials")
        self.assertIn("AADSTS7000215", output["steps"][0]["message"])
        self.assertEqual(output["stats"]["requests"], 0)

    def test_tokens_that_live_for_seconds_are_renewed(self):
        short = servers.azure(2)
        document = {"provider": "azure", "keyVaultEndpoint": f"127.0.0.1:{short['port']}", "keyName": "cmk1",
                    "keyVersion": short["keys"]["cmk1"][0]}
        who = account(tenantId=short["tenantId"], clientId=short["clientId"], clientSecret=short["clientSecret"],
                      identityPlatformEndpoint=f"127.0.0.1:{short['port']}")
        steps = [call("wrap", "azure", document, DEK)]
        made = one(who, steps[0])["out"]
        steps = []
        for _ in range(5):
            steps += [call("unwrap", "azure", document, made), {"do": "sleep", "ms": 900}]
        output = run(who, steps)
        self.assertEqual({step["status"] for step in output["steps"] if "status" in step}, {"KT_OK"}, output["steps"])
        self.assertGreaterEqual(output["stats"]["tokens"], 2)
        self.assertEqual(leaks(output, [short["clientSecret"], DEK]), [])


class Refusals(unittest.TestCase):
    def refused(self, name, reason, operation="unwrap"):
        answer = one(account(), call(operation, "azure", cmk(name), bytes(256) if operation == "unwrap" else DEK))
        self.assertEqual((answer["reason"], answer["attempts"]), (reason, answer["attempts"]), answer)
        return answer

    def test_denied(self):
        self.assertIn("not authorized", self.refused("denied", "denied")["message"])

    def test_disabled(self):
        self.refused("off", "disabled")
        self.refused("off", "disabled", "wrap")

    def test_missing(self):
        document = {**cmk(), "keyName": "nokey"}
        self.assertEqual(one(account(), call("unwrap", "azure", document, bytes(256)))["reason"], "missing")
        self.assertEqual(one(account(), call("wrap", "azure", document, DEK))["reason"], "missing")

    def test_damaged(self):
        self.assertEqual(self.refused("cmk2", "does not open")["status"], "KT_E_KEY")


if __name__ == "__main__":
    unittest.main()
