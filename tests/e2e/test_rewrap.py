# SPDX-License-Identifier: Apache-2.0
"""rewrap of key vaults in files: what changes, what does not, which keys, what is refused."""

import argparse
import base64
import json
import sys
import time
import unittest

import rawbson as b
from judge import Judge
from rig import ROOT, Case, count, heavy
from vault import Vault, seal

sys.path.insert(0, str(ROOT / "bench/files"))
CHANGED = {"keyMaterial", "masterKey", "updateDate"}
DAY_MS = 86_400_000


@heavy
class Many(Case):
    """The benchmark at a size that fits here; it proves every key and fails when memory grows with their number."""

    def test_every_key_and_its_memory(self):
        import rewrap

        keys = count(usual=50_000, long=1_000_000)
        figures = rewrap.bench(
            self.folder, argparse.Namespace(keys=keys, rounds=1, judged=1000, peer=count(usual=1000, long=10_000))
        )
        figures.show()
        (ratio,) = (r["value"] for r in figures.ratios if r["name"].startswith("CPU time a key"))
        self.assertLess(ratio, 2)


class Rewrap(Case):
    def setUp(self):
        super().setUp()
        self.vault = Vault([f"key {i}" for i in range(20)])
        now = int(time.time() * 1000)
        self.vault.add("young", updateDate=b"")
        self.vault.docs["young"] = self.changed(self.vault.docs["young"], updateDate=(b.DATE, b.int64(now - DAY_MS)))
        self.vault.add("already", provider="local:new")
        self.keys = self.vault.write(self.folder)

    @staticmethod
    def changed(doc, **fields):
        return b.document(*((name, *fields.get(name, (kind, value))) for name, kind, value in b.elements(doc)))

    def rewrap(self, *more, to="new.bson", exit=0):
        done = self.keyturn("rewrap", *self.keys, "--to", to, *more, exit=exit)
        made = dict(zip(self.vault.docs, b.split(self.path(to).read_bytes()), strict=True))
        return done, made

    def check(self, made, rewrapped, provider="local:new"):
        """Those keys have a new wrap under the provider and nothing else new; all others are as they were."""
        for name, old in self.vault.docs.items():
            new = made[name]
            if name not in rewrapped:
                self.assertEqual(old, new, name)
                continue
            before, after = list(b.elements(old)), list(b.elements(new))
            self.assertEqual([e[0] for e in before], [e[0] for e in after])
            changed = {o[0] for o, n in zip(before, after) if o != n}
            self.assertLessEqual({"keyMaterial", "updateDate"}, changed)
            self.assertLessEqual(changed, CHANGED)
            fields = b.fields(new)
            self.assertEqual(self.vault.deks[name], self.vault.open_key(new))
            if provider:
                self.assertEqual(b.document(("provider", b.STRING, b.string(provider))), fields["masterKey"][1])
            age = time.time() * 1000 - int.from_bytes(fields["updateDate"][1], "little")
            self.assertLess(abs(age), 600_000)

    def test_all_keys(self):
        done, made = self.rewrap("--provider", "local:new")
        self.check(made, self.vault.docs)
        self.assertEqual(
            (22, 22, 22, 0), tuple(done.report["keys"][k] for k in ("read", "rewrapped", "proven", "failed"))
        )
        self.assertEqual(
            [("local:new", 1), ("local:old", 21)],
            sorted((c["from"], c["rewrapped"]) for c in done.report["keys"]["cmks"]),
        )
        self.assertEqual(self.vault.raw(), self.path("keyvault.bson").read_bytes())
        with Judge(made.values(), self.vault.providers()) as judge:
            for name in made:
                payload = judge.encrypt(b.INT, b.int32(7), self.vault.ids[name], False)
                self.assertEqual((b.INT, b.int32(7)), self.vault.open_value(payload))

    def test_each_under_its_own(self):
        _, made = self.rewrap()
        self.check(made, self.vault.docs, provider=None)
        for name, doc in made.items():
            self.assertEqual(b.fields(self.vault.docs[name])["masterKey"], b.fields(doc)["masterKey"])

    def test_filters(self):
        queries = [
            ({"keyAltNames": "key 3"}, {"key 3"}),
            ({"keyAltNames": {"$in": ["key 1", "young"]}}, {"key 1", "young"}),
            ({"masterKey.provider": "local:new"}, {"already"}),
            ({"keyAltNames": "none"}, set()),
            (
                {"_id": {"$binary": {"base64": base64.b64encode(self.vault.ids["key 9"]).decode(), "subType": "04"}}},
                {"key 9"},
            ),
        ]
        for i, (query, wanted) in enumerate(queries):
            with self.subTest(query):
                done, made = self.rewrap("--provider", "local:new", "--filter", json.dumps(query), to=f"out{i}")
                self.check(made, wanted)
                self.assertEqual(len(wanted), done.report["keys"]["matched"])
        self.refused("rewrap", *self.keys, "--to", "x", "--filter", '{"a": {"$where": "1"}}', says="$where")

    def test_a_list_needs_the_providers_of_its_own_keys_alone(self):
        stranger = b.document(("provider", b.STRING, b.string("local:none")))
        self.vault.docs["key 4"] = self.changed(self.vault.docs["key 4"], masterKey=(b.OBJECT, stranger))
        self.keys = self.vault.write(self.folder)
        odd = b.document(("_id", b.INT, b.int32(1)), ("x", b.NULL, b""))
        self.path("keyvault.bson").write_bytes(self.vault.raw() + odd)
        for more, to in (((), "new.bson"), (("--all-or-nothing",), "whole.bson")):
            wanted = {"key 2", "key 7", "young"}
            rewrap = ["rewrap", *self.keys, "--provider", "local:new", "--to", to, *more]
            self.refused(*rewrap, says="local:none")
            self.refused(*rewrap, *self.only(wanted | {"key 4"}), says="1 DEKs need it")
            done = self.keyturn(*rewrap, *self.only(wanted))
            self.assertEqual((3, 3, 0), tuple(done.report["keys"][k] for k in ("matched", "rewrapped", "failed")))
            self.assertEqual([], done.report["warnings"])
            made = b.split(self.path(to).read_bytes())
            self.assertEqual(odd, made.pop())
            self.check(dict(zip(self.vault.docs, made, strict=True)), wanted)
        dry = self.keyturn("rewrap", *self.keys, "--provider", "local:new", "--dry-run", *self.only(wanted))
        self.assertEqual(
            [("local:old", 3)], [(c["from"], c["matched"]) for c in dry.report["keys"]["cmks"]]
        )

    def test_what_a_list_names_and_nobody_has_is_said(self):
        gone = self.vault.ids["key 3"]
        only = self.only({"key 2", "key 3"})
        del self.vault.docs["key 3"]
        self.vault.write(self.folder)
        done = self.keyturn("rewrap", *self.keys, "--provider", "local:new", "--to", "new.bson", *only)
        self.assertIn("1 of the 2 that it lists were not found", "".join(done.report["warnings"]))
        self.assertEqual(1, done.report["keys"]["rewrapped"])
        self.assertNotIn(gone, self.path("new.bson").read_bytes())

    def only(self, names):
        """A list of those keys."""
        with open(self.path("list.ndjson"), "w") as out:
            for name in names:
                key_id = {"$binary": {"base64": base64.b64encode(self.vault.ids[name]).decode(), "subType": "04"}}
                out.write(json.dumps({"ns": "encryption.__keyVault", "_id": key_id}) + "\n")
        return ["--only", str(self.path("list.ndjson"))]

    def test_older_than(self):
        _, made = self.rewrap("--provider", "local:new", "--older-than", "90d")
        self.check(made, set(self.vault.docs) - {"young"})

    def test_dry_run(self):
        before = sorted(p.name for p in self.folder.iterdir())
        dry = self.keyturn("rewrap", *self.keys, "--provider", "local:new", "--dry-run")
        self.path("report.json").unlink()
        self.assertEqual(before, sorted(p.name for p in self.folder.iterdir()))
        real, _ = self.rewrap("--provider", "local:new")
        self.assertEqual(dry.report["keys"]["matched"], real.report["keys"]["rewrapped"])
        self.assertEqual(
            [(c["from"], c["to"], c["matched"]) for c in dry.report["keys"]["cmks"]],
            [(c["from"], c["to"], c["rewrapped"]) for c in real.report["keys"]["cmks"]],
        )

    def test_keys_that_do_not_open_stay_and_are_listed(self):
        whole = dict(self.vault.docs)
        self.vault.docs["key 4"] = self.changed(
            self.vault.docs["key 4"], keyMaterial=(b.BINARY, b.binary(bytes(160)))
        )
        self.vault.docs["key 5"] = self.changed(
            self.vault.docs["key 5"],
            keyMaterial=(b.BINARY, b.binary(seal(self.vault.masters["local:old"], bytes(95)))),
        )  # a DEK of 95 bytes: 160 when sealed
        self.vault.write(self.folder)
        done, made = self.rewrap("--provider", "local:new", exit=1)
        self.check(made, set(self.vault.docs) - {"key 4", "key 5"})
        self.assertEqual((20, 2), (done.report["keys"]["rewrapped"], done.report["keys"]["failed"]))
        (listed,) = self.folder.glob("*-failed.ndjson")
        ids = [json.loads(line)["_id"]["$binary"]["base64"] for line in listed.read_text().splitlines()]
        wanted = [base64.b64encode(self.vault.ids[k]).decode() for k in ("key 4", "key 5")]
        self.assertEqual(sorted(wanted), sorted(ids))
        # The way out: mended in the output, whose name is another, and only these.
        mended = [whole[name] if name in ("key 4", "key 5") else doc for name, doc in made.items()]
        self.path("mended.bson").write_bytes(b"".join(mended))
        again = self.keyturn("rewrap", *self.keys[2:], "--key-vault", "mended.bson", "--to", "last.bson", "--only",
                             listed.name, "--failures", "none.ndjson", "--provider", "local:new")
        self.assertEqual((2, 0), (again.report["keys"]["rewrapped"], again.report["keys"]["failed"]))
        self.assertNotIn("not found", again.text)
        last = b.split(self.path("last.bson").read_bytes())
        self.assertEqual(list(self.vault.deks.values()), [self.vault.open_key(doc) for doc in last])

    def test_all_or_nothing_that_a_limit_stops_has_rewrapped_nothing(self):
        """The last key fails, several batches behind the first."""
        self.vault = Vault([f"key {i}" for i in range(3000)])
        self.vault.docs["key 2999"] = self.changed(
            self.vault.docs["key 2999"], keyMaterial=(b.BINARY, b.binary(bytes(160)))
        )
        self.vault.write(self.folder)
        rewrap = ["rewrap", *self.keys, "--provider", "local:new", "--threads", 1, "--max-failures", 0]
        done = self.keyturn(*rewrap, "--to", "some.bson", "--failures", "some.ndjson", exit=3)
        self.assertGreater(done.report["keys"]["rewrapped"], 0)
        self.assertFalse(done.report["withheld"])
        done = self.keyturn(*rewrap, "--to", "new.bson", "--all-or-nothing", exit=3)
        self.assertEqual((0, 1), (done.report["keys"]["rewrapped"], done.report["keys"]["failed"]))
        self.assertEqual([0], [cmk["rewrapped"] for cmk in done.report["keys"]["cmks"]])
        self.assertTrue(done.report["withheld"])
        self.assertFalse(self.path("new.bson").exists())

    def test_documents_that_are_no_keys(self):
        odd = b.document(("_id", b.INT, b.int32(1)), ("x", b.NULL, b""))
        self.path("keyvault.bson").write_bytes(self.vault.raw() + odd)
        for more in (["--dry-run"], ["--to", "new.bson"]):
            done = self.keyturn("rewrap", *self.keys, "--provider", "local:new", *more, exit=1)
            self.assertEqual((22, 1), (done.report["keys"]["rewrapped"], done.report["keys"]["failed"]))
        none = self.keyturn("rewrap", *self.keys, "--filter", '{"keyAltNames": "none"}', "--dry-run", exit=1)
        self.assertEqual((0, 1), (none.report["keys"]["rewrapped"], none.report["keys"]["failed"]))
        self.assertEqual(odd, b.split(self.path("new.bson").read_bytes())[-1])

    def test_field_order_and_both_integers_of_version(self):
        doc = self.vault.docs["key 1"]
        fields = b.fields(doc)
        order = ["masterKey", "keyAltNames", "updateDate", "status", "keyMaterial", "_id", "creationDate"]
        self.vault.docs["key 1"] = b.document(*((n, *fields[n]) for n in order), ("version", b.LONG, b.int64(0)))
        self.vault.write(self.folder)
        _, made = self.rewrap("--provider", "local:new")
        self.check(made, self.vault.docs)

    def test_a_vault_in_a_dump(self):
        self.path("dump/encryption").mkdir(parents=True)
        self.path("dump/encryption/__keyVault.bson").write_bytes(self.vault.raw())
        self.path("dump/encryption/other.bson").write_bytes(b.document())
        self.keys[1] = str(self.path("dump"))
        self.keyturn("rewrap", *self.keys, "--provider", "local:new", "--to", "out")
        made = b.split(self.path("out/encryption/__keyVault.bson").read_bytes())
        self.check(dict(zip(self.vault.docs, made, strict=True)), self.vault.docs)
        self.assertEqual(b.document(), self.path("out/encryption/other.bson").read_bytes())
        self.refused(
            "rewrap",
            *self.keys,
            "--key-vault-namespace",
            "a.b",
            "--to",
            "out2",
            says=("a.b", "--key-vault-namespace"),
        )

    def test_refusals(self):
        rewrap = ["rewrap", *self.keys, "--to", "out"]
        self.refused(*rewrap, "--provider", "local:none", says="local:none")
        self.refused(*rewrap, "--provider", "aws", says="aws")
        self.refused(*rewrap, "--master-key", '{"region": "x"}', says="--provider")
        self.refused(*rewrap, "--provider", "local:new", "--master-key", '{"what": 1}', says="what")
        self.refused("rewrap", *self.keys, "--provider", "local:new", says="--to")
        swapped = {"kmsProviders": dict(zip(self.vault.providers(), reversed(self.vault.providers().values())))}
        self.path("swapped.json").write_text(json.dumps(swapped))
        self.keys[3] = "swapped.json"
        self.refused("rewrap", *self.keys, "--to", "out", "--provider", "local:new", says="local:old")


if __name__ == "__main__":
    unittest.main()
