# SPDX-License-Identifier: Apache-2.0
"""Processes by their numbers, from /proc."""
import os


def _stat(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()
    except OSError:
        return None


def state(pid):
    """T: stopped."""
    fields = _stat(pid)
    return fields[0] if fields else None


def alive(pid):
    fields = _stat(pid)
    return bool(fields) and fields[0] not in "ZX"


def children(pid):
    found = []
    for name in os.listdir("/proc"):
        fields = _stat(name) if name.isdigit() else None
        if fields and int(fields[1]) == pid and fields[0] not in "ZX":
            found.append(int(name))
    return found
