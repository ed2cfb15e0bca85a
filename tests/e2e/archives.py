# SPDX-License-Identifier: Apache-2.0
"""mongodump's archive format, read and written in Python. Its checksum is CRC-64/XZ (Go's crc64.ECMA) over a
namespace's documents. Source: mongo-tools common/archive."""

import struct

import bson
from bson.int64 import Int64

import rawbson

MAGIC = b"\x6d\xe2\x99\x81"
END = b"\xff\xff\xff\xff"


def _table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0xC96C5795D7870F42 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _table()


def crc64(raw, crc=0):
    crc ^= 0xFFFFFFFFFFFFFFFF
    for byte in raw:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFFFFFFFFFF


def signed(crc):
    return Int64(crc - (1 << 64) if crc >> 63 else crc)


def _head(db, collection, eof, crc=0):
    return bson.encode({"db": db, "collection": collection, "EOF": eof, "CRC": signed(crc)})


def write(namespaces, segment=64 << 10):
    """namespaces: {"db.coll": (documents' bytes, metadata text)}. Segments of the namespaces alternate."""
    out = [
        MAGIC,
        bson.encode(
            {"concurrent_collections": 4, "version": "0.1", "server_version": "6.0.5", "tool_version": "100.9.4"}
        ),
    ]
    streams = []
    for ns, (raw, metadata) in namespaces.items():
        db, collection = ns.split(".", 1)
        out.append(
            bson.encode(
                {"db": db, "collection": collection, "metadata": metadata, "size": len(raw), "type": "collection"}
            )
        )
        streams.append((db, collection, rawbson.split(raw), crc64(raw)))
    out.append(END)
    at = [0] * len(streams)
    while any(at[i] <= len(s[2]) for i, s in enumerate(streams)):
        for i, (db, collection, docs, crc) in enumerate(streams):
            if at[i] > len(docs):
                continue
            piece, size = [], 0
            while at[i] < len(docs) and size < segment:
                piece.append(docs[at[i]])
                size += len(docs[at[i]])
                at[i] += 1
            if piece:
                out += [_head(db, collection, False), *piece, END]
            else:
                out += [_head(db, collection, True, crc), END]
                at[i] += 1
    return b"".join(out)


class Archive:
    """header and metadata documents as bytes, {ns: documents' bytes}; every checksum has been compared."""

    def __init__(self, raw, check=True):
        assert raw[:4] == MAGIC
        self.at, self.raw = 4, raw
        head = self._block()
        self.header, self.metadata = head[0], head[1:]
        self.data, self.segments, self.closed = {}, [], []
        while self.at < len(raw):
            block = self._block()
            head = bson.decode(block[0])
            ns = f"{head['db']}.{head['collection']}"
            self.segments.append(ns)
            if head["EOF"]:
                assert len(block) == 1
                if check:
                    crc = signed(crc64(b"".join(self.data.get(ns, []))))
                    assert head["CRC"] == crc, f"{ns}: the archive says {head['CRC']}, its documents {crc}"
                self.closed.append(ns)
            else:
                assert ns not in self.closed
                self.data.setdefault(ns, []).extend(block[1:])
        self.data = {ns: b"".join(docs) for ns, docs in self.data.items()}

    def _block(self):
        docs = []
        while self.raw[self.at : self.at + 4] != END:
            (n,) = struct.unpack_from("<i", self.raw, self.at)
            docs.append(self.raw[self.at : self.at + n])
            assert len(docs[-1]) == n and docs[-1][-1] == 0
            self.at += n
        self.at += 4
        return docs
