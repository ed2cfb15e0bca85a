# SPDX-License-Identifier: Apache-2.0
"""libmongocrypt opens what keyturn sealed, keyturn opens what libmongocrypt sealed: values of all types."""

import random
import struct
import unittest

import rawbson as b
from judge import Judge
from rig import Case, count
from vault import Vault, schema, write_schema

VALUES = count(usual=20_000, long=100_000, sanitized=2_000)
SEED = 20260302

NAMES = {
    b.DOUBLE: "double",
    b.STRING: "string",
    b.OBJECT: "object",
    b.ARRAY: "array",
    b.BINARY: "binData",
    b.OID: "objectId",
    b.BOOL: "bool",
    b.DATE: "date",
    b.REGEX: "regex",
    b.DBPOINTER: "dbPointer",
    b.CODE: "javascript",
    b.SYMBOL: "symbol",
    b.SCOPE: "javascriptWithScope",
    b.INT: "int",
    b.TIMESTAMP: "timestamp",
    b.LONG: "long",
    b.DECIMAL: "decimal",
}
NOT_DETERMINISTIC = {b.DOUBLE, b.DECIMAL, b.BOOL, b.OBJECT, b.ARRAY, b.SCOPE}


def text(rng):
    size = rng.choice((0, 1, 11, 15, 16, 27, rng.randrange(300)))
    return "".join(rng.choice("abcdefghijklmnop ß€𝄞0123456789") for _ in range(size))


def cstring(rng):
    return bytes(rng.randrange(32, 127) for _ in range(rng.randrange(20))) + b"\0"


def scalar(rng):
    return rng.choice(
        (
            (b.INT, b.int32(rng.getrandbits(31))),
            (b.STRING, b.string(text(rng))),
            (b.NULL, b""),
            (b.MIN_KEY, b""),
            (b.UNDEFINED, b""),
            (b.LONG, b.int64(rng.getrandbits(63))),
        )
    )


def old_binary(raw):
    return b.binary(struct.pack("<i", len(raw)) + raw, 2)  # subtype 2 carries a second length


def value(rng, kind):
    """A random value's bytes."""
    if kind in (b.STRING, b.CODE, b.SYMBOL):
        return b.string(text(rng))
    if kind == b.OBJECT:
        return b.document(*((f"f{i}", *scalar(rng)) for i in range(rng.randrange(6))))
    if kind == b.ARRAY:
        return b.array(*(scalar(rng) for _ in range(rng.randrange(6))))
    if kind == b.BINARY:
        raw = rng.randbytes(rng.choice((0, 1, 16, rng.randrange(500))))
        subtype = rng.choice((0, 1, 2, 3, 4, 5, 7, 128))
        return old_binary(raw) if subtype == 2 else b.binary(raw, subtype)
    if kind == b.BOOL:
        return bytes([rng.randrange(2)])
    if kind == b.REGEX:
        return cstring(rng) + rng.choice((b"\0", b"i\0", b"im\0", b"imsx\0"))
    if kind == b.DBPOINTER:
        return b.string(text(rng)) + rng.randbytes(12)
    if kind == b.SCOPE:
        inner = b.string(text(rng)) + b.document(("x", *scalar(rng)))
        return b.int32(len(inner) + 4) + inner
    return rng.randbytes({b.OID: 12, b.INT: 4, b.DECIMAL: 16}.get(kind, 8))


class Judges(Case):
    def setUp(self):
        super().setUp()
        self.rng = random.Random(SEED)
        self.vault = Vault(["random", "other", "deterministic"])
        self.keys = self.vault.write(self.folder)
        self.rules = {}  # field: (type, deterministic, key)
        for kind, name in NAMES.items():
            self.rules["r_" + name] = (kind, False, "random" if kind % 2 else "other")
            if kind not in NOT_DETERMINISTIC:
                self.rules["d_" + name] = (kind, True, "deterministic")
        properties = {
            field: self.vault.rule(key, deterministic, NAMES[kind])
            for field, (kind, deterministic, key) in self.rules.items()
        }
        self.options = self.keys + write_schema(self.path("schema.json"), {"test.types": schema(properties)})
        self.plain = []
        for i in range(VALUES // len(self.rules) + 1):
            fields = [(field, kind, value(self.rng, kind)) for field, (kind, _, _) in self.rules.items()]
            self.plain.append(b.document(("_id", b.INT, b.int32(i)), *fields, ("tail", *scalar(self.rng))))
        self.judge = Judge(self.vault.docs.values(), self.vault.providers())
        self.addCleanup(self.judge.crypt.close)

    def sealed_by_judge(self, document):
        """The document, its fields sealed one by one by libmongocrypt."""
        fields = []
        for name, kind, raw in b.elements(document):
            if name in self.rules:
                _, deterministic, key = self.rules[name]
                made = self.judge.encrypt(kind, raw, self.vault.ids[key], deterministic)
                kind, raw = b.BINARY, b.binary(made, 6)
            fields.append((name, kind, raw))
        return b.document(*fields)

    def test_values_of_all_types(self):
        self.path("plain.bson").write_bytes(b"".join(self.plain))
        done = self.keyturn(
            "encrypt", *self.options, "--from", "plain.bson", "--to", "sealed.bson", "--ns-include", "test.types"
        )
        self.assertGreaterEqual(done.ns["values"], VALUES)
        ours = b.split(self.path("sealed.bson").read_bytes())
        theirs = [self.sealed_by_judge(document) for document in self.plain]

        for plain, mine, its in zip(self.plain, ours, theirs, strict=True):
            self.assertEqual(plain, self.judge.decrypt(mine))
            mine, its = b.fields(mine), b.fields(its)
            for field, (_, deterministic, _) in self.rules.items():
                if deterministic:
                    self.assertEqual(its[field], mine[field], field)
                else:
                    self.assertEqual(its[field][1][:23], mine[field][1][:23], field)
                    self.assertNotEqual(its[field], mine[field], field)

        self.path("theirs.bson").write_bytes(b"".join(theirs))
        done = self.keyturn("verify", *self.options, "--from", "theirs.bson", "--ns-include", "test.types")
        done = self.keyturn("decrypt", *self.keys, "--from", "theirs.bson", "--to", "back.bson")
        self.assertEqual(len(self.plain) * len(self.rules), done.ns["values"])
        self.assertEqual(b"".join(self.plain), self.path("back.bson").read_bytes())

    def test_a_change_of_any_part_of_a_payload_is_found(self):
        good = self.sealed_by_judge(self.plain[0])
        field = b.fields(good)["d_string"][1]
        for at in (5, 6, 22, 23, 39, len(field) - 1):  # algorithm, key, type, IV, body, tag
            with self.subTest(at=at):
                bad = bytearray(field)
                bad[at] ^= 3 if at == 5 else 1
                raw = good.replace(field, bytes(bad))
                self.path("bad.bson").write_bytes(raw)
                self.path(f"out{at}").unlink(missing_ok=True)
                done = self.keyturn("decrypt", *self.keys, "--from", "bad.bson", "--to", f"out{at}", exit=1)
                self.assertEqual((1, 0), (done.ns["failed"], done.ns["values"]))
                self.assertIn("d_string", done.text)
                self.assertEqual(raw, self.path(f"out{at}").read_bytes())
                done = self.keyturn(
                    "verify", *self.options, "--from", "bad.bson", "--ns-include", "test.types", exit=5
                )
                path = done.ns["paths"]["d_string"]
                self.assertEqual(
                    {5: "wrongAlgorithm", 6: "wrongKey"}.get(at, "unauthentic"),
                    next(name for name, n in path.items() if n),
                    path,
                )
                self.assertEqual(len(self.rules) - 1, sum(p["authentic"] for p in done.ns["paths"].values()))


if __name__ == "__main__":
    unittest.main()
