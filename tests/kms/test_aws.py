# SPDX-License-Identifier: Apache-2.0
"""AWS KMS: moto, which checks signatures and policies, behind HAProxy."""
import time
import unittest

from client import CLIENT, DEK, b64, call, leaks, one, run
import launcher

servers = aws = port = None


def setUpModule():
    global servers, aws, port
    servers = launcher.start("aws")
    aws = servers.aws(4)
    port = servers.front(aws["port"])


def account(**credentials):
    given = credentials or {"accessKeyId": aws["accessKeyId"], "secretAccessKey": aws["secretAccessKey"]}
    return {"aws": {"kms": "aws", "credentials": given, "tls": {"tlsCAFile": servers.ca}}}


def cmk(index=0, at=None, key=None):
    return {"provider": "aws", "region": "us-east-1", "key": key or aws["keys"][index],
            "endpoint": f"127.0.0.1:{at or port}"}


class Calls(unittest.TestCase):
    def wrapped(self, index=0):
        made = one(account(), call("wrap", "aws", cmk(index), DEK))
        self.assertEqual(made["status"], "KT_OK", made)
        return made["out"]

    def test_wrap_and_unwrap(self):
        opened = one(account(), call("unwrap", "aws", cmk(), self.wrapped()))
        self.assertEqual((opened["status"], opened["out"]), ("KT_OK", b64(DEK)))

    def test_rewrap_never_shows_the_dek(self):
        output = run(account(), [call("rewrap", "aws", cmk(1), self.wrapped(0), source=cmk(0))])
        moved = output["steps"][0]
        self.assertEqual(moved["status"], "KT_OK", moved)
        self.assertEqual(output["stats"]["requests"], 1)
        opened = one(account(), call("unwrap", "aws", cmk(1), moved["out"]))
        self.assertEqual(opened["out"], b64(DEK))

    def test_rewrap_dry_run(self):
        self.assertEqual(one(account(), call("dryrun", "aws", cmk(1), self.wrapped(0), source=cmk(0)))["status"], "KT_OK")

    def test_key_id_and_short_names(self):
        key = aws["keys"][0].rsplit("/", 1)[1]
        self.assertEqual(one(account(), call("wrap", "aws", cmk(key=key), DEK))["status"], "KT_OK")

    def test_session_token(self):
        session = aws["session"]
        who = account(accessKeyId=session["AccessKeyId"], secretAccessKey=session["SecretAccessKey"],
                      sessionToken=session["SessionToken"])
        self.assertEqual(one(who, call("wrap", "aws", cmk(), DEK))["status"], "KT_OK")

    def shared(self, *conditions, h2=True):
        """150 keys through a front that answers only while these hold, on no more connections than there are requests at a time (and the launcher's look)."""
        refuse = "http-request return status 400 content-type application/json string '{\"__type\":\"ValidationException\"}'"
        front = servers.front(aws["port"], h2=h2, extra=[
            "stick-table type ip size 1k expire 60s store conn_cnt", "tcp-request connection track-sc0 src",
            f"{refuse} if {{ sc0_conn_cnt gt 17 }}", *(f"{refuse} unless {{ {condition} }}" for condition in conditions)])
        output = run(account(), [{"do": "load", "account": "aws", "masterKey": cmk(1, front), "source": cmk(0, front), "count": 150}],
                     options={"concurrency": 16})
        self.assertEqual((output["steps"][0]["failed"], output["steps"][0]["equal"]), (0, 150), output)
        self.assertEqual(output["stats"]["requests"], 450)
        self.assertTrue(output["clean"])

    def test_many_share_connections_of_http2(self):
        self.shared("req.ver 2.0")

    def test_many_share_connections_of_http1(self):
        self.shared("req.ver 1.1", h2=False)

    def test_named_providers_have_their_own_credentials(self):
        who = {**account(), "aws:eu": account(**aws["nobody"])["aws"]}
        named = {**cmk(), "provider": "aws:eu"}
        output = run(who, [call("wrap", "aws", cmk(), DEK), call("wrap", "aws:eu", named, DEK)])
        self.assertEqual([step["reason"] for step in output["steps"]], ["no error", "denied"], output["steps"])
        self.assertIn("aws:eu us-east-1", output["steps"][1]["message"])

    def test_proxy_of_the_environment(self):
        proxy = servers.proxy()
        answer = one(account(), call("wrap", "aws", cmk(), DEK), env={"HTTPS_PROXY": f"http://127.0.0.1:{proxy}"})
        self.assertEqual(answer["status"], "KT_OK", answer)
        self.assertTrue(servers.logged(f'"target": "127.0.0.1:{port}"'))
        answer = one(account(), call("wrap", "aws", cmk(), DEK),
                     env={"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "127.0.0.1"})
        self.assertEqual(answer["status"], "KT_OK", answer)


class Garbage(unittest.TestCase):
    def through(self, *replies):
        """A wrap through a front that answers the first requests so, and then passes all on."""
        back = servers.front(aws["port"], extra=[
            "stick-table type ip size 1k expire 60s store http_req_cnt", "http-request track-sc0 src",
            *(f"http-request return status {status} content-type application/json string '{{' if {{ sc0_http_req_cnt eq {i + 1} }}"
              for i, status in enumerate(replies))])
        return one(account(), call("wrap", "aws", cmk(at=back), DEK), options={"deadlineMs": 60000})

    def test_it_is_not_garbage_that_makes_a_reply_late(self):
        answer = self.through(*[503] * 8, 200)
        self.assertEqual((answer["status"], answer["attempts"]), ("KT_OK", 10), answer)

    def test_eight_in_a_row_are_believed(self):
        answer = self.through(*[200] * 9)
        self.assertEqual((answer["reason"], answer["attempts"]), ("bad reply", 8), answer)


class Refusals(unittest.TestCase):
    def refused(self, accounts, step):
        output = run(accounts, [step])
        self.assertEqual(output["stats"]["requests"], 1, output["steps"])
        return output["steps"][0]

    def test_wrong_secret(self):
        answer = self.refused(account(accessKeyId=aws["accessKeyId"], secretAccessKey="w" * 40), call("wrap", "aws", cmk(), DEK))
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_CREDENTIALS", "credentials"))
        self.assertIn("SignatureDoesNotMatch", answer["message"])

    def test_unknown_access_key(self):
        answer = self.refused(account(accessKeyId="AKIAUNKNOWN", secretAccessKey="w" * 40), call("wrap", "aws", cmk(), DEK))
        self.assertEqual(answer["reason"], "credentials")

    def test_no_rights(self):
        answer = self.refused(account(**aws["nobody"]), call("wrap", "aws", cmk(), DEK))
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_DENIED", "denied"))
        self.assertIn(aws["keys"][0], answer["message"])

    def test_missing_key(self):
        answer = self.refused(account(), call("wrap", "aws", cmk(key="arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"), DEK))
        self.assertEqual(answer["reason"], "missing")

    def test_disabled_key(self):
        front = servers.front(aws["port"], deny_body=(aws["keys"][2].rsplit("/", 1)[1], 400,
                                                      '{"__type":"DisabledException","message":"is disabled"}'))
        answer = self.refused(account(), call("wrap", "aws", cmk(2, at=front), DEK))
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_DENIED", "disabled"))
        self.assertEqual(one(account(), call("wrap", "aws", cmk(1, at=front), DEK))["status"], "KT_OK")

    def test_damaged_wrap(self):
        made = one(account(), call("wrap", "aws", cmk(), DEK))["out"]
        answer = self.refused(account(), call("unwrap", "aws", cmk(), made[:-8] + "AAAAAA=="))
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_KEY", "does not open"))

    def test_not_a_dek(self):
        made = one(account(), call("wrap", "aws", cmk(), DEK))["out"]
        self.assertEqual(one(account(), call("wrap", "aws", cmk(), b"short"))["status"], "KT_E_CONFIG")
        self.assertEqual(one(account(), call("unwrap", "aws", cmk(), b"short"))["reason"], "does not open")
        # opened under another CMK than the one that the document names
        self.assertEqual(one(account(), call("unwrap", "aws", cmk(1), made), options={"deadlineMs": 3000})["reason"], "bad reply")

    def test_master_keys_that_could_redirect(self):
        for field, value in (("endpoint", "evil.example/x?"), ("endpoint", "a@b"), ("region", "us/../x"), ("region", "")):
            answer = one(account(), call("wrap", "aws", {**cmk(), field: value}, DEK))
            self.assertEqual((answer["status"], answer["attempts"]), ("KT_E_CONFIG", 0), (field, value))


class Faults(unittest.TestCase):
    def load(self, count=60, **faults):
        front = servers.front(aws["port"], **faults)
        output = run(account(), [{"do": "load", "account": "aws", "masterKey": cmk(1, front), "source": cmk(0, front), "count": count}],
                     options={"concurrency": 16, "deadlineMs": 60000})
        step = output["steps"][0]
        self.assertEqual((step["failed"], step["equal"]), (0, count), output["steps"])
        self.assertGreater(output["stats"]["retries"], 0)
        return output

    def test_throttles_with_status_400(self):
        self.assertGreater(self.load(throttle=20)["stats"]["throttled"], 0)

    def test_server_errors(self):
        self.load(status503=20)

    def test_resets(self):
        self.load(reset=10)

    def test_resets_over_http1(self):
        # libcurl itself repeats what was sent on a kept connection: many, so that new ones are reset too.
        self.load(reset=40, h2=False)

    def test_garbage_with_status_200(self):
        self.load(garbage=10)

    def test_a_quota(self):
        output = self.load(count=25, rate=30)
        self.assertGreater(output["stats"]["throttled"], 0)

    def test_gives_up_at_the_deadline(self):
        front = servers.front(aws["port"], status503=100)
        answer = one(account(), call("wrap", "aws", cmk(at=front), DEK), options={"deadlineMs": 1500})
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_NET", "network"))
        self.assertGreater(answer["attempts"], 2)

    def test_an_outage_ends_all_calls_soon_after_the_deadline(self):
        begun = time.monotonic()
        output = run(account(), [{"do": "load", "account": "aws", "masterKey": cmk(at=1), "count": 300}], options={"deadlineMs": 1500})
        self.assertEqual(output["steps"][0]["failed"], 600)
        self.assertLess(time.monotonic() - begun, 15)
        # not each of them has knocked again and again
        self.assertLess(output["stats"]["requests"], 600)

    def test_cancel_ends_a_hanging_call(self):
        front = servers.front(aws["port"], delay_ms=8000)
        answer = one(account(), call("wrap", "aws", cmk(at=front), DEK, cancelAfterMs=300), seconds=6)
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_STOPPED", "stopped"))


class Tls(unittest.TestCase):
    def refused(self, tls=None, **options):
        front = servers.front(aws["port"], **options)
        who = account()
        who["aws"]["tls"] = tls if tls is not None else {"tlsCAFile": servers.ca}
        answer = one(who, call("wrap", "aws", cmk(at=front), DEK))
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_NET", "TLS"), answer)
        # A server that refuses our certificate may reset the connection before its alert is read.
        self.assertLessEqual(answer["attempts"], 3 if options.get("client_ca") else 1)
        return answer["message"]

    def test_expired(self):
        self.assertIn("has expired", self.refused(certificate="expired"))

    def test_wrong_host(self):
        self.assertIn("for another host", self.refused(certificate="wronghost"))

    def test_unknown_ca(self):
        self.assertIn("unknown CA", self.refused(certificate="stranger"))

    def test_client_certificate_missing(self):
        self.assertIn("wants a client certificate", self.refused(client_ca=True))

    def test_client_certificate_of_another_ca(self):
        tls = {"tlsCAFile": servers.ca, "tlsCertificateKeyFile": f"{servers.certs}/strangeclient.pem"}
        self.assertIn("does not accept our client certificate", self.refused(tls, client_ca=True))

    def test_client_certificate(self):
        front = servers.front(aws["port"], client_ca=True)
        who = account()
        who["aws"]["tls"]["tlsCertificateKeyFile"] = f"{servers.certs}/client.pem"
        self.assertEqual(one(who, call("wrap", "aws", cmk(at=front), DEK))["status"], "KT_OK")

    def test_unreadable_files(self):
        self.assertIn("tlsCAFile", self.refused({"tlsCAFile": "/nonexistent"}))
        self.assertIn("tlsCertificateKeyFile", self.refused({"tlsCAFile": servers.ca, "tlsCertificateKeyFile": "/nonexistent"}))

    def test_insecure_options_are_refused(self):
        for option in ("tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames", "nonsense"):
            who = account()
            who["aws"]["tls"][option] = True
            answer = one(who, call("wrap", "aws", cmk(), DEK))
            self.assertEqual((answer["status"], answer["attempts"]), ("KT_E_CONFIG", 0))
            self.assertIn(option, answer["message"])


class Secrets(unittest.TestCase):
    def test_nothing_secret_is_logged(self):
        front = servers.front(aws["port"], status503=40, garbage=20)
        output = run(account(), [call("wrap", "aws", cmk(at=front), DEK) for _ in range(8)])
        self.assertGreater(len(output["log"]), 0)
        self.assertEqual(leaks(output, [aws["secretAccessKey"], DEK]), [])


if __name__ == "__main__":
    unittest.main()
