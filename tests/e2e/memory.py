# SPDX-License-Identifier: Apache-2.0
"""Looks into a process: stops it as it exits, with all its memory in place, and searches memory for secrets in the
forms in which they could leak. Linux only; see ptrace(2), proc(5)."""

import base64
import ctypes
import os
import signal
import subprocess
import tempfile

from rig import PROGRAM

TRACEME, CONT, SETOPTIONS = 0, 7, 0x4200
TRACEEXEC, TRACEEXIT, EVENT_EXIT = 0x10, 0x40, 6
_libc = ctypes.CDLL(None, use_errno=True)


def _ptrace(request, pid, data=0):
    _libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if _libc.ptrace(request, pid, None, data) == -1:
        raise OSError(ctypes.get_errno(), "ptrace")


def traceable():
    try:
        with Exiting([], "/", program="/bin/true") as process:
            return process.run_to_exit() == 0
    except OSError:
        return False


class Exiting:
    """A program that can be looked at between its last instruction and the end of its memory."""

    def __init__(self, args, cwd, program=PROGRAM, **options):
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [program, *map(str, args)],
            cwd=cwd,
            preexec_fn=lambda: _ptrace(TRACEME, 0),
            stdout=subprocess.DEVNULL,
            stderr=self.stderr,
            **options,
        )
        self.pid = self.process.pid
        self.status = None

    def said(self):
        """What it has written to stderr."""
        self.stderr.seek(0)
        return self.stderr.read().decode(errors="replace")

    def __enter__(self):
        os.waitpid(self.pid, 0)  # stopped by its exec
        _ptrace(SETOPTIONS, self.pid, TRACEEXEC | TRACEEXIT)
        return self

    def run_to_exit(self):
        """Runs until the process is about to be no more; gives its exit status."""
        number = 0
        while True:
            _ptrace(CONT, self.pid, number)
            _, state = os.waitpid(self.pid, 0)
            if not os.WIFSTOPPED(state):
                raise OSError("the process ended unseen")
            if state >> 8 == signal.SIGTRAP | EVENT_EXIT << 8:
                return self._message() >> 8
            number = 0 if state >> 16 else os.WSTOPSIG(state)  # an exec is no signal

    def _message(self):
        value = ctypes.c_ulong()
        _libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        _libc.ptrace(0x4201, self.pid, None, ctypes.addressof(value))
        return value.value

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_kib(self):
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

    def __exit__(self, *_):
        if self.process.returncode is None:
            try:
                _ptrace(CONT, self.pid)
            except OSError:
                self.process.kill()
            self.process.wait(60)


def mappings(pid, dumped_only):
    """(name, start, bytes) of the memory of a process; dumped_only: what the kernel would put into a core file."""
    maps, current = [], None
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            words = line.split()
            if not words[0].endswith(":"):
                start, end = (int(x, 16) for x in words[0].split("-"))
                current = [words[5] if len(words) > 5 else "", start, end, words[1]]
                maps.append(current)
            elif words[0] == "VmFlags:":
                current.append(words[1:])
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for name, start, end, rights, flags in maps:
            file_text = name.startswith("/") and "w" not in rights
            if name in ("[vvar]", "[vsyscall]", "[vvar_vclock]") or file_text or (dumped_only and "dd" in flags):
                continue
            raw = b""
            while start + len(raw) < end:
                try:
                    memory.seek(start + len(raw))
                    piece = memory.read(end - start - len(raw))
                except OSError:
                    piece = b""
                if not piece:
                    break
                raw += piece
            yield name, start, raw


def touched(raw, page=4096):
    """The pages that hold anything, back to back."""
    zeros = bytes(page)
    return b"".join(raw[at : at + page] for at in range(0, len(raw), page) if raw[at : at + page] != zeros)


def needles(secrets):
    """{eight bytes as a number: label} for {label: secret}: pieces of each in raw, hex, and base64 wherever it begins. Each piece
    comes eight times, shifted by a byte, so that search() need look at every eighth byte only."""
    found = {}
    for label, secret in secrets.items():
        hexed = secret.hex().encode()
        texts = {"raw": secret, "hex": hexed, "HEX": hexed.upper()}
        for shift in range(3):
            texts[f"base64+{shift}"] = base64.b64encode(bytes(shift) + secret)[4 * bool(shift) : -4]
        for form, text in texts.items():
            found |= pieces(text, f"{label}, {form}", 16 if form == "raw" else 64)
    return found


def pieces(text, label, step=16):
    return {
        int.from_bytes(text[at + shift : at + shift + 8], "little"): f"{label}, byte {at}"
        for at in range(0, len(text) - 14, step)
        for shift in range(8)
    }


def search(raw, wanted):
    """Labels of the needles in raw."""
    words = memoryview(raw)[: len(raw) // 8 * 8].cast("Q")
    return [wanted[n] for n in set(words).intersection(wanted)]
