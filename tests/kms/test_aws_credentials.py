# SPDX-License-Identifier: Apache-2.0
"""Where AWS credentials are found, with moto as the judge of each."""
import unittest
import urllib.parse

from client import DEK, call, leaks, one, run
import launcher

servers = aws = port = None


def setUpModule():
    global servers, aws, port
    servers = launcher.start("aws")
    aws = servers.aws()
    port = servers.front(aws["port"])


def found():
    return {"aws": {"kms": "aws", "credentials": {}, "tls": {"tlsCAFile": servers.ca}}}


def cmk():
    return {"provider": "aws", "region": "us-east-1", "key": aws["keys"][0], "endpoint": f"127.0.0.1:{port}"}


def keys():
    return {"AWS_ACCESS_KEY_ID": aws["accessKeyId"], "AWS_SECRET_ACCESS_KEY": aws["secretAccessKey"]}


def session():
    return {"AccessKeyId": aws["session"]["AccessKeyId"], "SecretAccessKey": aws["session"]["SecretAccessKey"],
            "Token": aws["session"]["SessionToken"]}


def write(name, text):
    path = f"{servers.folder}/{name}"
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    return path


class Found(unittest.TestCase):
    def works(self, env):
        answer = one(found(), call("wrap", "aws", cmk(), DEK), env=env)
        self.assertEqual(answer["status"], "KT_OK", answer)

    def refused(self, env):
        answer = one(found(), call("wrap", "aws", cmk(), DEK), env=env)
        self.assertEqual((answer["status"], answer["reason"]), ("KT_E_CREDENTIALS", "credentials"), answer)
        return answer["message"]

    def test_environment(self):
        self.works(keys())
        self.works({"AWS_ACCESS_KEY_ID": session()["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": session()["SecretAccessKey"],
                    "AWS_SESSION_TOKEN": session()["Token"]})

    def test_profile(self):
        text = (f"# comment\n[other]\naws_access_key_id = nobody\n\n[work]\naws_access_key_id={aws['accessKeyId']}\n"
                f"aws_secret_access_key = {aws['secretAccessKey']}\n")
        files = {"AWS_SHARED_CREDENTIALS_FILE": write("credentials", text), "AWS_CONFIG_FILE": "/nonexistent"}
        self.works({**files, "AWS_PROFILE": "work"})
        config = text.replace("[work]", "[profile work]")
        self.works({"AWS_CONFIG_FILE": write("config", config), "AWS_PROFILE": "work",
                    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"})
        self.assertIn("aws_secret_access_key", self.refused({**files, "AWS_PROFILE": "other"}))

    def test_profiles_that_only_amazons_tools_can_use(self):
        for setting in ("sso_session=corp", "sso_start_url=https://x.awsapps.com/start", "credential_process=/bin/true"):
            files = {"AWS_CONFIG_FILE": write("sso", f"[profile work]\n{setting}\n"), "AWS_PROFILE": "work",
                     "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
            self.assertIn(setting.split("=")[0], self.refused(files))
            keys_too = write("both", f"[work]\naws_access_key_id={aws['accessKeyId']}\naws_secret_access_key={aws['secretAccessKey']}\n")
            self.works({**files, "AWS_SHARED_CREDENTIALS_FILE": keys_too})

    def test_a_profile_that_is_asked_for_and_missing(self):
        there = servers.metadata(aws=session())
        others = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{there['port']}"}
        text = f"[work]\naws_access_key_id={aws['accessKeyId']}\naws_secret_access_key={aws['secretAccessKey']}\n"
        files = {"AWS_SHARED_CREDENTIALS_FILE": write("mine", text), "AWS_CONFIG_FILE": "/nonexistent", "AWS_PROFILE": "wrok"}
        self.assertIn('AWS_PROFILE is "wrok"', self.refused({**others, **files}))
        too_long = write("long", text + "#" * 66000)
        self.assertIn("64 KiB", self.refused({**others, **files, "AWS_PROFILE": "work", "AWS_SHARED_CREDENTIALS_FILE": too_long}))
        self.works({**others, **files, "AWS_PROFILE": ""})
        self.works({**others, **files, "AWS_SHARED_CREDENTIALS_FILE": write("region", "[wrok]\nregion=us-east-1\n")})

    def test_profile_that_assumes_a_role(self):
        text = (f"[base]\naws_access_key_id={aws['accessKeyId']}\naws_secret_access_key={aws['secretAccessKey']}\n"
                f"[turn]\nrole_arn={aws['role']}\nsource_profile=base\nrole_session_name=turning\n")
        files = {"AWS_SHARED_CREDENTIALS_FILE": write("roles", text), "AWS_PROFILE": "turn",
                 "AWS_ENDPOINT_URL_STS": f"https://127.0.0.1:{port}"}
        self.works(files)
        self.assertIn("source_profile", self.refused({**files, "AWS_SHARED_CREDENTIALS_FILE":
                                                      write("half", text.replace("source_profile=base\n", ""))}))

    def test_web_identity(self):
        # moto with authentication on refuses unsigned calls, which these are: a second one plays STS.
        sts = servers.aws()
        wanted = ["Action=AssumeRoleWithWebIdentity", "Version=2011-06-15", "RoleArn=" + urllib.parse.quote(aws["role"], safe=""),
                  "RoleSessionName=turning", "WebIdentityToken=web%2Bid%3D"]
        there = servers.front(sts["port"], extra=[
            f"http-request return status 200 content-type text/xml string '{sts_reply()}' if {{ method POST }} "
            + " ".join(f"{{ req.body -m sub {field} }}" for field in wanted)])
        env = {"AWS_WEB_IDENTITY_TOKEN_FILE": write("web", "web+id=\n"), "AWS_ROLE_ARN": aws["role"],
               "AWS_ROLE_SESSION_NAME": "turning", "AWS_ENDPOINT_URL_STS": f"https://127.0.0.1:{there}"}
        self.works(env)
        self.assertIn("cannot be read", self.refused({**env, "AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent"}))

    def test_container(self):
        there = servers.metadata(aws=session(), authorization="opaque token")
        env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{there['port']}/container"}
        self.works({**env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": write("pod", "opaque token\n")})
        self.works({**env, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "opaque token"})
        self.assertIn("403", self.refused(env))
        self.assertIn("loopback", self.refused({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/container"}))

    def test_instance_metadata(self):
        there = servers.metadata(aws=session())
        self.works({"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{there['port']}"})

    def test_callback_of_the_program(self):
        given = {"credentials": {"accessKeyId": aws["accessKeyId"], "secretAccessKey": aws["secretAccessKey"]}, "ms": 1500}
        step = call("wrap", "aws", cmk(), DEK)
        output = run(found(), [step, {"do": "sleep", "ms": 1300}, step, {"do": "sleep", "ms": 300}, step], supplied=given,
                     env={"AWS_ACCESS_KEY_ID": "not", "AWS_SECRET_ACCESS_KEY": "asked"})
        self.assertEqual([s.get("status", "KT_OK") for s in output["steps"]], ["KT_OK"] * 5, output["steps"])
        self.assertIn(output["stats"]["supplied"], (2, 3))

    def test_a_callback_whose_credentials_have_expired_is_asked_again(self):
        given = {"credentials": {"accessKeyId": aws["accessKeyId"], "secretAccessKey": aws["secretAccessKey"]}, "firstMs": -1000}
        output = run(found(), [call("wrap", "aws", cmk(), DEK)], supplied=given, options={"deadlineMs": 5000})
        self.assertEqual(output["steps"][0]["status"], "KT_OK", output["steps"])
        self.assertEqual(output["stats"]["supplied"], 2)

    def test_nothing(self):
        message = self.refused({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"})
        self.assertIn("AWS_ACCESS_KEY_ID", message)
        self.assertIn("AWS_ACCESS_KEY_ID", self.refused({"AWS_EC2_METADATA_DISABLED": "true"}))

    def test_one_request_serves_many_and_is_renewed_in_time(self):
        there = servers.metadata(aws=session(), seconds=3)
        load = {"do": "load", "account": "aws", "masterKey": cmk(), "count": 40}
        output = run(found(), [load, {"do": "sleep", "ms": 2600}, load],
                     env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{there['port']}"},
                     options={"concurrency": 16})
        self.assertEqual([step.get("failed", 0) for step in output["steps"]], [0, 0, 0], output["steps"])
        counts = servers.counted(there)
        self.assertEqual(counts["/latest/api/token"], counts["/latest/meta-data/iam/security-credentials/turnrole"])
        self.assertIn(counts["/latest/api/token"], range(2, 6))
        self.assertEqual(leaks(output, [session()["SecretAccessKey"], session()["Token"]]), [])


def sts_reply():
    s = session()
    return ("<AssumeRoleWithWebIdentityResponse><Credentials><SessionToken>" + s["Token"] + "</SessionToken><SecretAccessKey>"
            + s["SecretAccessKey"] + "</SecretAccessKey><Expiration>2099-01-01T00:00:00Z</Expiration><AccessKeyId>"
            + s["AccessKeyId"] + "</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResponse>")


if __name__ == "__main__":
    unittest.main()
