# SPDX-License-Identifier: Apache-2.0
"""Lists of failures that cannot be written."""

import os
import pathlib
import shutil
import tempfile
import unittest

from test_outputs import LIST, Outputs
from vault import schema, write_schema


class Unwritable(Outputs):
    """What the first failure would end midway is refused before the start, whether or not anything will fail."""

    def setUp(self):
        super().setUp()
        self.elsewhere = pathlib.Path(tempfile.mkdtemp(prefix="keyturn-e2e-"))
        self.addCleanup(shutil.rmtree, self.elsewhere, ignore_errors=True)

    def test_a_working_folder_without_rights(self):
        self.folder.chmod(0o555)
        self.addCleanup(self.folder.chmod, 0o755)
        self.elsewhere.chmod(0o777)
        for name in self.files:
            self.path(name).chmod(0o644)
        there = [*self.here, "--report", "/dev/null", "--to", self.elsewhere / "out"]
        somebody = {"user": 65534} if os.geteuid() == 0 else {}
        try:
            for more in ([], ["--dry-run"]):
                self.assert_refused_untouched(*there, *more, says=(LIST, str(self.folder), "--failures"), **somebody)
        except PermissionError:
            self.skipTest("machine: the build folder is not open to other users")
        self.assertEqual([], list(self.elsewhere.iterdir()))
        self.keyturn("encrypt", *there, "--failures", self.elsewhere / "list", exit=1, **somebody)
        self.keyturn("verify", *self.here, "--report", "/dev/null", exit=5, **somebody)
        there[-1] = self.elsewhere / "out2"
        self.keyturn("encrypt", *there, "--failures", "/dev/null", exit=1, **somebody)

    def test_a_namespace_that_is_too_long_for_a_file(self):
        ns = "shop." + "c" * 240
        rules = write_schema(self.path("long.json"), {ns: schema({"name": self.vault.rule("name")})})
        here = [*self.keys, *rules, "--ns-include", ns, "--from", "in.bson", "--to", "out"]
        self.assert_refused_untouched(*here, says=("too long", "--failures"))
        self.keyturn("encrypt", *here, "--failures", "list", exit=1)

    def test_names_that_no_file_can_have(self):
        for name, says in (("in.bson/list", "--from"), ("list/", "name a file"), ("n" * 256, "too long")):
            for option in ("--failures", "--report"):
                self.assert_refused_untouched(*self.here, "--to", "out", option, name, says=option)
            self.assert_refused_untouched(*self.here, "--to", "out", "--failures", name, says=says)


if __name__ == "__main__":
    unittest.main()
