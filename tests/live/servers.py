# SPDX-License-Identifier: Apache-2.0
"""Servers of a test's own: a set of three, one that stands alone, one with users. scripts/mongod.py starts them."""
import contextlib
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import pymongo
from pymongo.errors import PyMongoError

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import mongod  # noqa: E402
from live import LiveCase  # noqa: E402


class Set:
    """A replica set; members can be killed and come back."""

    def __init__(self, members=3):
        self.folder = tempfile.mkdtemp(prefix="keyturn-set-")
        self.uri, problem = mongod.begin(self.folder, members)
        if problem:
            raise RuntimeError(problem)
        self.ports = [int(h.rpartition(":")[2]) for h in self.uri.split("//")[1].split("/")[0].split(",")]

    def close(self):
        mongod.stop(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def direct(self, number):
        return pymongo.MongoClient("127.0.0.1", self.ports[number], directConnection=True,
                                   serverSelectionTimeoutMS=2000)

    def primary(self):
        """The number of the member that is primary now."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for number in range(len(self.ports)):
                with contextlib.suppress(PyMongoError), self.direct(number) as client:
                    if client.admin.command("hello").get("isWritablePrimary"):
                        return number
            time.sleep(0.1)
        raise RuntimeError("no primary")

    def step_up(self, number):
        """Makes that member primary; one that stepped down is let back in."""
        deadline = time.monotonic() + 60
        while self.primary() != number and time.monotonic() < deadline:
            with contextlib.suppress(PyMongoError), self.direct(number) as client:
                client.admin.command("replSetFreeze", 0)
                client.admin.command("replSetStepUp", 1)
            time.sleep(0.2)

    def member_folder(self, number):
        return mongod.members(self.folder)[number]

    def kill(self, number):
        pid = int(pathlib.Path(self.member_folder(number), "pid").read_text())
        subprocess.run(["kill", "-9", str(pid)], check=True)
        while mongod.alive(pid):
            time.sleep(0.01)

    def restart(self, number):
        mongod.launch(self.member_folder(number), self.ports[number])


class Alone:
    """One mongod without a replica set; more: further options."""

    def __init__(self, *more):
        self.folder = tempfile.mkdtemp(prefix="keyturn-alone-")
        self.port = mongod.free_port()
        mongod.launch(self.folder, self.port, more)
        self.uri = f"mongodb://127.0.0.1:{self.port}/"
        client = pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=60000, directConnection=True)
        client.admin.command("ping")
        client.close()

    def close(self):
        mongod.stop(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)


class OnThree(LiveCase):
    @classmethod
    def setUpClass(cls):
        cls.servers = Set(3)
        cls.addClassCleanup(cls.servers.close)

    def setUp(self):
        self.URI = self.servers.uri
        super().setUp()
