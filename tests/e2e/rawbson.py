# SPDX-License-Identifier: Apache-2.0
"""BSON as bytes: documents built from and cut into (name, type, bytes), for types that pymongo cannot carry through
unchanged (symbol, dbPointer, undefined) and for documents that are broken on purpose. https://bsonspec.org/spec.html
"""

import struct

(
    DOUBLE,
    STRING,
    OBJECT,
    ARRAY,
    BINARY,
    UNDEFINED,
    OID,
    BOOL,
    DATE,
    NULL,
    REGEX,
    DBPOINTER,
    CODE,
    SYMBOL,
    SCOPE,
    INT,
    TIMESTAMP,
    LONG,
    DECIMAL,
) = range(1, 20)
MIN_KEY, MAX_KEY = 0xFF, 0x7F

_FIXED = {
    DOUBLE: 8,
    UNDEFINED: 0,
    OID: 12,
    BOOL: 1,
    DATE: 8,
    NULL: 0,
    INT: 4,
    TIMESTAMP: 8,
    LONG: 8,
    DECIMAL: 16,
    MIN_KEY: 0,
    MAX_KEY: 0,
}


def string(text):
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<i", len(raw) + 1) + raw + b"\0"


def binary(raw, subtype=0):
    return struct.pack("<iB", len(raw), subtype) + raw


def int32(n):
    return struct.pack("<i", n)


def int64(n):
    return struct.pack("<q", n)


def element(name, kind, value):
    return bytes([kind]) + (name.encode(errors="surrogateescape") if isinstance(name, str) else name) + b"\0" + value


def document(*elements):
    """elements: (name, type, bytes) or ready element bytes."""
    body = b"".join(e if isinstance(e, bytes) else element(*e) for e in elements)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def array(*values):
    return document(*((str(i), kind, value) for i, (kind, value) in enumerate(values)))


def value_length(kind, raw, at):
    (n,) = struct.unpack_from("<i", raw, at) if kind not in _FIXED and kind != REGEX else (0,)
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in (STRING, CODE, SYMBOL):
        return n + 4
    if kind in (OBJECT, ARRAY, SCOPE):
        return n
    if kind == BINARY:
        return n + 5
    if kind == DBPOINTER:
        return n + 4 + 12
    if kind == REGEX:
        return raw.index(b"\0", raw.index(b"\0", at) + 1) + 1 - at
    raise ValueError(f"type byte {kind:#x}")


def elements(raw):
    """The (name, type, bytes) of a document, in order."""
    (length,) = struct.unpack_from("<i", raw)
    assert length == len(raw) and raw[-1] == 0
    at = 4
    while raw[at]:
        kind = raw[at]
        end = raw.index(b"\0", at + 1)
        n = value_length(kind, raw, end + 1)
        yield raw[at + 1 : end].decode(errors="surrogateescape"), kind, raw[end + 1 : end + 1 + n]
        at = end + 1 + n
    assert at == length - 1


def fields(raw):
    return {name: (kind, value) for name, kind, value in elements(raw)}


def split(raw):
    """Documents that stand back to back."""
    docs, at = [], 0
    while at < len(raw):
        (n,) = struct.unpack_from("<i", raw, at)
        assert n >= 5 and raw[at + n - 1] == 0
        docs.append(raw[at : at + n])
        at += n
    assert at == len(raw)
    return docs


def payload(kind, value):
    """A CSFLE payload's bytes, or None."""
    if kind == BINARY and value[4] == 6 and len(value) > 5 and value[5] in (1, 2):
        return value[5:]
    return None
