# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of file jobs share: a program timed with its peak memory, repeated rounds, shares of CPU time by
folder of the source tree, one table and one JSON document for the figures."""

import collections
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

import memory  # noqa: E402
from rig import PROGRAM  # noqa: E402

Run = collections.namedtuple("Run", "seconds cpu peak_kib")


def run(args, cwd, exit=0, program=PROGRAM):
    """One run of a program: seconds, CPU seconds of all its threads, peak KiB."""
    began = time.perf_counter()
    with memory.Exiting(args, cwd, program) as process:
        status = process.run_to_exit()
        seconds, cpu, peak = time.perf_counter() - began, process.cpu_seconds(), process.peak_kib()
        said = process.said()
    if status != exit:
        raise SystemExit(f"{program} {' '.join(map(str, args))}: exit status {status}\n{said}")
    return Run(seconds, cpu, peak)


def copy_and_sync(source, to):
    """Seconds that cp takes, with the copy on disk: what every job that writes a file must spend."""
    began = time.perf_counter()
    subprocess.run(["cp", source, to], check=True)
    with open(to, "rb") as copied:
        os.fsync(copied.fileno())
    return time.perf_counter() - began


def remove(*paths):
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


class Figures:
    """Named series of measurements, all from one run of the benchmark."""

    def __init__(self, title):
        self.title, self.rows, self.ratios, self.facts = title, [], [], {}

    def add(self, name, values, unit):
        """values: one or many; the median stands for them and is returned."""
        values = sorted(values)
        self.rows.append(
            {
                "name": name,
                "unit": unit,
                "min": values[0],
                "median": statistics.median(values),
                "max": values[-1],
                "rounds": len(values),
            }
        )
        return self.rows[-1]["median"]

    def ratio(self, name, value):
        self.ratios.append({"name": name, "value": value})

    def machine(self):
        with open("/proc/cpuinfo") as info:
            cpu = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "?")
        version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
        return {
            "cpu": cpu,
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "load": os.getloadavg()[0],
            "keyturn": version.split("\n"),
        }

    def show(self, json_file=None):
        facts = {**self.machine(), **self.facts}
        print(self.title)
        for name, value in facts.items():
            print(f"  {name}: {' '.join(value) if isinstance(value, list) else value}")
        for row in self.rows:
            print(
                f"  {row['name']:<58} {row['median']:>12,.1f} {row['unit']:<7}"
                f" ({row['min']:,.1f} to {row['max']:,.1f} in {row['rounds']})"
            )
        for ratio in self.ratios:
            print(f"  {ratio['name']:<58} {ratio['value']:>12,.2f} times")
        if json_file:
            json_file.write_text(
                json.dumps(
                    {"title": self.title, "facts": facts, "figures": self.rows, "ratios": self.ratios}, indent=1
                )
            )


def _symbols():
    """[(address, name, source file)] of the program's functions; a FILE symbol goes before its local ones."""
    text = subprocess.run(["readelf", "-sW", PROGRAM], capture_output=True, text=True, check=True).stdout
    source, found = "", []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 7 and words[3] == "FILE":
            source = words[7]
        elif len(words) > 7 and words[3] == "FUNC" and int(words[1], 16):
            found.append((int(words[1], 16), words[7], source if words[4] == "LOCAL" else None))
    return found


def _folders():
    """{source file or global symbol: folder}."""
    build = pathlib.Path(PROGRAM).parents[1]
    folders = {}
    for library in build.glob("*/**/libkt_*.a"):
        folder = library.parent.relative_to(build).parts[0]
        text = subprocess.run(
            ["nm", "-g", "--defined-only", library], capture_output=True, text=True, check=True
        ).stdout
        for line in text.splitlines():
            if line.endswith(".o:"):
                folders[line[:-3]] = folder
            elif len(line.split()) == 3:
                folders[line.split()[2]] = folder
    return folders


def shares(args, cwd, data, frequency=1999):
    """{folder of the source tree, or library, or kernel: share of the CPU time}, measured by perf; None without it."""
    command = [
        "perf",
        "record",
        "-q",
        "-e",
        "cpu-clock",
        "-F",
        str(frequency),
        "-o",
        data,
        "--",
        PROGRAM,
        *map(str, args),
    ]
    if not shutil.which("perf") or subprocess.run(command, cwd=cwd, capture_output=True).returncode:
        return None
    text = subprocess.run(
        ["perf", "script", "-i", data, "-F", "ip,sym,symoff,dso"], capture_output=True, text=True, check=True
    ).stdout
    folders, symbols = _folders(), _symbols()
    # hidden symbols have become local ones by now, behind the last source file
    sources = {(address, name): folders.get(name) or folders.get(source) for address, name, source in symbols}
    addresses = collections.defaultdict(list)
    for address, name, _ in symbols:
        addresses[name].append(address)
    samples, base = [], None
    for line in text.splitlines():
        match = re.match(r"\s*([0-9a-f]+) (.*?)(?:\+0x([0-9a-f]+))? \((.*)\)$", line)
        if match:
            ip, name, offset, dso = match.groups()
            start = int(ip, 16) - int(offset or "0", 16)
            samples.append((start, name, os.path.basename(dso)))
            if base is None and dso == PROGRAM and len(addresses[name]) == 1:
                base = start - addresses[name][0]
    counts = collections.Counter()
    for start, name, dso in samples:
        if dso == os.path.basename(PROGRAM):
            counts[sources.get((start - (base or 0), name)) or "keyturn, not told apart"] += 1
        elif dso.startswith("[kernel") or dso == "[kernel.kallsyms]":
            counts["kernel"] += 1
        else:
            counts[re.sub(r"\.so.*", "", dso)] += 1
    return {name: n / sum(counts.values()) for name, n in counts.most_common()}
