# SPDX-License-Identifier: Apache-2.0
"""What the tests of bad input share: a vault, a schema for NS, good documents, and a run that must be refused."""

import struct

import rawbson as b
from rig import Case
from vault import Vault, schema, write_schema

NS = "shop.people"
HERE = ["--ns-include", NS, "--from", "in.bson", "--to", "out"]
MIB = 1 << 20


def person(i, *more):
    return b.document(("_id", b.INT, b.int32(i)), ("name", b.STRING, b.string(f"person {i}")), *more)


def raw_document(body, length=None):
    """A document with any body and any length in front."""
    return struct.pack("<i", len(body) + 4 if length is None else length) + body


class Bad(Case):
    def setUp(self):
        super().setUp()
        self.vault = Vault(["name"])
        self.keys = self.vault.write(self.folder)
        self.options = self.keys + write_schema(
            self.path("schema.json"),
            {NS: schema({"name": self.vault.rule("name"), "deep": schema({"x": self.vault.rule("name")})})},
        )
        self.good = b"".join(person(i) for i in range(50))

    def run_raw(self, raw, exit=4, says=NS, **more):
        """Through a file and through a pipe. exit: 2 where it shows before the job begins."""
        self.path("in.bson").write_bytes(raw)
        done = self.refused("encrypt", *self.options, *HERE, exit=exit, says=says, **more)
        self.keyturn("verify", *self.options, "--ns-include", NS, "--from", "-", stdin=raw, exit=exit)
        for name in ("out.part", "out.part.checkpoint"):
            self.path(name).unlink(missing_ok=True)
        return done
