# SPDX-License-Identifier: Apache-2.0
"""Runs the real program in a folder of its own."""
import os
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.path.join(os.environ.get("KEYTURN_BUILD", "build/release"), "tools", "keyturn")
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class ProgramTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="keyturn-tools-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def read(self, *names):
        with open(self.path(*names), "rb") as file:
            return file.read()

    def keyturn(self, *args, env=None, **kwargs):
        """The finished process; its stdout and stderr as text."""
        kwargs.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([PROGRAM, *args], cwd=self.folder, stderr=subprocess.PIPE, text=True, timeout=120,
                              env={**os.environ, **(env or {})}, check=False, **kwargs)

    def assert_refused(self, process, *words):
        self.assertEqual(process.returncode, 2, process.stderr)
        self.assertIn("Nothing was touched. (exit 2)", process.stderr)
        for word in words:
            self.assertIn(word, process.stderr)
        self.assertEqual(process.stdout, "")

    def sample(self, *args):
        process = self.keyturn("sample", "--to", "demo", "--documents", "200", "--keys", "10", *args)
        self.assertEqual(process.returncode, 0, process.stderr)
        return process
