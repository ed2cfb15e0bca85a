# SPDX-License-Identifier: Apache-2.0
"""The program from outside: commands, options, configuration, help and man page."""
import json
import os
import re
import unittest

from run_keyturn import SOURCE, ProgramTest

COMMANDS = ["rewrap", "encrypt", "decrypt", "verify", "status", "keys", "bench", "sample"]


class Commands(ProgramTest):
    def test_nothing_at_all_prints_the_usage(self):
        process = self.keyturn()
        self.assertEqual(process.returncode, 2)
        self.assertIn("usage: keyturn COMMAND", process.stderr)

    def test_version_names_the_libraries(self):
        process = self.keyturn("--version")
        self.assertEqual(process.returncode, 0)
        self.assertRegex(process.stdout, r"^keyturn \d+\.\d+\.\d+\n")
        for library in ["libbson", "libmongoc", "libcurl", "OpenSSL", "zlib", "zstd", "pcre2"]:
            self.assertRegex(process.stdout, library + r" \d+\.\d+")
        self.assertIn("scalar", process.stdout)

    def test_unknown_commands(self):
        self.assert_refused(self.keyturn("verfy"), "unknown command", "did you mean keyturn verify?")
        self.assert_refused(self.keyturn("zzzzzzz"), "unknown command", "keyturn --help")
        self.assert_refused(self.keyturn("--from", "x", "encrypt"), "the command comes first")
        self.assert_refused(self.keyturn(""), "unknown command")

    def test_commands_that_are_not_there_are_unknown(self):
        for name in ["reencrypt", "value"]:
            self.assert_refused(self.keyturn(name), "unknown command")

    def test_a_full_stdout_is_told(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            process = self.keyturn("--help", stdout=full)
        self.assertEqual(process.returncode, 4)
        self.assertIn("No space left", process.stderr)

    def test_control_characters_do_not_reach_the_terminal(self):
        process = self.keyturn("encrypt", "\x1b[2Jx")
        self.assertEqual(process.returncode, 2)
        self.assertNotIn("\x1b", process.stderr)
        self.assertIn("\\x1b[2Jx", process.stderr)


class HelpAndManPage(ProgramTest):
    maxDiff = None

    @staticmethod
    def man_page():
        with open(os.path.join(SOURCE, "docs", "keyturn.1"), encoding="utf-8") as page:
            return page.read().replace("\\-", "-")

    def options_of(self, command):
        process = self.keyturn(command, "--help")
        self.assertEqual(process.returncode, 0)
        return dict(re.findall(r"^  --([a-z-]+)(?: ([A-Z|@a-z/]+))?(?:  |$)", process.stdout, re.MULTILINE))

    def test_help_and_man_page_agree_on_options_and_arguments(self):
        helped = {}
        for command in COMMANDS:
            helped.update(self.options_of(command))
        page = self.man_page().split(".SH OPTIONS")[1].split(".SH ")[0]
        manned = {name: argument.strip(' "') for name, argument in
                  re.findall(r"^\.TP\n\.BI? --([a-z-]+)(.*)$", page, re.MULTILINE)}
        self.assertEqual(helped, manned)

    def test_help_and_man_page_agree_on_commands(self):
        process = self.keyturn("--help")
        self.assertEqual(process.returncode, 0)
        self.assertEqual(re.findall(r"^  ([a-z]+) {2,}\S", process.stdout, re.MULTILINE), COMMANDS)
        page = self.man_page().split(".SH COMMANDS")[1].split(".SH ")[0]
        self.assertEqual(re.findall(r"^\.B ([a-z]+)$", page, re.MULTILINE), COMMANDS)

    def test_man_page_says_every_exit_status(self):
        page = self.man_page().split(".SH EXIT STATUS")[1].split(".SH ")[0]
        self.assertEqual(re.findall(r"^\.B (\d)$", page, re.MULTILINE), list("012345"))

    def test_an_option_is_helped_where_it_is_taken(self):
        self.assertIn("master-key", self.options_of("rewrap"))
        self.assertNotIn("master-key", self.options_of("encrypt"))
        self.assertNotIn("to", self.options_of("verify"))

    def test_help_fits_a_screen(self):
        for command in COMMANDS:
            for line in self.keyturn(command, "--help").stdout.splitlines():
                if not line.startswith("usage:"):
                    self.assertLessEqual(len(line), 100, line)


class Configuration(ProgramTest):
    def test_the_command_line_wins(self):
        self.sample()
        self.write("demo/keyturn.json", json.dumps({"keyVault": "nowhere.bson", "kmsProviders": "kms.json",
                                                    "schemaMap": "schema.json"}))
        args = ["verify", "--config", "demo/keyturn.json", "--from", "demo/dump"]
        self.assert_refused(self.keyturn(*args), "demo/nowhere.bson")
        process = self.keyturn(*args, "--key-vault", "demo/keyvault.bson")
        self.assertEqual(process.returncode, 5, process.stderr)

    def test_unknown_keys(self):
        self.write("c.json", '{"keyvault": "x"}')
        self.assert_refused(self.keyturn("encrypt", "--config", "c.json"), 'c.json: unknown key "keyvault"',
                            'did you mean "keyVault"?')

    def test_broken_files(self):
        for text in ["", "[]", "{", '{"from": 1}', "\0", "null", "{" * 5000]:
            self.write("c.json", text)
            self.assert_refused(self.keyturn("encrypt", "--config", "c.json"), "c.json")

    def test_random_bytes(self):
        for length in [1, 10, 1000, 70000]:
            with open(self.path("c.json"), "wb") as out:
                out.write(os.urandom(length))
            self.assert_refused(self.keyturn("encrypt", "--config", "c.json"), "c.json")


class Secrets(ProgramTest):
    def test_a_provider_file_that_others_can_read(self):
        self.sample()
        args = ["verify", "--config", "demo/keyturn.json", "--from", "demo/dump"]
        self.assertNotIn("chmod", self.keyturn(*args).stderr)
        os.chmod(self.path("demo/kms.json"), 0o644)
        self.assertIn("demo/kms.json holds secrets and others can read it (mode 0644); chmod 600 demo/kms.json",
                      self.keyturn(*args).stderr)
        self.assertNotIn("chmod", self.keyturn(*args, "--quiet").stderr)

    def test_a_configuration_file_with_providers_inside_counts_too(self):
        self.sample()
        kms = json.loads(self.read("demo/kms.json"))
        config = {"keyVault": "keyvault.bson", "schemaMap": "schema.json", "kmsProviders": kms["kmsProviders"]}
        self.write("demo/inside.json", json.dumps(config), 0o604)
        process = self.keyturn("verify", "--config", "demo/inside.json", "--from", "demo/dump")
        self.assertIn("demo/inside.json holds secrets", process.stderr)
        self.assertEqual(process.returncode, 5, process.stderr)

    def test_providers_from_the_environment(self):
        self.sample()
        args = ["verify", "--config", "demo/keyturn.json", "--from", "demo/dump", "--kms-providers", "env:MY_KMS"]
        self.assert_refused(self.keyturn(*args), "MY_KMS")
        process = self.keyturn(*args, env={"MY_KMS": self.read("demo/kms.json").decode()})
        self.assertEqual(process.returncode, 5, process.stderr)

    def test_secrets_on_the_command_line_are_refused_and_not_repeated(self):
        process = self.keyturn("verify", "--kms-providers", '{"local": {"key": "hunter2"}}')
        self.assert_refused(process, "--kms-providers")
        self.assertNotIn("hunter2", process.stderr)
        for server in ("mongodb://u:hunter2@h/", "mongodb://h/?tls=true&TLSCertificateKeyFilePassword=hunter2",
                       "mongodb://h/?tlsCertificateKeyFile%50assword%3Dhunter2",
                       "mongodb://h/?authMechanism=MONGODB-AWS&authMechanismProperties=aws_session_token%3ahunter2"):
            process = self.keyturn("verify", "--from", server, "--key-vault", "k", "--kms-providers", "f",
                                   "--schema-map", "s")
            self.assert_refused(process, "--from: a password or token")
            self.assertNotIn("hunter2", process.stderr)


class Environment(ProgramTest):
    def test_an_unknown_backend_is_refused(self):
        self.sample()
        args = ["verify", "--config", "demo/keyturn.json", "--from", "demo/dump"]
        self.assert_refused(self.keyturn(*args, env={"KEYTURN_BACKEND": "abacus"}), "abacus")
        self.assert_refused(self.keyturn(*args, env={"KEYTURN_CPU_DISABLE": "abacus"}), "abacus")
        self.assert_refused(self.keyturn(*args, "--backend", "abacus"), "abacus")
        self.assertEqual(self.keyturn(*args, "--backend", "scalar", env={"KEYTURN_BACKEND": "abacus"}).returncode, 5)


class LogFormat(ProgramTest):
    def test_json_lines(self):
        process = self.keyturn("verify", "--log-format", "json", "--from", "a", "--key-vault", "b",
                               "--kms-providers", "no\"where", "--schema-map", "c")
        self.assertEqual(process.returncode, 2)
        lines = [json.loads(line) for line in process.stderr.splitlines()]
        self.assertEqual(lines[-1]["level"], "error")
        self.assertEqual(lines[-1]["exit"], 2)
        self.assertIn('no"where', lines[-1]["message"])
        self.assertRegex(lines[-1]["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


if __name__ == "__main__":
    unittest.main()
