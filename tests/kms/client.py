# SPDX-License-Identifier: Apache-2.0
"""Runs the program kms_client for tests."""
import base64
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests/servers"))
CLIENT = os.path.join(os.environ.get("KEYTURN_BUILD", os.path.join(ROOT, "build/release")), "tests/kms/kms_client")
DEK = bytes(range(96))
# What a machine that runs tests may have set must not find its way into them.
CLEAN = {name: value for name, value in os.environ.items()
         if not name.startswith(("AWS_", "AZURE_", "GOOGLE_", "GCE_", "IDENTITY_")) and not name.lower().endswith("_proxy")}


def b64(data):
    return base64.b64encode(data).decode()


def run(accounts, steps, options=None, env=None, seconds=120, **more):
    """The client's output, with its log lines under "log"."""
    document = {"accounts": accounts, "steps": steps, "options": {"deadlineMs": 20000, **(options or {})}, **more}
    done = subprocess.run([CLIENT], input=json.dumps(document), capture_output=True, text=True, timeout=seconds,
                          env={**CLEAN, "HOME": "/nonexistent", **(env or {})}, check=False)
    if done.returncode != 0:
        raise AssertionError(f"kms_client ended with {done.returncode}: {done.stderr[-2000:]}")
    return {**json.loads(done.stdout), "log": done.stderr}


def call(op, account, master_key, data=None, **more):
    step = {"do": "call", "op": op, "account": account, "masterKey": master_key, **more}
    if data is not None:
        step["in"] = data if isinstance(data, str) else b64(data)
    return step


def one(accounts, step, **more):
    return run(accounts, [step], **more)["steps"][0]


def leaks(output, secrets):
    """Which of the secrets stand anywhere in what the client printed to its log, also in hex or base64."""
    found = []
    for secret in secrets:
        data = secret if isinstance(secret, bytes) else secret.encode()
        aligned = [base64.b64encode(bytes(before) + data)[(0, 2, 3)[before]:(before + len(data)) // 3 * 4].decode()
                   for before in range(3)]
        for form in (data.decode("latin-1"), data.hex(), *aligned,
                     *(text.replace("+", "-").replace("/", "_") for text in aligned)):
            if form in output["log"] or any(form in step.get("message", "") for step in output["steps"]):
                found.append(form)
    return found
