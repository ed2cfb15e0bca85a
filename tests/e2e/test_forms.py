# SPDX-License-Identifier: Apache-2.0
"""A real dump encrypted and decrypted again in every form that a store can have: byte for byte the input."""

import gzip
import json
import shutil
import subprocess
import unittest

import archives
import rawbson
from rig import PROGRAM, SHARED, TIMEOUT, Case, needs_shared
from vault import Vault, schema, write_schema

DUMP = SHARED / "sample-dump"
NS = "sample_analytics.customers"
RANDOM = ("name", "address", "birthdate", "accounts")
DETERMINISTIC = {"email": "string", "username": "string"}


@needs_shared("sample-dump")
class Customers(Case):
    def setUp(self):
        super().setUp()
        self.vault = Vault([*RANDOM, *DETERMINISTIC])
        self.keys = self.vault.write(self.folder)
        properties = {name: self.vault.rule(name) for name in RANDOM}
        properties |= {name: self.vault.rule(name, True, kind) for name, kind in DETERMINISTIC.items()}
        self.options = self.keys + write_schema(self.path("schema.json"), {NS: schema(properties)})
        self.plain = (DUMP / "sample_analytics/customers.bson").read_bytes()
        self.accounts = (DUMP / "sample_analytics/accounts.bson").read_bytes()

    def check_sealed(self, sealed):
        """Every document: the six fields are payloads that Python opens to the old values, all else is unchanged."""
        before, after = rawbson.split(self.plain), rawbson.split(sealed)
        self.assertEqual(len(before), len(after))
        for old, new in zip(before, after):
            old, new = list(rawbson.elements(old)), list(rawbson.elements(new))
            self.assertEqual([name for name, _, _ in old], [name for name, _, _ in new])
            for (name, kind, value), (_, new_kind, new_value) in zip(old, new):
                if name not in RANDOM and name not in DETERMINISTIC:
                    self.assertEqual((kind, value), (new_kind, new_value))
                    continue
                payload = rawbson.payload(new_kind, new_value)
                self.assertEqual(1 if name in DETERMINISTIC else 2, payload[0])
                self.assertEqual(self.vault.ids[name], payload[1:17])
                self.assertEqual((kind, value), self.vault.open_value(payload))

    def there_and_back(self, plain, sealed, back, *more):
        """Files or folders; the report's figures are checked on the way."""
        done = self.keyturn("encrypt", *self.options, *more, "--from", plain, "--to", sealed)
        self.assertEqual(
            (500, 500, 3000, 0, 0),
            tuple(done.report["namespaces"][NS][k] for k in ("documents", "changed", "values", "already", "failed")),
        )
        self.keyturn("verify", *self.options, *more, "--from", sealed)
        done = self.keyturn("decrypt", *self.options, *more, "--from", sealed, "--to", back)
        self.assertEqual(3000, done.report["namespaces"][NS]["values"])
        self.assert_no_leftovers()

    def test_a_lone_file_with_its_metadata(self):
        folder = self.path("sample_analytics")
        shutil.copytree(DUMP / "sample_analytics", folder)
        self.there_and_back(
            folder / "customers.bson", self.path("sealed.bson"), self.path("back.bson"), "--ns-include", NS
        )
        self.check_sealed(self.path("sealed.bson").read_bytes())
        self.assertEqual(self.plain, self.path("back.bson").read_bytes())

    def packed(self, suffix, pack, unpack):
        for folder, raw in (
            ("one", pack(self.plain)),
            ("two", pack(self.plain[:100_000]) + pack(self.plain[100_000:])),
        ):
            with self.subTest(folder):
                self.path(folder).mkdir()
                source = self.path(folder, "customers.bson" + suffix)
                source.write_bytes(raw)
                names = [self.path(folder, name + suffix) for name in ("sealed", "back")]
                self.there_and_back(source, *names, "--ns-include", NS)
                self.assertEqual(raw[:2], names[0].read_bytes()[:2])
                self.check_sealed(unpack(names[0].read_bytes()))
                self.assertEqual(self.plain, unpack(names[1].read_bytes()))

    def test_gzip_and_several_members(self):
        self.packed(".gz", gzip.compress, gzip.decompress)

    @unittest.skipUnless(shutil.which("zstd"), "machine: no zstd")
    def test_zstd_and_several_frames(self):
        def run(*args):
            return lambda raw: subprocess.run(
                ["zstd", "-q", *args], input=raw, capture_output=True, check=True
            ).stdout

        self.packed(".zst", run("-c"), run("-dc"))

    def test_a_folder(self):
        dump = self.path("dump")
        shutil.copytree(DUMP, dump)
        dump.joinpath("prelude.json").write_text('{"ServerVersion":"6.0.5"}')
        self.there_and_back(dump, self.path("sealed"), self.path("back"))
        self.check_sealed(self.path("sealed/sample_analytics/customers.bson").read_bytes())
        files = sorted(str(p.relative_to(dump)) for p in dump.rglob("*") if p.is_file())
        self.assertEqual(5, len(files))
        for name in files:
            self.assertEqual(dump.joinpath(name).read_bytes(), self.path("back", name).read_bytes(), name)
            if not name.endswith("customers.bson"):
                self.assertEqual(dump.joinpath(name).read_bytes(), self.path("sealed", name).read_bytes(), name)

    def test_a_folder_of_gzip_files(self):
        dump = self.path("dump/sample_analytics")
        dump.mkdir(parents=True)
        for name in ("customers", "accounts"):
            for kind in (".bson", ".metadata.json"):
                raw = DUMP.joinpath("sample_analytics", name + kind).read_bytes()
                dump.joinpath(name + kind + ".gz").write_bytes(gzip.compress(raw))
        self.there_and_back(self.path("dump"), self.path("sealed"), self.path("back"))
        for name, raw in (("customers", self.plain), ("accounts", self.accounts)):
            packed = self.path(f"back/sample_analytics/{name}.bson.gz").read_bytes()
            self.assertEqual(raw, gzip.decompress(packed))

    def test_a_pipe(self):
        sealed = self.keyturn("encrypt", *self.options, "--from", "-", "--to", "-", stdin=self.plain)
        self.check_sealed(sealed.out)
        self.assertEqual(500, sealed.ns["documents"])
        back = self.keyturn("decrypt", *self.options, "--from", "-", "--to", "-", stdin=sealed.out)
        self.assertEqual(self.plain, back.out)

    def archive(self):
        metadata = {
            f"sample_analytics.{name}": (
                raw,
                DUMP.joinpath(f"sample_analytics/{name}.metadata.json").read_text().strip(),
            )
            for name, raw in (("accounts", self.accounts), ("customers", self.plain))
        }
        return archives.write(metadata)

    def check_archive(self, raw, customers):
        before, after = archives.Archive(self.archive()), archives.Archive(raw)
        self.assertEqual(before.header, after.header)
        self.assertEqual(before.metadata, after.metadata)
        self.assertEqual(sorted(before.closed), sorted(after.closed))
        self.assertEqual(self.accounts, after.data["sample_analytics.accounts"])
        customers(after.data[NS])

    def test_an_archive_through_a_pipe(self):
        sealed = self.keyturn("encrypt", *self.options, "--from", "-", "--to", "-", stdin=self.archive())
        self.check_archive(sealed.out, self.check_sealed)
        back = self.keyturn("decrypt", *self.options, "--from", "-", "--to", "-", stdin=sealed.out)
        self.check_archive(back.out, lambda raw: self.assertEqual(self.plain, raw))

    def test_a_gzipped_archive_through_a_pipeline(self):
        """mongodump --archive --gzip | keyturn encrypt | keyturn decrypt | mongorestore --archive --gzip"""

        def keyturn(command):
            return [PROGRAM, command, *self.options, "--from", "-", "--to", "-", "--quiet"]

        with open(self.path("in.gz"), "wb+") as source:
            source.write(gzip.compress(self.archive()))
            source.seek(0)
            encrypt = subprocess.Popen(keyturn("encrypt"), stdin=source, stdout=subprocess.PIPE)
            decrypt = subprocess.Popen(keyturn("decrypt"), stdin=encrypt.stdout, stdout=subprocess.PIPE)
            encrypt.stdout.close()
            out = decrypt.communicate(timeout=TIMEOUT)[0]
        self.assertEqual((0, 0), (encrypt.wait(TIMEOUT), decrypt.returncode))
        self.assertEqual(b"\x1f\x8b", out[:2])
        self.check_archive(gzip.decompress(out), lambda raw: self.assertEqual(self.plain, raw))

    def test_an_archive_file(self):
        self.path("in.archive").write_bytes(self.archive())
        self.there_and_back(self.path("in.archive"), self.path("sealed.archive"), self.path("back.archive"))
        self.check_archive(self.path("sealed.archive").read_bytes(), self.check_sealed)
        self.assertEqual(self.path("in.archive").read_bytes(), self.path("back.archive").read_bytes())

    def test_decrypt_without_a_schema_finds_every_value(self):
        self.path("in.bson").write_bytes(self.plain)
        self.keyturn("encrypt", *self.options, "--from", "in.bson", "--to", "sealed.bson", "--ns-include", NS)
        done = self.keyturn("decrypt", *self.keys, "--from", "sealed.bson", "--to", "back.bson")
        self.assertEqual(3000, done.ns["values"])
        self.assertEqual(self.plain, self.path("back.bson").read_bytes())

    def test_threads_make_no_difference(self):
        self.path("in.bson").write_bytes(self.plain * 20)
        for threads in (1, 5):
            self.keyturn(
                "encrypt",
                *self.options,
                "--from",
                "in.bson",
                "--to",
                f"sealed{threads}",
                "--ns-include",
                NS,
                "--threads",
                threads,
            )
            self.keyturn("decrypt", *self.keys, "--from", f"sealed{threads}", "--to", f"back{threads}")
            self.assertEqual(self.plain * 20, self.path(f"back{threads}").read_bytes())

    def test_encrypting_twice_changes_nothing(self):
        self.path("in.bson").write_bytes(self.plain)
        more = ["--ns-include", NS]
        self.keyturn("encrypt", *self.options, *more, "--from", "in.bson", "--to", "one.bson")
        done = self.keyturn("encrypt", *self.options, *more, "--from", "one.bson", "--to", "two.bson")
        self.assertEqual((0, 0, 3000), (done.ns["changed"], done.ns["values"], done.ns["already"]))
        self.assertEqual(self.path("one.bson").read_bytes(), self.path("two.bson").read_bytes())


@needs_shared("vectors", "bson-dumps")
class Dumps(Case):
    """Everything that no schema names is copied byte for byte."""

    def setUp(self):
        super().setUp()
        self.options = Vault(["any"]).write(self.folder) + write_schema(self.path("schema.json"), {})

    def test_published_dumps(self):
        seen = 0
        for source in sorted((SHARED / "vectors/bson-dumps").rglob("*.bson")):
            with self.subTest(source.name):
                raw = source.read_bytes()
                self.keyturn(
                    "encrypt", *self.options, "--from", source, "--to", f"copy{seen}", "--ns-include", "test.any"
                )
                self.assertEqual(raw, self.path(f"copy{seen}").read_bytes())
                seen += 1
        self.assertGreaterEqual(seen, 6)


@needs_shared("vectors", "archives")
class Archives(Case):
    def setUp(self):
        super().setUp()
        self.vault = Vault(["any"])
        self.keys = self.vault.write(self.folder)
        self.options = self.keys + write_schema(self.path("schema.json"), {})

    def archive(self, name):
        return SHARED / "vectors/archives" / f"{name}.archive"

    def test_published_archives_pass_through(self):
        for name in ("test.bar", "dump-w-oplog", "timeseries"):
            with self.subTest(name):
                self.keyturn("encrypt", *self.options, "--from", self.archive(name), "--to", name)
                before, after = (archives.Archive(p.read_bytes()) for p in (self.archive(name), self.path(name)))
                self.assertEqual((before.header, before.metadata), (after.header, after.metadata))
                self.assertEqual(before.data, after.data)
                self.assertEqual(sorted(before.closed), sorted(after.closed))

    def test_a_bad_one_is_refused(self):
        self.refused(
            "encrypt", *self.options, "--from", self.archive("bad-format"), "--to", "out", says="bad-format.archive"
        )

    def test_an_oplog_with_entries_of_the_schema_is_refused(self):
        namespaces = {}
        for ns in archives.Archive(self.archive("dump-w-oplog").read_bytes()).data:
            if ns.split(".")[1] != "oplog" and not ns.startswith("."):
                namespaces[ns] = schema({"x": self.vault.rule("any")})
        options = self.keys + write_schema(self.path("named.json"), namespaces)
        done = self.keyturn("encrypt", *options, "--from", self.archive("dump-w-oplog"), "--to", "out", exit=4)
        self.assertIn("oplog", done.text)
        self.assertFalse(self.path("out").exists())

    def test_a_time_series_that_the_schema_names_is_refused(self):
        for ns in ("timeseries_test.foo_ts", "timeseries_test.system.buckets.foo_ts"):
            with self.subTest(ns):
                options = self.keys + write_schema(
                    self.path("named.json"), {ns: schema({"x": self.vault.rule("any")})}
                )
                self.refused("encrypt", *options, "--from", self.archive("timeseries"), "--to", "out", says=ns)


if __name__ == "__main__":
    unittest.main()
