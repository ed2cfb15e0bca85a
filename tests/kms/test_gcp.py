# SPDX-License-Identifier: Apache-2.0
"""Google Cloud KMS: drongo behind HAProxy, which checks the bearer token."""
import json
import time
import unittest

from client import DEK, b64, call, leaks, one, run
import launcher

servers = gcp = kms = tokens = None


def setUpModule():
    global servers, gcp, kms, tokens
    servers = launcher.start("gcp")
    gcp = servers.gcp()
    kms = servers.front(gcp["port"], bearer=gcp["bearer"])
    tokens = servers.front(gcp["tokenPort"])


def account(**credentials):
    given = {"email": gcp["email"], "privateKey": gcp["privateKey"], "endpoint": f"127.0.0.1:{tokens}"}
    return {"gcp": {"kms": "gcp", "credentials": credentials or given, "tls": {"tlsCAFile": servers.ca}}}


def cmk(key="k1", at=None):
    return {"provider": "gcp", "projectId": "proj", "location": "global", "keyRing": "ring", "keyName": key,
            "endpoint": f"127.0.0.1:{at or kms}"}


class Calls(unittest.TestCase):
    def test_wrap_and_unwrap_with_one_token(self):
        made = run(account(), [call("wrap", "gcp", cmk(), DEK)] * 3)
        self.assertEqual({step["status"] for step in made["steps"]}, {"KT_OK"}, made["steps"])
        self.assertEqual(made["stats"]["tokens"], 1)
        opened = one(account(), call("unwrap", "gcp", cmk(), made["steps"][0]["out"]))
        self.assertEqual(opened["out"], b64(DEK))

    def test_many_wait_for_one_token(self):
        output = run(account(), [{"do": "load", "account": "gcp", "masterKey": cmk("k2"), "count": 100}], options={"concurrency": 16})
        self.assertEqual((output["steps"][0]["failed"], output["steps"][0]["equal"]), (0, 100), output["steps"])
        self.assertEqual((output["stats"]["tokens"], output["stats"]["requests"]), (1, 200))

    def test_given_access_token(self):
        self.assertEqual(one(account(accessToken=gcp["bearer"]), call("wrap", "gcp", cmk(), DEK))["status"], "KT_OK")

    def test_service_account_file(self):
        path = f"{servers.folder}/sa.json"
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"type": "service_account", "client_email": gcp["email"], "private_key": gcp["pem"],
                       "token_uri": f"https://127.0.0.1:{tokens}/token"}, out)
        who = {"gcp": {"kms": "gcp", "credentials": {}, "tls": {"tlsCAFile": servers.ca}}}
        answer = one(who, call("wrap", "gcp", cmk(), DEK), env={"GOOGLE_APPLICATION_CREDENTIALS": path})
        self.assertEqual(answer["status"], "KT_OK", answer)

    def test_metadata_server(self):
        there = servers.metadata(gcpToken=gcp["bearer"])
        who = {"gcp": {"kms": "gcp", "credentials": {}, "tls": {"tlsCAFile": servers.ca}}}
        answer = one(who, call("wrap", "gcp", cmk(), DEK), env={"GCE_METADATA_HOST": f"127.0.0.1:{there['port']}"})
        self.assertEqual(answer["status"], "KT_OK", answer)

    def test_no_metadata_server(self):
        who = {"gcp": {"kms": "gcp", "credentials": {}, "tls": {"tlsCAFile": servers.ca}}}
        answer = one(who, call("wrap", "gcp", cmk(), DEK), env={"GCE_METADATA_HOST": "127.0.0.1:1"})
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_CREDENTIALS", "credentials"))
        self.assertIn("GOOGLE_APPLICATION_CREDENTIALS", answer["message"])


class Refusals(unittest.TestCase):
    def test_wrong_access_token(self):
        answer = one(account(accessToken="ya29.wrong"), call("wrap", "gcp", cmk(), DEK))
        self.assertEqual((answer["status"], answer["reason"], answer["attempts"]), ("KT_E_CREDENTIALS", "credentials", 1))

    def test_a_key_that_the_endpoint_does_not_know(self):
        who = account(email="other@example.com", privateKey=gcp["privateKey"], endpoint=f"127.0.0.1:{tokens}")
        answer = one(who, call("wrap", "gcp", cmk(), DEK))
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_CREDENTIALS", "credentials"))
        self.assertIn("invalid_grant", answer["message"])

    def test_unreadable_private_key(self):
        who = account(email=gcp["email"], privateKey="bm8ga2V5", endpoint=f"127.0.0.1:{tokens}")
        self.assertEqual(one(who, call("wrap", "gcp", cmk(), DEK))["status"], "KT_E_CONFIG")

    def test_missing_key(self):
        answer = one(account(), call("wrap", "gcp", cmk("k9"), DEK))
        self.assertEqual((answer["reason"], answer["attempts"]), ("missing", 1))
        self.assertIn("cryptoKeys/k9", answer["message"])

    def test_wrap_of_another_key(self):
        made = one(account(), call("wrap", "gcp", cmk("k1"), DEK))["out"]
        answer = one(account(), call("unwrap", "gcp", cmk("k2"), made))
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_KEY", "does not open"))

    def test_retry_after_is_obeyed(self):
        # the first request is told to come back in two seconds
        busy = ['stick-table type ip size 1k expire 60s store http_req_cnt', "http-request track-sc0 src",
                'http-request return status 429 hdr Retry-After 2 content-type application/json string '
                '\'{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}\' if { sc_http_req_cnt(0) eq 1 }']
        front = servers.front(gcp["port"], bearer=gcp["bearer"], extra=busy)
        begun = time.monotonic()
        output = run(account(accessToken=gcp["bearer"]), [call("wrap", "gcp", cmk("k1", front), DEK)])
        self.assertEqual((output["steps"][0]["status"], output["steps"][0]["attempts"]), ("KT_OK", 2), output["steps"])
        self.assertEqual(output["stats"]["throttled"], 1)
        self.assertGreaterEqual(time.monotonic() - begun, 2)

    def test_a_pause_longer_than_the_deadline_ends_what_waits(self):
        front = servers.front(gcp["port"], bearer=gcp["bearer"], extra=[
            'http-request return status 429 hdr Retry-After 300 content-type application/json string '
            '\'{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}\''])
        begun = time.monotonic()
        answer = one(account(accessToken=gcp["bearer"]), call("wrap", "gcp", cmk("k1", front), DEK), options={"deadlineMs": 1500})
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_NET", "throttled"), answer)
        self.assertLess(time.monotonic() - begun, 5)

    def test_faults(self):
        front = servers.front(gcp["port"], bearer=gcp["bearer"], status503=15, reset=5, garbage=5)
        output = run(account(), [{"do": "load", "account": "gcp", "masterKey": cmk("k2", front), "count": 60}],
                     options={"concurrency": 16, "deadlineMs": 60000})
        self.assertEqual((output["steps"][0]["failed"], output["steps"][0]["equal"]), (0, 60), output["steps"])
        self.assertGreater(output["stats"]["retries"], 0)
        self.assertEqual(leaks(output, [gcp["bearer"], gcp["privateKey"]]), [])


if __name__ == "__main__":
    unittest.main()
