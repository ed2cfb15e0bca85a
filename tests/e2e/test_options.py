# SPDX-License-Identifier: Apache-2.0
"""What the options promise: dry runs that say exactly what a run does, lists of failures that can be worked off, keys
that documents name, reports."""

import json
import os
import subprocess
import unittest

import rawbson as b
from people import NS, People
from rig import PROGRAM
from vault import schema, seal, write_schema


class Options(People):
    def test_failed_documents_stay_and_are_listed(self):
        done = self.keyturn("encrypt", *self.options, *self.here, "--to", "out", exit=1)
        self.assertEqual((12, 8, 16, 3), tuple(done.ns[k] for k in ("documents", "changed", "values", "failed")))
        out = b.split(self.path("out").read_bytes())
        self.assertEqual([5, 6, 7, 8], [i for i in range(12) if out[i] == self.docs[i]])
        lines = self.listed()
        self.assertEqual(
            [(NS, 5, "name"), (NS, 6, "contact.email"), (NS, 7, "name")],
            [(line["ns"], int(line["_id"]["$numberInt"]), line["path"]) for line in lines],
        )
        self.assertEqual({"ns", "_id", "path", "reason"}, set(lines[0]))
        for i in (5, 6, 7):
            self.assertIn(f"{NS} _id {i}: ", done.text)
        self.assertIn(f"{NS}-failed.ndjson", done.text)
        self.assertEqual(f"{NS}-failed.ndjson", done.report["failuresFile"])
        self.assertNotIn("person", done.text + self.path(f"{NS}-failed.ndjson").read_text())

    def test_dry_run_is_exact_and_writes_nothing(self):
        for more in ([], ["--on-unencryptable", "leave"]):
            with self.subTest(more):
                before = sorted(os.listdir(self.folder))
                dry = self.keyturn("encrypt", *self.options, *self.here, *more, "--dry-run", exit=0 if more else 1)
                self.path("report.json").unlink()
                self.assertEqual(before, sorted(os.listdir(self.folder)))
                real = self.keyturn("encrypt", *self.options, *self.here, *more, "--to", "out", exit=0 if more else 1)
                self.path("report.json").unlink()
                self.assertEqual(dry.report["namespaces"], real.report["namespaces"])
                self.assertEqual((True, False), (dry.report["dryRun"], real.report["dryRun"]))
                self.assertEqual(real.ns["bytesOut"], self.path("out").stat().st_size)
                self.assertEqual(
                    real.ns["largestDocument"], max(len(d) for d in b.split(self.path("out").read_bytes()))
                )
                self.assertIn("would fail", dry.out.decode())
                dry = self.keyturn("decrypt", *self.options, "--ns-include", NS, "--from", "out", "--dry-run")
                real = self.keyturn("decrypt", *self.options, "--ns-include", NS, "--from", "out", "--to", "back")
                self.path("report.json").unlink()
                self.assertEqual(dry.ns["values"], real.ns["values"])
                for name in ("out", "back", f"{NS}-failed.ndjson"):
                    self.path(name).unlink(missing_ok=True)

    def test_leave_seals_the_rest(self):
        done = self.keyturn("encrypt", *self.options, *self.here, "--to", "out", "--on-unencryptable", "leave")
        self.assertEqual((10, 18, 4, 0), tuple(done.ns[k] for k in ("changed", "values", "left", "failed")))
        out = b.split(self.path("out").read_bytes())
        self.assertEqual((b.NULL, b""), b.fields(out[5])["name"])
        self.assertEqual(b.BINARY, b.fields(b.fields(out[5])["contact"][1])["email"][0])
        self.assertEqual([7, 8], [i for i in range(12) if out[i] == self.docs[i]])
        self.assertFalse(self.path(f"{NS}-failed.ndjson").exists())

    def test_only_works_off_a_list(self):
        self.keyturn("encrypt", *self.options, *self.here, "--to", "out", exit=1)
        mended = list(b.split(self.path("out").read_bytes()))
        mended[5], mended[6] = self.person(5), self.person(6)
        self.path("mended.bson").write_bytes(b"".join(mended))
        here = ["--ns-include", NS, "--from", "mended.bson", "--only", f"{NS}-failed.ndjson"]
        done = self.refused(
            "encrypt", *self.options, *here, "--to", "out2", "--failures", f"{NS}-failed.ndjson", says="--only"
        )
        done = self.keyturn("encrypt", *self.options, *here, "--to", "out2", "--failures", "again.ndjson", exit=1)
        self.assertEqual((2, 4, 1), tuple(done.ns[k] for k in ("changed", "values", "failed")))
        out = b.split(self.path("out2").read_bytes())
        self.assertEqual([5, 6], [i for i in range(12) if out[i] != mended[i]])
        self.assertEqual(1, len(self.listed("again.ndjson")))
        self.path("bad.ndjson").write_text('{"ns": "a.b"}\n')
        self.refused("encrypt", *self.options, *here[:-1], "bad.ndjson", "--to", "out3", says="bad.ndjson")

    def test_a_list_that_could_not_be_written_is_refused_at_once(self):
        self.path("folder").mkdir()
        for name, says in (("nowhere/list", "create it first"), ("folder", "name a file")):
            self.refused("encrypt", *self.options, *self.here, "--to", "out", "--failures", name, says=says)
            self.assert_no_leftovers()

    def test_what_to_do_next_loses_nothing(self):
        """--only over the input would copy what is sealed in the output as it stands in the input."""
        done = self.keyturn("encrypt", *self.options, *self.here, "--to", "out", exit=1)
        self.assertIn("encrypt --from out, with another --to", done.text)
        self.assertNotIn("--only", done.text)
        mended = list(b.split(self.path("out").read_bytes()))
        mended[5], mended[6], mended[7] = self.person(5), self.person(6), self.person(7)
        self.path("out").write_bytes(b"".join(mended))
        done = self.keyturn("encrypt", *self.options, "--ns-include", NS, "--from", "out", "--to", "out2")
        self.assertEqual((6, 16), (done.ns["values"], done.ns["already"]))

    def test_max_failures_stops_with_3(self):
        done = self.keyturn("encrypt", *self.options, *self.here, "--to", "out", "--max-failures", 2, exit=3)
        self.assertIn("--max-failures 2", done.text)
        self.assertFalse(self.path("out").exists())
        self.keyturn("encrypt", *self.options, *self.here, "--to", "out2", "--max-failures", 3, exit=1)
        done = self.keyturn("encrypt", *self.options, *self.here, "--to", "out", "--max-failures", 2, exit=1)
        self.assertEqual(3, done.ns["failed"])
        self.assertEqual(3, len(self.listed()))
        self.assert_no_leftovers()

    def test_max_failures_counts_those_of_this_run(self):
        """Each run goes on behind the failures of those before, so that the same command comes to the end."""
        null = (b.NULL, b"")
        documents = [self.person(i, name=null if i % 2 else None, tail="t" * 250_000) for i in range(50)]
        self.path("long.bson").write_bytes(b"".join(documents))
        job = ["encrypt", *self.options, "--ns-include", NS, "--from", "long.bson", "--to", "out", "--threads", "1"]
        reached = []
        while not self.path("out").exists():
            done = subprocess.run([PROGRAM, *job, "--max-failures", "1", "--report", "r.json"], cwd=self.folder,
                                  capture_output=True, timeout=120)
            counts = json.loads(self.path("r.json").read_text())["namespaces"][NS]
            reached.append(counts["documents"])
            self.assertIn(done.returncode, (1, 3), done.stderr)
            self.assertEqual(sorted(set(reached)), reached)
        self.assertGreater(len(reached), 2)
        self.assertEqual((50, 25, 1), (counts["documents"], counts["failed"], done.returncode))
        self.assertEqual(25, len(self.listed()))

    def test_verify_finds_plaintext(self):
        self.keyturn("encrypt", *self.options, *self.here, "--to", "out", exit=1)
        done = self.keyturn("verify", *self.options, "--ns-include", NS, "--from", "out", exit=5)
        paths = done.ns["paths"]
        self.assertEqual((8, 3), (paths["name"]["authentic"], paths["name"]["plaintext"]))
        self.assertEqual((8, 3), (paths["contact.email"]["authentic"], paths["contact.email"]["plaintext"]))
        self.assertEqual(
            {"authentic", "plaintext", "wrongKey", "wrongAlgorithm", "wrongType", "unauthentic", "noKey"},
            set(paths["name"]),
        )
        self.keyturn("verify", *self.options, "--ns-include", NS, "--from", "out", "--failures", "found", exit=5)
        self.assertEqual(6, len(self.listed("found")))

    def test_verify_tells_keys_algorithms_and_missing_keys_apart(self):
        vault = self.vault
        vault.add("third")
        rules = {"name": (2, "third"), "email": (2, "email")}
        sealed = {}
        for field, (algorithm, key) in rules.items():
            aad = bytes([algorithm]) + vault.ids[key] + bytes([b.STRING])
            sealed[field] = (b.BINARY, b.binary(aad + seal(vault.deks[key], b.string("x"), aad), 6))
        self.path("odd.bson").write_bytes(self.person(0, **sealed))
        done = self.keyturn("verify", *self.options, "--ns-include", NS, "--from", "odd.bson", exit=5)
        self.assertEqual(1, done.ns["paths"]["name"]["wrongKey"])
        self.assertEqual(1, done.ns["paths"]["contact.email"]["wrongAlgorithm"])
        done = self.keyturn("encrypt", *self.options, "--ns-include", NS, "--from", "odd.bson", "--to", "out", exit=1)
        self.assertEqual((0, 1), (done.ns["values"], done.ns["failed"]))
        done = self.keyturn("decrypt", *self.keys, "--ns-include", NS, "--from", "odd.bson", "--to", "back", exit=1)
        self.assertIn("failed", done.text + done.out.decode())

    def test_documents_name_their_keys(self):
        """keyId as a JSON pointer: one key a tenant; a document whose name leads nowhere fails alone."""
        rule = {"encrypt": {"keyId": "/tenant/key", "algorithm": "AEAD_AES_256_CBC_HMAC_SHA_512-Random"}}
        options = self.keys + write_schema(self.path("pointer.json"), {NS: schema({"secret": rule})})
        names = ["name", "email", "name", "nobody", None]
        docs = [
            b.document(
                ("_id", b.INT, b.int32(i)),
                ("secret", b.STRING, b.string("s" * i)),
                (
                    "tenant",
                    b.OBJECT,
                    b.document(("key", b.STRING, b.string(name)) if name else ("key", b.INT, b.int32(1))),
                ),
            )
            for i, name in enumerate(names)
        ]
        self.path("in.bson").write_bytes(b"".join(docs))
        done = self.keyturn("encrypt", *options, "--ns-include", NS, "--from", "in.bson", "--to", "out", exit=1)
        self.assertEqual((3, 2), (done.ns["values"], done.ns["failed"]))
        out = b.split(self.path("out").read_bytes())
        for i, name in enumerate(names[:3]):
            payload = b.payload(*b.fields(out[i])["secret"])
            self.assertEqual(self.vault.ids[name], payload[1:17])
            self.assertEqual((b.STRING, b.string("s" * i)), self.vault.open_value(payload))
        self.assertEqual(docs[3:], out[3:])
        reasons = [line["reason"] for line in self.listed()]
        self.assertIn("nobody", reasons[0])
        self.assertIn("/tenant/key", reasons[1])
        self.keyturn("decrypt", *options, "--ns-include", NS, "--from", "out", "--to", "back")
        self.assertEqual(b"".join(docs), self.path("back").read_bytes())

    def test_a_report_after_a_refusal_says_why(self):
        done = self.refused("encrypt", *self.options, "--from", "missing.bson", "--to", "out", says="missing.bson")
        self.assertEqual(("encrypt", 2), (done.report["job"], done.report["exit"]))
        self.assertIn("missing.bson", done.report["error"])

    def test_a_report_never_replaces_a_file_of_another_kind(self):
        before = self.path("people.bson").read_bytes()
        self.keyturn("encrypt", *self.options, *self.here, "--to", "out", "--report", "people.bson", exit=2)
        self.assertEqual(before, self.path("people.bson").read_bytes())

    def test_json_logs(self):
        done = self.keyturn(
            "encrypt", *self.options, *self.here, "--to", "out", "--log-format", "json", "--verbose", exit=1
        )
        lines = [json.loads(line) for line in done.text.splitlines()]
        self.assertGreater(len(lines), 3)
        self.assertTrue(all("level" in line for line in lines))

    def test_quiet(self):
        done = self.keyturn(
            "encrypt", *self.options, *self.here, "--to", "out", "--on-unencryptable", "leave", "--quiet"
        )
        self.assertEqual("", done.text)

    def test_configuration_file(self):
        """Names relative to the file's folder, the command line wins, unknown names are errors."""
        self.path("conf").mkdir()
        config = {
            "keyVault": "../keyvault.bson",
            "schemaMap": self.schema,
            "kmsProviders": self.vault.providers(),
            "nsInclude": NS,
            "onUnencryptable": "fail",
            "threads": 1,
            "from": "../people.bson",
        }
        path = self.path("conf/keyturn.json")
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        done = self.keyturn("encrypt", "--config", path, "--to", "out", "--on-unencryptable", "leave")
        self.assertEqual((18, 1), (done.ns["values"], done.report["threads"]))
        path.write_text(json.dumps({**config, "keyVolt": 1}))
        self.refused("encrypt", "--config", path, "--to", "out2", says=("keyVolt", "keyVault"))
        path.chmod(0o644)
        path.write_text(json.dumps(config))
        done = self.keyturn("encrypt", "--config", path, "--to", "out3", exit=1)
        self.assertIn("chmod 600", done.text)

    def test_secrets_from_the_environment_only(self):
        providers = json.dumps({"kmsProviders": self.vault.providers()})
        options = ["--key-vault", "keyvault.bson", "--schema-map", "schema.json", *self.here, "--to", "out"]
        done = self.refused("encrypt", *options, "--kms-providers", providers, says="command line")
        self.assertNotIn(self.vault.providers()["local:old"]["key"], done.text)
        self.keyturn("encrypt", *options, "--kms-providers", "env:KT_TEST", env={"KT_TEST": providers}, exit=1)

    def test_commands(self):
        self.assertIn("encrypt", self.keyturn("--help").out.decode())
        self.assertRegex(self.keyturn("--version").out.decode(), r"keyturn \d+\.\d+\.\d+\n.*OpenSSL")
        for command in ("encrypt", "decrypt", "verify", "rewrap", "sample"):
            self.assertIn("--", self.keyturn(command, "--help", "--report", "none").out.decode())
        wrong = (
            [],
            ["reencrypt"],
            ["encrypt", "--form", "x"],
            ["verify", "--to", "x"],
            ["encrypt", "--threads", "x"],
            ["encrypt", "--on-unencryptable", "perhaps"],
            ["sample"],
            ["encrypt", "stray"],
            ["encrypt"],
        )
        for args in wrong:
            with self.subTest(args):
                done = subprocess.run([PROGRAM, *args], capture_output=True, cwd=self.folder)
                self.assertEqual((2, b""), (done.returncode, done.stdout))
                self.assertIn(b"keyturn", done.stderr)


if __name__ == "__main__":
    unittest.main()
