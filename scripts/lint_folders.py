#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds every folder to what it may use, in its includes and in what its objects call.

lint_folders.py includes        reads the sources
lint_folders.py symbols BUILD   reads the static libraries and libkeyturn of a build without sanitizers
"""
import functools
import pathlib
import re
import subprocess
import sys

# What each external library looks like from outside: its headers, and the shared object with its symbols.
LIBRARIES = {
    "crypto": (r"openssl/", "libcrypto.so"),
    "ssl": (r"openssl/ssl\.h", "libssl.so"),
    "bson": (r"bson(\.h|/)", "libbson-1.0.so"),
    "mongoc": (r"mongoc(\.h|/)", "libmongoc-1.0.so"),
    "mongocrypt": (r"(mongocrypt|kms_message)/", "libmongocrypt.so"),
    "curl": (r"curl/", "libcurl.so"),
    "pcre2": (r"pcre2\.h", "libpcre2-8.so"),
    "zlib": (r"z(lib|conf)\.h", "libz.so"),
    "zstd": (r"zstd.*\.h", "libzstd.so"),
    "openmp": (r"omp\.h", "libgomp.so"),
}

# folder: (folders it may use beside itself, external libraries beside libc). Longest prefix wins. An entry
# that names a header allows that one alone.
BELOW_JOBS = ["common", "engine", "csfle", "kms", "keys", "io"]
RULES = {
    "include/keyturn": ([], []),
    "common": ([], ["crypto"]),
    "engine": (["common", "engine/cpu/features.h"], ["crypto"]),
    "engine/cpu": (["engine/backend.h", "engine/key.h"], []),
    "engine/cuda": (["engine/backend.h", "engine/key.h"], []),
    "csfle": (["common"], ["bson", "pcre2"]),
    "kms": (["common"], ["crypto", "ssl", "curl", "bson"]),
    "keys": (["common", "engine", "csfle", "kms"], ["crypto", "bson"]),
    "io": (["common"], ["bson", "mongoc", "zlib", "zstd", "crypto"]),
    "jobs": (BELOW_JOBS, ["crypto", "bson", "mongoc", "openmp"]),
    # The program names every library's version.
    "tools": (["jobs", "bench/engine_bench.h"] + BELOW_JOBS, ["crypto", "bson", "mongoc", "curl", "pcre2", "zlib", "zstd"]),
}

problems = []


def rule_of(path):
    while path not in RULES:
        path = path.rpartition("/")[0]
        if not path:
            return None
    return path


def may_include(folder, header):
    """A quoted include: of the folder itself, of the public headers, or of a folder in its row."""
    if header.startswith("keyturn/") or rule_of(header.rpartition("/")[0]) == folder:
        return True
    return any(header == entry or (not entry.endswith(".h") and header.startswith(entry + "/"))
               for entry in RULES[folder][0])


def check_includes():
    sources = [path for top in {folder.split("/")[0] for folder in RULES} for path in pathlib.Path(top).rglob("*.[ch]")]
    for path in sorted(sources):
        folder = rule_of(str(path.parent))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', line)
            if not found:
                continue
            kind, header = found.groups()
            if kind == '"':
                if "/" not in header:
                    problems.append(f'{path}:{number}: "{header}": includes name the folder')
                elif not may_include(folder, header):
                    problems.append(f'{path}:{number}: {folder} may not include "{header}"')
                continue
            for library, (pattern, _) in LIBRARIES.items():
                if re.match(pattern, header) and library not in RULES[folder][1] and \
                        not (library == "crypto" and "ssl" in RULES[folder][1]):
                    problems.append(f"{path}:{number}: {folder} may not use {library} (<{header}>)")
    return len(sources)


@functools.lru_cache(maxsize=None)
def library_symbols(name):
    path = subprocess.run(["cc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
    if "/" not in path:
        return frozenset()
    out = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True).stdout
    symbols = {line.split()[-1].partition("@")[0] for line in out.splitlines() if line.split()[1:2] != ["A"]}
    return frozenset(symbol for symbol in symbols if not symbol.startswith("_"))


def object_symbols(path):
    """{symbol: defined} of one object file, its local symbols left out."""
    out = subprocess.run(["nm", "-g", path], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1]: line.split()[-2] not in "Uw" for line in out.splitlines() if line.strip()}


def build_objects(build):
    """(folder, source's name, its symbols) of each object; sources are found through the object's path."""
    for path in sorted(pathlib.Path(build).rglob("*.o")):
        relative = path.relative_to(build)
        top = relative.parts[0]
        if top not in {folder.split("/")[0] for folder in RULES}:
            continue
        # build/engine/cpu/CMakeFiles/kt_x.dir/scalar.c.o and build/engine/CMakeFiles/kt_engine.dir/cpu/scalar.c.o
        parts = [part for part in relative.parent.parts if part != "CMakeFiles" and not part.endswith(".dir")]
        source = "/".join(parts + [relative.name[:-2]])
        yield rule_of("/".join(parts)), source, object_symbols(path)


def usable_folders(folder):
    """As includes, but an object that may see one header of a folder may call what that folder defines."""
    return {folder} | {rule_of(entry.rpartition("/")[0]) if entry.endswith(".h") else entry for entry in RULES[folder][0]}


def check_symbols(build):
    objects = list(build_objects(build))
    home = {symbol: folder for folder, _, symbols in objects for symbol, defined in symbols.items() if defined}
    for folder, source, symbols in objects:
        allowed = usable_folders(folder)
        for symbol, defined in symbols.items():
            if defined and not symbol.startswith("kt_") and folder != "tools":
                problems.append(f"{source}: defines {symbol}, which lacks the prefix kt_")
            elif not defined and symbol in home and home[symbol] not in allowed and \
                    not home[symbol].startswith(folder + "/"):
                problems.append(f"{source}: {folder} may not use {symbol} of {home[symbol]}")
            elif not defined and symbol not in home:
                for library, (_, shared_object) in LIBRARIES.items():
                    if library not in RULES[folder][1] and symbol in library_symbols(shared_object):
                        problems.append(f"{source}: {folder} may not use {symbol} of {library}")
    check_exports(pathlib.Path(build) / "libkeyturn.so")
    return len(objects)


def check_exports(library):
    declared = set()
    for header in pathlib.Path("include/keyturn").glob("*.h"):
        text = re.sub(r"/\*.*?\*/", " ", header.read_text(encoding="utf-8"), flags=re.S)
        declared |= set(re.findall(r"\bKT_API\b[^;{]*?\b(kt_\w+)\s*\(", text))
    out = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1].partition("@")[0] for line in out.splitlines()}
    for symbol in sorted(exported - declared):
        problems.append(f"{library}: exports {symbol}, which no public header declares with KT_API")
    for symbol in sorted(declared - exported):
        problems.append(f"{library}: lacks {symbol}, which a public header declares")


def main():
    if sys.argv[1:] == ["includes"]:
        seen = check_includes()
    elif len(sys.argv) == 3 and sys.argv[1] == "symbols":
        seen = check_symbols(sys.argv[2])
    else:
        print(__doc__, file=sys.stderr)
        return 2
    print("\n".join(problems))
    if not seen:
        print(f"nothing to check: is {sys.argv[-1]} built?")
    return 1 if problems or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
