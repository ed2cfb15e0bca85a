# SPDX-License-Identifier: Apache-2.0
"""keyturn sample: what it writes, and that it follows from the seed."""
import base64
import hashlib
import json
import os
import stat
import struct
import unittest

from run_keyturn import ProgramTest

DOCUMENTS = "dump/shop/customers.bson"


def lengths(data):
    """Lengths of the BSON documents that stand back to back."""
    at = 0
    while at < len(data):
        (nbytes,) = struct.unpack_from("<i", data, at)
        yield nbytes
        at += nbytes


class Sample(ProgramTest):
    def make(self, name, *args):
        process = self.keyturn("sample", "--to", name, *args)
        self.assertEqual(process.returncode, 0, process.stderr)
        return process

    def test_the_screen(self):
        process = self.make("demo", "--documents", "1000", "--keys", "20")
        self.assertEqual(process.stderr, "")
        lines = process.stdout.splitlines()
        self.assertRegex(lines[0], r"^demo/dump/shop/customers.bson  1,000 documents, 1\.0 MB$")
        self.assertEqual(lines[1], "demo/keyvault.bson             20 DEKs under local:old")
        self.assertEqual(lines[2], "demo/schema.json               shop.customers: 4 fields random, 2 deterministic")
        self.assertEqual(lines[3], "demo/kms.json                  local:old, local:new")
        self.assertRegex(lines[4], r"^demo/keyturn.json {14}\S")

    def test_documents_follow_from_the_seed_and_keys_do_not(self):
        for name, seed in [("a", "7"), ("b", "7"), ("c", "8")]:
            self.make(name, "--documents", "500", "--keys", "10", "--seed", seed)
        self.assertEqual(self.read("a", DOCUMENTS), self.read("b", DOCUMENTS))
        self.assertNotEqual(self.read("a", DOCUMENTS), self.read("c", DOCUMENTS))
        metadata = "dump/shop/customers.metadata.json"
        self.assertEqual(self.read("a", metadata), self.read("b", metadata))
        for name in ["keyvault.bson", "kms.json", "schema.json"]:
            self.assertNotEqual(self.read("a", name), self.read("b", name))

    def test_the_documents_of_the_first_seed_stay_the_same(self):
        self.make("a", "--documents", "1000")
        self.assertEqual(hashlib.sha256(self.read("a", DOCUMENTS)).hexdigest(), FIRST_SEED_SHA256)

    def test_fewer_documents_are_the_beginning_of_more(self):
        self.make("a", "--documents", "100")
        self.make("b", "--documents", "300")
        self.assertTrue(self.read("b", DOCUMENTS).startswith(self.read("a", DOCUMENTS)))

    def test_documents_are_about_1_kb(self):
        self.make("a", "--documents", "2000")
        sizes = list(lengths(self.read("a", DOCUMENTS)))
        self.assertEqual(len(sizes), 2000)
        self.assertGreater(min(sizes), 800)
        self.assertLess(max(sizes), 1300)
        self.assertAlmostEqual(sum(sizes) / 2000, 1024, delta=20)

    def test_files_and_their_modes(self):
        self.make("a", "--documents", "10", "--keys", "3")
        self.assertEqual(stat.S_IMODE(os.stat(self.path("a/kms.json")).st_mode), 0o600)
        kms = json.loads(self.read("a/kms.json"))["kmsProviders"]
        self.assertEqual(sorted(kms), ["local:new", "local:old"])
        keys = [base64.b64decode(provider["key"]) for provider in kms.values()]
        self.assertEqual([len(key) for key in keys], [96, 96])
        self.assertNotEqual(keys[0], keys[1])
        self.assertEqual(len(list(lengths(self.read("a/keyvault.bson")))), 3)
        self.assertEqual(json.loads(self.read("a/dump/shop/customers.metadata.json"))["collectionName"], "customers")
        schema = json.loads(self.read("a/schema.json"))["shop.customers"]["properties"]
        self.assertEqual(sorted(schema), ["address", "birthdate", "email", "payment", "phone", "ssn"])

    def test_no_documents_and_one_key(self):
        self.make("a", "--documents", "0", "--keys", "1")
        self.assertEqual(self.read("a", DOCUMENTS), b"")
        ids = {json.dumps(field["encrypt"]["keyId"])
               for name, field in json.loads(self.read("a/schema.json"))["shop.customers"]["properties"].items()
               if name != "payment"}
        self.assertEqual(len(ids), 1)

    def test_what_exists_is_not_touched(self):
        os.mkdir(self.path("there"))
        self.write("file", "mine")
        os.symlink("nowhere", self.path("link"))
        for name in ["there", "file", "link", "there/"]:
            self.assert_refused(self.keyturn("sample", "--to", name), "exists")
        self.assertEqual(self.read("file"), b"mine")
        self.assertEqual(sorted(os.listdir(self.folder)), ["file", "link", "there"])

    def test_a_missing_parent_folder(self):
        self.assert_refused(self.keyturn("sample", "--to", "no/such/demo"), "No such file or directory")
        for name in ("-", "mongodb://user@host/db"):
            self.assert_refused(self.keyturn("sample", "--to", name), "name a new folder")

    def test_a_part_of_a_killed_run_is_replaced(self):
        os.makedirs(self.path("demo.part/dump"))
        self.write("demo.part/kms.json", "old", 0o666)
        self.make("demo", "--documents", "10")
        self.assertEqual(stat.S_IMODE(os.stat(self.path("demo/kms.json")).st_mode), 0o600)
        self.assertEqual(os.listdir(self.folder), ["demo"])

    def test_a_stranger_behind_the_part_is_not_followed(self):
        self.write("target", "mine")
        os.mkdir(self.path("demo.part"))
        os.symlink("../target", self.path("demo.part/keyvault.bson"))
        self.make("demo", "--documents", "10")
        self.assertEqual(self.read("target"), b"mine")

    def test_a_part_of_something_else_stays(self):
        for name in ("mine", "dump/mine", "dump/shop/mine.bson"):
            os.makedirs(os.path.dirname(self.path("demo.part", name)), exist_ok=True)
            self.write(os.path.join("demo.part", name), "mine")
            self.assert_refused(self.keyturn("sample", "--to", "demo"), "demo.part exists and is no sample")
            self.assertEqual(self.read("demo.part", name), b"mine")
            os.remove(self.path("demo.part", name))
        os.remove(self.write("demo.part/kms.json", "old"))
        self.write("demo.part.checkpoint", "")
        self.assert_refused(self.keyturn("sample", "--to", "demo"), "demo.part exists and is no sample")
        os.remove(self.path("demo.part.checkpoint"))
        os.rename(self.path("demo.part/dump"), self.path("elsewhere"))
        os.symlink("../elsewhere", self.path("demo.part/dump"))
        self.assert_refused(self.keyturn("sample", "--to", "demo"), "demo.part exists and is no sample")

    def test_an_open_trailing_slash(self):
        self.make("demo/", "--documents", "1")
        self.assertEqual(os.listdir(self.folder), ["demo"])


FIRST_SEED_SHA256 = "6a57de8f3d038ce19b3afbaf8a13f89e24d8138f4a35c4e7a0047806b457846f"

if __name__ == "__main__":
    unittest.main()
