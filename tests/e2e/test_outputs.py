# SPDX-License-Identifier: Apache-2.0
"""What a job writes beside its output, reports and lists of failures, is never written over anything else; dry runs
refuse what the job would refuse."""

import json
import os
import unittest

import rawbson as b
from bad import NS, Bad, person

LIST = f"{NS}-failed.ndjson"
BEFORE = b"what was there before\n"


class Outputs(Bad):
    """Good documents and one that fails."""

    def setUp(self):
        super().setUp()
        self.raw = self.good + b.document(("_id", b.INT, b.int32(99)), ("name", b.NULL, b""))
        self.path("in.bson").write_bytes(self.raw)
        self.here = [*self.options, "--ns-include", NS, "--from", "in.bson"]
        self.files = ["keyvault.bson", "in.bson", "schema.json", "kms.json"]

    def contents(self):
        return {p.name: p.read_bytes() for p in self.folder.iterdir() if p.is_file() and p.name != "report.json"}

    def assert_refused_untouched(self, *args, says=(), command="encrypt", **more):
        before = self.contents()
        done = self.keyturn(command, *args, exit=2, **more)
        for word in (says,) if isinstance(says, str) else says:
            self.assertIn(word, done.text)
        self.assertEqual(before, self.contents())
        return done


class Lists(Outputs):
    def test_a_list_is_never_written_over_a_file_of_the_job(self):
        os.link(self.path("keyvault.bson"), self.path("hardlink"))
        self.path("only.ndjson").write_text(json.dumps({"ns": NS, "_id": 1}) + "\n")
        for name in [*self.files, "hardlink", "./in.bson", self.path("in.bson")]:
            with self.subTest(name):
                self.assert_refused_untouched(*self.here, "--to", "out", "--failures", name, says="--failures")
        for name in ("out", "out.part", "./out.part", "out.part.checkpoint", self.path("out")):
            with self.subTest(name):
                self.assert_refused_untouched(*self.here, "--to", "out", "--failures", name, says="--to out")
        self.assert_refused_untouched(
            *self.here, "--to", "out", "--only", "only.ndjson", "--failures", "only.ndjson", says="--only"
        )
        self.assert_refused_untouched(
            *self.here, "--to", "out", "--report", "r.json", "--failures", "r.json", says="--report"
        )
        self.assert_refused_untouched(*self.here, "--failures", "in.bson", command="verify", says="--from")

    def test_a_file_of_another_kind_is_no_list(self):
        self.path("notes").write_bytes(BEFORE)
        self.assert_refused_untouched(*self.here, "--to", "out", "--failures", "notes", says=("notes", "no list"))
        self.path(LIST).write_bytes(BEFORE)
        self.assert_refused_untouched(*self.here, "--to", "out", says=(LIST, "no list"))
        self.assert_refused_untouched(*self.here, "--dry-run", says=(LIST, "no list"))
        self.path(LIST).unlink()
        for _ in range(2):  # an empty file and an older list are written anew
            self.path("list").touch()
            self.keyturn("encrypt", *self.here, "--to", "out", "--failures", "list", exit=1)
            self.assertEqual(1, len(self.path("list").read_text().splitlines()))
            self.path("out").unlink()

    def test_a_list_inside_a_folder_of_the_job(self):
        self.path("dump/shop").mkdir(parents=True)
        self.path("dump/shop/people.bson").write_bytes(self.raw)
        for name in ("dump/list", "dump/shop/list", "out.part/list"):
            self.assert_refused_untouched(
                *self.options, "--from", "dump", "--to", "out", "--failures", name, says="--failures"
            )
        self.assert_refused_untouched(
            *self.options, "--from", "dump", "--to", "out", "--report", "dump/report.json", says="--report"
        )

    def test_a_list_of_an_earlier_run_is_told(self):
        self.keyturn("encrypt", *self.here, "--to", "out", exit=1)
        self.path("in.bson").write_bytes(self.good)
        done = self.keyturn("encrypt", *self.here, "--to", "out2")
        self.assertIn(f"{LIST} is of an earlier run", done.text)
        self.assertTrue(self.path(LIST).exists())
        self.assertNotIn("earlier run", self.keyturn("verify", *self.here, exit=5).text)

    def test_one_document_is_no_documents(self):
        done = self.keyturn("encrypt", *self.here, "--to", "out", "--max-failures", 0, exit=3)
        self.assertIn("1 document failed", done.text)

    def test_devices_and_pipes_take_a_list(self):
        self.keyturn("encrypt", *self.here, "--to", "out", "--failures", "/dev/null", exit=1)
        done = self.keyturn("encrypt", *self.here, "--to", "out2", "--failures", "/dev/full", exit=4)
        self.assertIn("No space left", done.text)
        os.mkfifo(self.path("fifo"))
        fd = os.open(self.path("fifo"), os.O_RDWR)
        self.addCleanup(os.close, fd)
        self.keyturn("encrypt", *self.here, "--to", "out3", "--failures", "fifo", exit=1)
        self.assertEqual(99, int(json.loads(os.read(fd, 10_000))["_id"]["$numberInt"]))


class Resumed(Outputs):
    """A job that stopped behind its first namespace, with one failure listed."""

    def setUp(self):
        super().setUp()
        self.path("dump/shop").mkdir(parents=True)
        for name in ("a", "b"):
            self.path(f"dump/shop/{name}.bson").write_bytes(self.raw)
        rules = json.loads(self.path("schema.json").read_text())[NS]
        self.path("two.json").write_text(json.dumps({"shop.a": rules, "shop.b": rules}))
        self.job = [*self.keys, "--schema-map", "two.json", "--from", "dump", "--to", "out", "--failures"]
        self.keyturn("encrypt", *self.job, "list", "--max-failures", 1, exit=3)
        self.assertTrue(self.path("out.part").exists())

    def test_the_share_is_of_what_is_written(self):
        self.path("dump/shop/c.bson").write_bytes(self.raw)
        done = self.keyturn("encrypt", *self.job[:-3], "--to", "out2", "--max-failures", 1, exit=3)
        self.assertIn("stopped at 102 documents (66%)", done.text)

    def test_the_same_command_goes_on(self):
        self.keyturn("encrypt", *self.job, "list", exit=1)
        self.assertEqual(2, len(self.path("list").read_text().splitlines()))

    def test_a_list_that_was_removed_or_cut(self):
        for change in (lambda: os.truncate(self.path("list"), 50), self.path("list").unlink):
            change()
            done = self.refused("encrypt", *self.job, "list", says=("list", "--forget"))
            self.assertNotIn("\0", self.path("list").read_text() if self.path("list").exists() else "")
            self.assertTrue(self.path("out.part").exists(), done.text)
        self.assertFalse(self.path("list").exists())
        self.keyturn("encrypt", *self.job, "list", "--forget", exit=1)
        self.assertEqual(2, len(self.path("list").read_text().splitlines()))

    def test_a_list_that_is_another_job_s_by_now(self):
        left = self.path("list").read_bytes()
        self.keyturn("encrypt", *self.here, "--to", "other", "--failures", "list", exit=1)
        for now in (self.path("list").read_bytes(), left.replace(b"99", b"98"), left[:-5] + b"more\n" + left):
            self.path("list").write_bytes(now)
            self.refused("encrypt", *self.job, "list", says=("list is not as", "--forget"))
            self.assertEqual(now, self.path("list").read_bytes())
        self.path("list").write_bytes(left)
        self.keyturn("encrypt", *self.job, "list", exit=1)
        self.assertEqual(2, len(self.path("list").read_text().splitlines()))

    def test_another_name_for_the_list(self):
        done = self.refused("encrypt", *self.job, "list2", says=("--failures list", "--forget"))
        self.assertFalse(self.path("list2").exists(), done.text)
        self.refused("encrypt", *self.job[:-1], says=("--failures list", "--forget"))


class Reports(Outputs):
    def test_a_report_is_never_written_over_the_output(self):
        for name in ("out", "./out", self.path("out"), "out.part"):
            with self.subTest(name):
                self.assert_refused_untouched(*self.here, "--to", "out", "--report", name, says="--to out")
        for name in self.files:
            self.assert_refused_untouched(*self.here, "--to", "out", "--report", name, says="--report")

    def test_an_earlier_report_is_replaced(self):
        self.path("r.json").write_text('{\n  "job": "verify"\n}\n')
        self.keyturn("encrypt", *self.here, "--to", "out", "--report", "r.json", exit=1)
        self.assertEqual("encrypt", json.loads(self.path("r.json").read_text())["job"])


class DryRuns(Outputs):
    """Each is refused with and without --dry-run, for the same reason, without a trace."""

    def both(self, *args, says):
        for more in ([], ["--dry-run"]):
            with self.subTest(args[-3:], more=more):
                self.assert_refused_untouched(*args, *more, says=says)

    def test_what_the_job_refuses_the_dry_run_refuses(self):
        self.path("dump/shop").mkdir(parents=True)
        self.path("dump/shop/people.bson").write_bytes(self.good)
        self.path("there").write_bytes(BEFORE)
        folder = [*self.options, "--from", "dump", "--to"]
        self.both(*self.here, "--to", "there", says="exists")
        self.both(*self.here, "--to", "nowhere/out", says="nowhere")
        self.both(*self.here, "--to", "out", "--failures", "nowhere/list", says="create it first")
        self.both(*folder, "/dev/full", says="folder")
        self.both(*folder, "-", says="folder")
        self.both(*folder, "dump/out", says="inside the input")
        self.both(*folder, "there", says="exists")

    def test_a_part_that_is_another_job_s(self):
        self.path("out.part").write_bytes(BEFORE)
        self.both(*self.here, "--to", "out", says="no checkpoint")
        self.path("out.part").unlink()
        self.keyturn("encrypt", *self.here, "--to", "out", "--max-failures", 0, exit=3)
        self.keyturn("encrypt", *self.here, "--to", "out", "--dry-run", exit=1)
        self.assertTrue(self.path("out.part").exists())
        self.assertFalse(self.path("out").exists())

    def test_a_dry_run_leaves_no_trace(self):
        before = sorted(os.listdir(self.folder))
        self.keyturn("encrypt", *self.here, "--to", "out", "--dry-run", exit=1)
        self.path("report.json").unlink()
        self.assertEqual(before, sorted(os.listdir(self.folder)))
        self.keyturn("rewrap", *self.keys, "--to", "keyvault.bson", "--dry-run", exit=2)


class ServerOptions(Outputs):
    def test_options_for_servers_are_refused_on_files(self):
        for option, value in (
            ("--partition", "0/2"),
            ("--accept", "name"),
            ("--checkpoint", "db"),
            ("--max-docs-per-second", 5),
        ):
            self.assert_refused_untouched(*self.here, "--to", "out", option, value, says=(option, "server"))
        rewrap = [*self.keys, "--to", "out", "--backup", "backup"]
        self.assert_refused_untouched(*rewrap, command="rewrap", says=("--backup", "server"))

    def test_a_configuration_for_servers_serves_files_too(self):
        self.path("c.json").write_text(json.dumps({"checkpoint": "db", "maxDocsPerSecond": 5, "backup": "b"}))
        self.keyturn("encrypt", "--config", "c.json", *self.here, "--to", "out", exit=1)


class Verify(Outputs):
    def test_verify_minds_lists_only_when_it_writes_one(self):
        self.path(LIST).write_bytes(BEFORE)
        self.keyturn("verify", *self.here, exit=5)
        self.assert_refused_untouched(*self.here, "--failures", LIST, command="verify", says="no list")


if __name__ == "__main__":
    unittest.main()
