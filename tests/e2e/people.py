# SPDX-License-Identifier: Apache-2.0
"""Twelve documents of a collection, three of which cannot be sealed, for tests of what becomes of each."""

import json

import rawbson as b
from rig import Case
from vault import Vault, schema, write_schema

NS = "shop.people"


class People(Case):
    """Twelve documents: five good ones, three that fail for three reasons, one without the fields, three good ones."""

    def setUp(self):
        super().setUp()
        self.vault = Vault(["name", "email"])
        self.keys = self.vault.write(self.folder)
        self.schema = {
            NS: schema(
                {
                    "name": self.vault.rule("name", types="string"),
                    "contact": schema({"email": self.vault.rule("email", True, "string")}),
                }
            )
        }
        self.options = self.keys + write_schema(self.path("schema.json"), self.schema)
        self.docs = [self.person(i) for i in range(12)]
        self.docs[5] = self.person(5, name=(b.NULL, b""))
        self.docs[6] = self.person(6, email=(b.INT, b.int32(6)))
        self.docs[7] = self.person(7, name=(b.MIN_KEY, b""), email=(b.UNDEFINED, b""))
        self.docs[8] = b.document(("_id", b.INT, b.int32(8)), ("x", b.NULL, b""))
        self.path("people.bson").write_bytes(b"".join(self.docs))
        self.here = ["--ns-include", NS, "--from", "people.bson"]

    @staticmethod
    def person(i, name=None, email=None, tail=None):
        contact = b.document(
            ("email", *(email or (b.STRING, b.string(f"p{i}@example.org")))), ("n", b.INT, b.int32(i))
        )
        return b.document(
            ("_id", b.INT, b.int32(i)),
            ("name", *(name or (b.STRING, b.string(f"person {i}")))),
            ("contact", b.OBJECT, contact),
            ("tail", b.STRING, b.string("t" * i if tail is None else tail)),
        )

    def listed(self, name=f"{NS}-failed.ndjson"):
        return [json.loads(line) for line in self.path(name).read_text().splitlines()]
