# SPDX-License-Identifier: Apache-2.0
"""Jobs of the program that need key management services: servers, key vaults, the program. KEYTURN_LONG=1 asks for the
full counts instead of those that fit into every run of the tests."""
import base64
import datetime
import hashlib
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest
import uuid

import bson
from bson.binary import Binary
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/servers"))
import launcher  # noqa: E402

BUILD = pathlib.Path(os.environ.get("KEYTURN_BUILD", ROOT / "build/release")).resolve()
PROGRAM = str(BUILD / "tools/keyturn")
LONG = os.environ.get("KEYTURN_LONG", "") not in ("", "0")
# What a machine that runs tests may have set must not find its way into them.
CLEAN = {name: value for name, value in os.environ.items()
         if not name.startswith(("AWS_", "AZURE_", "GOOGLE_", "GCE_", "IDENTITY_")) and not name.lower().endswith("_proxy")}
# For the servers alone, which end by a signal: CLEAN, the program's environment, is made above.
os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=0")
start = launcher.start
ARN = "arn:aws:kms:us-east-1:111122223333:key/"


def _sanitized():
    cache = BUILD / "CMakeCache.txt"
    return cache.exists() and any(line.startswith("KT_SANITIZE:") and line.strip()[-1] != "=" for line in cache.open())


SANITIZED = _sanitized()
heavy = unittest.skipIf(SANITIZED, "build: too slow with sanitizers, the release build runs it")


def count(usual, long):
    return long if LONG else usual


class Done:
    """What a run of the program left behind."""

    def __init__(self, exit, out, err, report, usage):
        self.exit, self.out, self.err, self.report, self.usage = exit, out, err, report, usage


class Case(unittest.TestCase):
    """A test with a folder of its own, which is also the program's working folder."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="keyturn-kms-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return str(self.folder / name)

    def providers(self, kms_providers, tls_options=None, name="kms.json"):
        with open(self.path(name), "w", opener=lambda p, f: os.open(p, f, 0o600), encoding="utf-8") as out:
            json.dump({"kmsProviders": kms_providers, "tlsOptions": tls_options or {}}, out)
        return ["--kms-providers", self.path(name)]

    def vault(self, documents, name="keyvault.bson"):
        with open(self.path(name), "wb") as out:
            for document in documents:
                out.write(document if isinstance(document, bytes) else bson.encode(document))
        return ["--key-vault", self.path(name)]

    def keyturn(self, *args, exit=0, env=None, seconds=600):
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([PROGRAM, *map(str, args), "--report", str(report)], capture_output=True, text=True,
                              cwd=self.folder, timeout=seconds, env={**CLEAN, "HOME": "/nonexistent", **(env or {})},
                              check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        figures = json.loads(report.read_text()) if report.exists() else None
        if exit is not None:
            self.assertEqual(done.returncode, exit, f"{args}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return Done(done.returncode, done.stdout, done.stderr, figures, {"cpu": cpu, "maxrssKiB": after.ru_maxrss})

    def read(self, name):
        return bson.decode_all((self.folder / name).read_bytes())

    def failures(self):
        found = []
        for path in self.folder.glob("*-failed.ndjson"):
            found += [json.loads(line) for line in path.read_text().splitlines()]
        return found


def key_document(master_key, key_material, names=(), age_days=400, key_id=None):
    then = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc) - datetime.timedelta(days=age_days)
    document = {"_id": Binary(key_id or uuid.uuid4().bytes, 4), "keyMaterial": key_material, "creationDate": then,
                "updateDate": then, "status": 0, "masterKey": master_key}
    if names:
        document["keyAltNames"] = list(names)
    return document


class Fast:
    """CMKs of the fast responder (tests/servers/fast_kms.c), wrapped and opened here as it does."""

    def __init__(self, servers, **options):
        self.servers = servers
        self.port = servers.fast(**options)

    def cmk(self, name="old"):
        return {"provider": "aws", "region": "us-east-1", "key": ARN + name, "endpoint": f"127.0.0.1:{self.port}"}

    @staticmethod
    def _cipher(key):
        return AESGCM(hashlib.sha256(key.encode()).digest())

    def wrap(self, dek, name="old"):
        key, iv = ARN + name, os.urandom(12)
        sealed = self._cipher(key).encrypt(iv, dek, None)
        return bytes([len(key)]) + key.encode() + iv + sealed[-16:] + sealed[:-16]

    def open(self, wrapped, name="new"):
        key = ARN + name
        if wrapped[:1 + len(key)] != bytes([len(key)]) + key.encode():
            raise AssertionError(f"not under {name}")
        rest = wrapped[1 + len(key):]
        return self._cipher(key).decrypt(rest[:12], rest[28:] + rest[12:28], None)

    def vault(self, keys, name="old"):
        """(documents, {_id: DEK})."""
        documents, deks = [], {}
        for _ in range(keys):
            dek = os.urandom(96)
            document = key_document(self.cmk(name), self.wrap(dek, name))
            deks[bytes(document["_id"])] = dek
            documents.append(document)
        return documents, deks

    def figures(self):
        """Stops it."""
        return self.servers.end_fast()


FAST_CREDENTIALS = {"aws": {"accessKeyId": "AKID", "secretAccessKey": "secret"}}


def b64(data):
    return base64.b64encode(data).decode()


def forms(secret):
    """How a secret may stand in a text: as it is, in hex, and in base64 wherever in a longer value it begins."""
    data = secret if isinstance(secret, bytes) else secret.encode()
    found = {data.decode("latin-1"), data.hex(), data.hex().upper()}
    for before in range(3):
        text = base64.b64encode(bytes(before) + data)[(0, 2, 3)[before]:(before + len(data)) // 3 * 4].decode()
        found |= {text, text.replace("+", "-").replace("/", "_")}
    return found
