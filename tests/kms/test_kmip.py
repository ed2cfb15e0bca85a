# SPDX-License-Identifier: Apache-2.0
"""KMIP: PyKMIP's server."""
import re
import unittest

from client import DEK, b64, call, one, run
import launcher

servers = kmip = None


def setUpModule():
    global servers, kmip
    servers = launcher.start("kmip")
    kmip = servers.kmip()


def account(**tls):
    given = {"tlsCAFile": servers.ca, "tlsCertificateKeyFile": f"{servers.certs}/client.pem"}
    return {"kmip": {"kms": "kmip", "credentials": {"endpoint": f"localhost:{kmip['port']}"}, "tls": tls or given}}


def resolve(**more):
    answer = one(account(), call("resolve", "kmip", {"provider": "kmip", **more}))
    assert answer["status"] == "KT_OK", answer
    return answer["masterKey"]


class Calls(unittest.TestCase):
    def test_a_new_key_is_made_stored_and_used(self):
        document = resolve(endpoint=f"localhost:{kmip['port']}")
        self.assertEqual(list(document), ["provider", "endpoint", "keyId"])
        made = one(account(), call("wrap", "kmip", document, DEK))
        self.assertEqual((made["status"], len(made["out"])), ("KT_OK", len(b64(bytes(160)))), made)
        self.assertEqual(one(account(), call("unwrap", "kmip", document, made["out"]))["out"], b64(DEK))

    def test_an_endpoint_may_be_a_url(self):
        who = account()
        who["kmip"]["credentials"]["endpoint"] = f"https://localhost:{kmip['port']}/"
        self.assertEqual(one(who, call("resolve", "kmip", {"provider": "kmip"}))["status"], "KT_OK")
        who["kmip"]["credentials"]["endpoint"] = "https:///"
        answer = one(who, call("resolve", "kmip", {"provider": "kmip"}))
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_CONFIG", "configuration"), answer)

    def test_the_key_is_fetched_once(self):
        output = run(account(), [{"do": "load", "account": "kmip", "masterKey": resolve(), "count": 500}])
        self.assertEqual((output["steps"][0]["failed"], output["steps"][0]["equal"]), (0, 500), output["steps"])
        self.assertEqual(output["stats"]["requests"], 1)
        self.assertTrue(output["clean"])

    def test_delegated(self):
        document = resolve(delegated=True)
        self.assertEqual(list(document), ["provider", "delegated", "keyId"])
        made = one(account(), call("wrap", "kmip", document, DEK))
        self.assertEqual((made["status"], len(made["out"])), ("KT_OK", len(b64(bytes(128)))), made)
        self.assertEqual(one(account(), call("unwrap", "kmip", document, made["out"]))["out"], b64(DEK))

    def test_delegated_load_in_batches(self):
        output = run(account(), [{"do": "load", "account": "kmip", "masterKey": resolve(delegated=True), "count": 200}],
                     options={"concurrency": 64})
        self.assertEqual((output["steps"][0]["failed"], output["steps"][0]["equal"]), (0, 200), output["steps"])
        self.assertEqual(output["stats"]["requests"], 400)
        self.assertGreater(output["stats"]["batched"], 1)

    def test_a_connection_outlives_its_first_request(self):
        document = resolve(delegated=True)
        step = call("wrap", "kmip", document, DEK)
        output = run(account(), [step, {"do": "sleep", "ms": 1500}, step], options={"attemptMs": 1000})
        self.assertEqual([s.get("attempts", 1) for s in output["steps"]], [1, 1, 1], output["steps"])

    def test_one_bad_item_spoils_no_other(self):
        document = resolve(delegated=True)
        made = one(account(), call("wrap", "kmip", document, DEK))["out"]
        output = run(account(), [call("unwrap", "kmip", document, made), call("unwrap", "kmip", {**document, "keyId": "99999"}, made),
                                 call("unwrap", "kmip", document, made)])
        self.assertEqual([step["reason"] for step in output["steps"]], ["no error", "missing", "no error"])


class Refusals(unittest.TestCase):
    def test_missing_key(self):
        answer = one(account(), call("unwrap", "kmip", {"provider": "kmip", "keyId": "99999"}, bytes(160)))
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_DENIED", "missing"), answer)

    def test_a_wrap_of_another_key(self):
        first, second = resolve(), resolve()
        made = one(account(), call("wrap", "kmip", first, DEK))["out"]
        answer = one(account(), call("unwrap", "kmip", second, made))
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_KEY", "does not open"))

    def test_a_symmetric_key_is_no_secret_data(self):
        document = resolve(delegated=True)
        answer = one(account(), call("wrap", "kmip", {"provider": "kmip", "keyId": document["keyId"]}, DEK))
        self.assertEqual(answer["reason"], "disabled", answer)

    def test_wrapping_needs_a_key(self):
        self.assertEqual(one(account(), call("wrap", "kmip", {"provider": "kmip"}, DEK))["status"], "KT_E_CONFIG")

    def test_client_certificate_missing(self):
        answer = one(account(tlsCAFile=servers.ca), call("resolve", "kmip", {"provider": "kmip"}))
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_NET", "TLS"), answer)
        self.assertIn("wants a client certificate", answer["message"])

    def test_unknown_ca(self):
        answer = one(account(tlsCAFile=f"{servers.certs}/otherca.pem"), call("resolve", "kmip", {"provider": "kmip"}))
        self.assertEqual(answer["reason"], "TLS", answer)
        self.assertIn("unknown CA", answer["message"])

    def test_nobody_there(self):
        who = account()
        who["kmip"]["credentials"]["endpoint"] = "localhost:1"
        answer = one(who, call("resolve", "kmip", {"provider": "kmip"}), options={"deadlineMs": 1000})
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_NET", "network"), answer)
        self.assertIsNone(re.search("password|BEGIN", answer["message"]))


class Faults(unittest.TestCase):
    """Against a server of our own that misbehaves; only wraps, as it has no keys."""

    def wraps(self, mode, count, **options):
        who = account()
        who["kmip"]["credentials"]["endpoint"] = f"127.0.0.1:{servers.kmip_faults(mode)}"
        document = {"provider": "kmip", "delegated": True, "keyId": "7"}
        output = run(who, [{"do": "load", "account": "kmip", "masterKey": document, "count": count, "wrapOnly": 1}],
                     options={"concurrency": 32, "attemptMs": 800, "deadlineMs": 2500, **options})
        self.assertTrue(output["clean"])
        return output["steps"][0], output["stats"]

    def test_a_server_without_batches(self):
        step, stats = self.wraps("refuse", 40)
        self.assertEqual((step["failed"], stats["batched"], stats["retries"]), (0, 1, 0), step)

    def test_a_server_that_takes_one_connection(self):
        step, stats = self.wraps("one", 40, deadlineMs=20000)
        self.assertEqual((step["failed"], stats["retries"]), (0, 0), step)

    def test_garbage_and_cut_off_replies_are_repeated(self):
        step, stats = self.wraps("flaky", 60, deadlineMs=30000)
        self.assertEqual(step["failed"], 0, step)
        self.assertGreater(stats["retries"], 0)

    def test_a_message_of_two_gigabytes_is_not_waited_for(self):
        step, _ = self.wraps("huge", 3)
        self.assertEqual(step["failed"], 3)
        self.assertIn("too long", step["message"])

    def test_silence_ends_at_the_deadline(self):
        step, _ = self.wraps("silent", 3)
        self.assertEqual(step["failed"], 3)
        self.assertIn("no reply in time", step["message"])


if __name__ == "__main__":
    unittest.main()
