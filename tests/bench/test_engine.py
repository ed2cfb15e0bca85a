# SPDX-License-Identifier: Apache-2.0
"""keyturn bench engine: what it says of the machine, that all outputs are verified, and the forms it reports in."""
import html.parser
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

PROGRAM = pathlib.Path(os.environ["KEYTURN_BUILD"]).absolute() / "tools" / "keyturn"
FEATURES = ["aes", "avx2", "bmi2", "avx512f", "avx512bw", "avx512dq", "avx512vl", "vaes"]
OPERATIONS = {"seal", "seal-random", "seal-deterministic", "open", "rewrap", "seal-new-keys"}
VOID = {"meta", "circle", "line", "polyline", "br"}


class Page(html.parser.HTMLParser):
    """Every tag that opens closes, in order; polylines are kept."""

    def __init__(self, text):
        super().__init__()
        self.open, self.lines, self.text, self.asks = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.asks += [value for name, value in attrs if name in ("src", "href")]
        if tag == "polyline":
            self.lines.append([tuple(map(float, point.split(","))) for point in dict(attrs)["points"].split()])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text.append(data)


def bench(*args, exit=0, **environment):
    done = subprocess.run([PROGRAM, "bench", "engine", *args], capture_output=True, text=True,
                          env={**os.environ, "KEYTURN_BACKEND": "", "KEYTURN_CPU_DISABLE": "", **environment})
    assert done.returncode == exit, (args, done.returncode, done.stdout, done.stderr)
    return done


def backends(out):
    return {line.split()[1]: line.split(maxsplit=2)[2] for line in out.splitlines() if line.startswith("backend")}


class Engine(unittest.TestCase):
    def test_help_is_no_error(self):
        done = bench("--help")
        self.assertEqual(done.stderr, "")
        for name in OPERATIONS | {"--html", "KEYTURN_CPU_DISABLE"}:
            self.assertIn(name, done.stdout)

    def test_wrong_lines_are_refused(self):
        for args, words in ((["--op", "steal"], "steal"), (["--peer", "nobody"], "nobody"), (["--size", "17"], "17"),
                            (["--threads", "0"], "usage"), (["--threads", "-1"], "usage"), (["--seed", "x"], "usage"),
                            (["more"], "usage"), (["--json", "-", "--html", "-"], "stdout"),
                            (["--backend", "avx1024"], "avx1024")):
            done = bench(*args, exit=2)
            self.assertIn(words, done.stderr)
            self.assertEqual(done.stdout, "")
        bench("--list", "--json", "/nowhere/at/all", exit=4)

    def test_list_tells_features_and_the_choice(self):
        done = bench("--list")
        found = {line.split()[1]: line.split()[2] for line in done.stdout.splitlines() if line.startswith("feature")}
        self.assertEqual(list(found), FEATURES)
        self.assertLessEqual(set(found.values()), {"yes", "no"})
        states = backends(done.stdout)
        chosen = [name for name, state in states.items() if state == "usable, chosen by auto"]
        self.assertEqual(chosen, [next(name for name, state in states.items() if state.startswith("usable"))])

    def test_environment_counts_as_everywhere(self):
        done = bench("--list", KEYTURN_CPU_DISABLE="aes")
        states = backends(done.stdout)
        self.assertEqual(states["scalar"], "usable, chosen by auto")
        self.assertTrue(all(state == "this CPU has no aes" for name, state in states.items() if name != "scalar"))
        self.assertRegex(done.stdout, r"(?m)^feature aes +(yes|no), disabled$")
        self.assertEqual(backends(bench("--list", KEYTURN_BACKEND="scalar").stdout)["scalar"], "usable, chosen")
        self.assertIn("sse9", bench("--list", exit=2, KEYTURN_CPU_DISABLE="sse9").stderr)
        self.assertIn("avx2", bench("--list", exit=2, KEYTURN_CPU_DISABLE="aes", KEYTURN_BACKEND="avx2").stderr)
        rows = json.loads(bench("--quick", "--threads", "1", "--op", "seal", "--size", "16", "--json", "-",
                                KEYTURN_BACKEND="scalar").stdout)
        names = {result["implementation"] for result in rows["results"]}
        self.assertIn("scalar", names)
        self.assertFalse(names & {"avx2", "avx512"})

    def test_all_operations_are_verified(self):
        seen = set()
        for args in (["--size", "16"], ["--size", "32"], ["--size", "DEK"], ["--op", "open", "--size", "16384"],
                     ["--op", "open", "--size", "real mix"], ["--op", "seal", "--size", "real mix"]):
            done = bench("--quick", "--threads", "2", *args, "--json", "-")
            for result in json.loads(done.stdout)["results"]:
                self.assertTrue(result["verified"], result)
                self.assertGreater(result["nsMedian"], 0)
                self.assertEqual(result["clock"], "thread" if result["threads"] == 1 else "wall")
                if result["threads"] > 1:
                    self.assertIsNone(result["cycles"])
                seen.add((result["op"], result["implementation"]))
        self.assertEqual({op for op, _ in seen}, OPERATIONS)
        self.assertLessEqual({(op, name) for op in OPERATIONS for name in ("scalar", "openssl")}, seen)

    def test_page_stands_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "page.html"
            out = bench("--quick", "--threads", "1", "--op", "seal-deterministic", "--html", path).stdout
            page = Page(path.read_text(encoding="utf-8"))
        self.assertEqual((page.open, page.asks), ([], []))
        names = [line.split()[0] for line in out.splitlines() if line.startswith("  ") and line.split()[0] != "ns"]
        implementations = sorted(set(names))
        # One line each in the plot of times, one less in that of ratios to OpenSSL.
        self.assertEqual(len(page.lines), 2 * len(implementations) - 1)
        for line in page.lines:
            self.assertEqual(len(line), 3)
            self.assertTrue(all(0 < x < 560 and 0 < y < 340 for x, y in line))
            self.assertEqual(line, sorted(line))
        for name in implementations:
            self.assertGreater("".join(page.text).count(name), 3)


if __name__ == "__main__":
    unittest.main()
