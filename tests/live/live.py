# SPDX-License-Identifier: Apache-2.0
"""Jobs on a real server: a database of the test's own, a key vault in it, and the program pointed at both."""
import contextlib
import json
import os
import pathlib
import pty
import subprocess
import sys
import time
import unittest
import uuid

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from rig import LONG, PROGRAM, SANITIZED, Case, count, heavy  # noqa: E402,F401 (tests take them from here)
import rawbson  # noqa: E402
from vault import ALGORITHM, Vault, seal  # noqa: E402,F401

try:
    import bson
    import pymongo
    from bson.raw_bson import RawBSONDocument
    from bson.codec_options import CodecOptions
except ImportError:
    pymongo = None

URI = os.environ.get("KEYTURN_TEST_MONGODB_URI")


@unittest.skipUnless(pymongo, "pymongo is missing (./check installs it)")
@unittest.skipUnless(URI, "KEYTURN_TEST_MONGODB_URI is not set (scripts/mongod.py run)")
class LiveCase(Case):
    KEYS = ("a", "b", "c")
    # field: (key, deterministic, types)
    FIELDS = {"a": ("a", True, "string"), "b": ("b", False, None), "n.c": ("c", False, None)}

    def setUp(self):
        super().setUp()
        self.uri = getattr(self, "URI", URI)
        self.client = pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=20000)
        self.addCleanup(self.client.close)
        name = f"keyturn_test_{uuid.uuid4().hex[:16]}"
        self.database = self.client[name]
        self.addCleanup(self.client.drop_database, name)
        self.state_db = f"{name}_state"
        self.addCleanup(self.client.drop_database, self.state_db)
        self.state = self.client[self.state_db]
        self.docs = self.database["docs"]
        self.ns = f"{name}.docs"
        self.vault = Vault(self.KEYS)
        self.key_vault = self.database["__keyVault"]
        if self.KEYS:
            self.raw_collection(self.key_vault).insert_many([RawBSONDocument(d) for d in self.vault.docs.values()])
        self.write_config()

    @staticmethod
    def raw_collection(collection):
        return collection.with_options(codec_options=CodecOptions(document_class=RawBSONDocument))

    def schema(self):
        properties = {}
        for path, (key, deterministic, types) in self.FIELDS.items():
            at, names = properties, path.split(".")
            for part in names[:-1]:
                at = at.setdefault(part, {"bsonType": "object", "properties": {}})["properties"]
            at[names[-1]] = self.vault.rule(key, deterministic, types)
        return {"bsonType": "object", "properties": properties}

    def write_config(self, schema=None, **more):
        config = {"from": self.uri, "keyVaultNamespace": f"{self.database.name}.__keyVault",
                  "schemaMap": {self.ns: schema or self.schema()},
                  "kmsProviders": self.vault.providers(), "checkpoint": self.state_db, **more}
        self.path("config.json").write_text(json.dumps(config))
        os.chmod(self.path("config.json"), 0o600)

    def args(self, command, *more):
        return [command, "--config", "config.json", *(["--yes"] if command != "verify" else []), *map(str, more)]

    def run_job(self, command, *more, **options):
        return self.keyturn(*self.args(command, *more), **options)

    def start(self, command, *more, env=None):
        return self.spawn(*self.args(command, *more), env=env)

    def spawn(self, *args, env=None):
        """Starts the program; its words go to err.txt."""
        with open(self.path("err.txt"), "ab") as err:
            process = subprocess.Popen([PROGRAM, *args], cwd=self.folder, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=err, env={**os.environ, **(env or {})})
        self.addCleanup(self.end, process)
        return process

    def ask(self, args, answer, meanwhile=lambda text: None):
        """On a terminal, which gets the answer once meanwhile has returned. The exit status."""
        master, slave = pty.openpty()
        process = subprocess.Popen([PROGRAM, *args], cwd=self.folder, stdin=slave, stdout=slave, stderr=slave)
        self.addCleanup(self.end, process)
        os.close(slave)
        text = b""
        while b"[y/N]" not in text:
            text += os.read(master, 4096)
        meanwhile(text.decode())
        os.write(master, answer.encode())
        with contextlib.suppress(OSError):  # the end, as Linux tells it
            while os.read(master, 4096):
                pass
        os.close(master)
        return process.wait(60)

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
            process.wait()

    def err_text(self):
        return self.path("err.txt").read_text(errors="replace")

    def until(self, what, true, seconds=60, process=None):
        """process: what brings it about, so that waiting ends with it."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline or (process and process.poll() is not None and not true()):
                self.fail(f"{what}: not within {seconds} s\n{self.err_text() if self.path('err.txt').exists() else ''}")
            time.sleep(0.01)

    def insert(self, raw_docs):
        collection = self.raw_collection(self.docs)
        for at in range(0, len(raw_docs), 5000):
            collection.insert_many([RawBSONDocument(d) for d in raw_docs[at:at + 5000]])

    def read(self, collection=None):
        """Every document as bytes, in the order of _id."""
        collection = self.raw_collection(self.docs if collection is None else collection)
        return [bytes(d.raw) for d in collection.find({}, hint=[("_id", 1)], sort=[("_id", 1)])]

    def opened(self, raw):
        """A document's bytes with every payload opened by an implementation of its own."""
        out = []
        for name, kind, value in rawbson.elements(raw):
            sealed = rawbson.payload(kind, value)
            if sealed:
                kind, value = self.vault.open_value(sealed)
            elif kind in (rawbson.OBJECT, rawbson.ARRAY):
                value = self.opened(value)
            out.append((name, kind, value))
        return rawbson.document(*out)

    def sealed_count(self, raw):
        total = 0
        for _, kind, value in rawbson.elements(raw):
            if rawbson.payload(kind, value):
                total += 1
            elif kind in (rawbson.OBJECT, rawbson.ARRAY):
                total += self.sealed_count(value)
        return total

    def state_docs(self):
        return list(self.state["checkpoints"].find({}))

    def assert_closed(self):
        """Nothing of a job is kept once it is closed."""
        self.assertEqual([], self.state_docs())
        self.assertEqual([], list(self.state["failures"].find({})))


def plain_docs(number, first=0, size=40):
    """Documents with the fields of LiveCase.FIELDS and some that no schema names."""
    return [bson.encode({"_id": i, "z": "kept", "a": f"name {i}", "n": {"x": 1, "c": {"street": "x" * size, "no": i}},
                         "b": i, "last": [1, {"a": "not at a path"}]}) for i in range(first, first + number)]
