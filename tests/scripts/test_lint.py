# SPDX-License-Identifier: Apache-2.0
"""Every lint finds what it is there to find: the rule passes on a small tree, and fails once that tree breaks it."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
GUARD = SPDX + "#ifndef KT_A_H\n#define KT_A_H\n%s\n#endif\n"

# rule: (file, content that breaks it)
BROKEN = {
    "format": ("common/a.c", SPDX + "int  kt_a( void ){ return 1 ; }\n"),
    "spdx": ("common/a.c", "int kt_a;\n"),
    "banned": ("tools/a.c", SPDX + "void kt_a(char *p)\n{\n    strcpy(p, p);\n}\n"),
    "process": ("io/a.c", SPDX + "void kt_a(void)\n{\n    abort();\n}\n"),
    "bare_errors": ("jobs/a.c", SPDX + "int kt_a(void)\n{\n    return -1;\n}\n"),
    "memcmp": ("engine/a.c", SPDX + "int kt_a(char *p)\n{\n    return memcmp(p, p, 16);\n}\n"),
    "unfinished": ("csfle/a.c", SPDX + "/* TO" + "DO: more */\n"),
    "paths": ("scripts/a.sh", "cd /ho" + "me/somebody/keyturn\n"),
    "length": ("common/a.c", SPDX + "\n" * 600),
    "headers": ("common/a.h", GUARD % "size_t kt_a(void);"),
}
INCLUDES = [
    ("engine/a.c", "#include <bson/bson.h>\n", "may not use bson"),
    ("engine/a.c", '#include "csfle/walk.h"\n', "may not include"),
    ("engine/cpu/a.c", "#include <openssl/evp.h>\n", "may not use crypto"),
    ("engine/cpu/a.c", '#include "common/log.h"\n', "may not include"),
    ("csfle/a.c", "#include <mongoc/mongoc.h>\n", "may not use mongoc"),
    ("io/a.c", '#include "jobs/job.h"\n', "may not include"),
    ("common/a.c", '#include "a.h"\n', "name the folder"),
]
# An object file that breaks the rule, and what is said about it.
SYMBOLS = [
    ("common", "int helper(void) { return 1; }", "lacks the prefix kt_"),
    ("engine", "int bson_init(void *); int kt_a(void) { return bson_init(0); }", "of bson"),
    ("engine/cpu", "int RAND_bytes(void *, int); int kt_a(void) { return RAND_bytes(0, 0); }", "of crypto"),
    ("csfle", "void *EVP_sha512(void); void *kt_a(void) { return EVP_sha512(); }", "of crypto"),
    ("csfle", "int kt_of_common(void); int kt_a(void) { return kt_of_common(); }", None),
    ("common", "int kt_of_csfle(void); int kt_a(void) { return kt_of_csfle(); }", "may not use kt_of_csfle of csfle"),
]


class Lints(unittest.TestCase):
    def setUp(self):
        self.tree = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for folder in ("common", "engine/cpu", "csfle", "keys", "io", "jobs", "tools", "tests", "include/keyturn", ".ci"):
            (self.tree / folder).mkdir(parents=True)
        shutil.copytree(ROOT / "scripts", self.tree / "scripts")
        shutil.copy(ROOT / ".clang-format", self.tree)
        for name in ("try", "check", ".ci/run"):
            shutil.copy(ROOT / name, self.tree / name)
        shutil.copy(ROOT / "include/keyturn/status.h", self.tree / "include/keyturn")
        subprocess.run(["git", "init", "-q"], cwd=self.tree, check=True)

    def write(self, name, content):
        path = self.tree / name
        path.write_text(content, encoding="utf-8")
        return path

    def lint(self, rule, *build):
        environment = {name: value for name, value in os.environ.items() if name != "KEYTURN_TALLY"}
        return subprocess.run(["scripts/lint.sh", "--only", rule, *build], cwd=self.tree, text=True,
                              capture_output=True, env=environment)

    def test_rules_on_text(self):
        for rule, (name, content) in BROKEN.items():
            with self.subTest(rule):
                clean = self.lint(rule)
                if clean.stdout.startswith("skip"):
                    continue
                self.assertEqual((0, f"ok   {rule}\n"), (clean.returncode, clean.stdout), clean.stderr)
                path = self.write(name, content)
                broken = self.lint(rule)
                self.assertEqual(1, broken.returncode)
                self.assertIn(name, broken.stdout)
                path.unlink()

    def test_a_public_comparison_and_a_comment_are_legal(self):
        self.write("engine/a.c", SPDX + "/* abort() is not for us,\n * nor is strcpy(). */\n"
                   "int kt_a(char *p)\n{\n    return memcmp(p, p, 16); /* public: an id */\n}\n")
        for rule in ("banned", "process", "memcmp"):
            self.assertEqual(0, self.lint(rule).returncode, rule)

    def test_includes(self):
        for name, content, complaint in INCLUDES:
            with self.subTest(name=name, content=content):
                path = self.write(name, SPDX + content)
                result = self.lint("includes")
                self.assertEqual(1, result.returncode)
                self.assertIn(f"{name}:2", result.stdout)
                self.assertIn(complaint, result.stdout)
                path.unlink()
        self.write("engine/a.c", SPDX + '#include "common/log.h"\n#include "engine/cpu/features.h"\n#include <openssl/rand.h>\n')
        self.assertEqual(0, self.lint("includes").returncode)

    def compile(self, source, output):
        output.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-x", "c", "-", "-c", "-o", output], input=source, text=True, check=True)

    def library(self, public):
        source = "".join(f"int {name}(void) {{ return 1; }}\n" for name in public)
        subprocess.run(["cc", "-x", "c", "-", "-shared", "-o", self.tree / "build/libkeyturn.so"], input=source,
                       text=True, check=True)

    def test_symbols(self):
        self.write("include/keyturn/status.h", "KT_API int kt_public(void);\n")
        objects = self.tree / "build"
        for folder in ("common", "csfle"):
            self.compile(f"int kt_of_{folder}(void) {{ return 1; }}", objects / folder / "CMakeFiles/kt_x.dir/x.c.o")
        self.library(["kt_public"])
        self.assertEqual(0, self.lint("symbols", "build").returncode)
        for folder, source, complaint in SYMBOLS:
            with self.subTest(folder=folder, source=source):
                path = objects / folder / "CMakeFiles/kt_y.dir/y.c.o"
                self.compile(source, path)
                result = self.lint("symbols", "build")
                self.assertEqual(1 if complaint else 0, result.returncode, result.stdout)
                self.assertIn(complaint or "", result.stdout)
                path.unlink()

    def test_exports(self):
        self.write("include/keyturn/status.h", "KT_API int kt_public(void);\n")
        self.compile("int kt_x(void) { return 1; }", self.tree / "build/common/CMakeFiles/kt_x.dir/x.c.o")
        for exports, complaint in ((["kt_public", "kt_more"], "exports kt_more"), ([], "lacks kt_public")):
            self.library(exports)
            self.assertIn(complaint, self.lint("symbols", "build").stdout)

    def test_a_missing_build_is_a_failure(self):
        self.assertEqual(1, self.lint("symbols", "nowhere").returncode)


if __name__ == "__main__":
    unittest.main()
