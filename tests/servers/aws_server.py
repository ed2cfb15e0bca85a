# SPDX-License-Identifier: Apache-2.0
"""moto: KMS, STS and IAM that check signatures. Prints {port, accessKeyId, secretAccessKey, keys, role, session, nobody, plain}.

aws_server.py [KEYS]    so many CMKs (default 2)
"""
import json
import os
import sys
import threading
import time

os.environ.update(INITIAL_NO_AUTH_ACTION_COUNT="1000000", AWS_DEFAULT_REGION="us-east-1",
                  AWS_ACCESS_KEY_ID="seed", AWS_SECRET_ACCESS_KEY="seed", AWS_EC2_METADATA_DISABLED="true")

import boto3
import requests
from moto.server import ThreadedMotoServer

ALL = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]})
NO_REENCRYPT = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Deny", "Action": "kms:ReEncrypt*", "Resource": "*"}]})


def given(key):
    return {"accessKeyId": key["AccessKeyId"], "secretAccessKey": key["SecretAccessKey"]}


def main():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    iam = boto3.client("iam", endpoint_url=url)
    iam.create_user(UserName="turner")
    policy = iam.create_policy(PolicyName="all", PolicyDocument=ALL)["Policy"]["Arn"]
    iam.attach_user_policy(UserName="turner", PolicyArn=policy)
    key = iam.create_access_key(UserName="turner")["AccessKey"]
    role = iam.create_role(RoleName="turnrole", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    iam.attach_role_policy(RoleName="turnrole", PolicyArn=policy)
    kms = boto3.client("kms", endpoint_url=url)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    keys = [kms.create_key()["KeyMetadata"]["Arn"] for _ in range(count)]
    sts = boto3.client("sts", endpoint_url=url)
    session = sts.assume_role(RoleArn=role, RoleSessionName="seed")["Credentials"]
    session["Expiration"] = session["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ")
    # A user without any right, to be denied.
    iam.create_user(UserName="nobody")
    nobody = iam.create_access_key(UserName="nobody")["AccessKey"]
    # One who may do everything but ReEncrypt (moto knows that as one action, and no rights to single keys).
    iam.create_user(UserName="plain")
    iam.attach_user_policy(UserName="plain", PolicyArn=policy)
    iam.attach_user_policy(UserName="plain", PolicyArn=iam.create_policy(PolicyName="plain", PolicyDocument=NO_REENCRYPT)["Policy"]["Arn"])
    plain = iam.create_access_key(UserName="plain")["AccessKey"]
    requests.post(f"{url}/moto-api/reset-auth", data="0", timeout=10)
    print(json.dumps({"port": port, "accessKeyId": key["AccessKeyId"], "secretAccessKey": key["SecretAccessKey"],
                      "keys": keys, "role": role, "session": session,
                      "nobody": given(nobody), "plain": given(plain)}), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
