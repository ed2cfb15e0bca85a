# SPDX-License-Identifier: Apache-2.0
"""Stands between the program and a mongod: hands on what both say, and twists the replies that a test names. OP_MSG alone
is looked into. https://github.com/mongodb/specifications/blob/master/source/message/OP_MSG.md"""
import contextlib
import socket
import struct
import threading

import bson

from live import rawbson

OP_REPLY, OP_MSG = 1, 2013
DOCUMENT = 0  # the kind of section that a command and a reply are


class Frame(bytes):
    """Bytes that are sent as they are, instead of a reply; the connection ends with them if `end`."""

    end = False


def frame(document, head, opcode=OP_MSG, flags=0):
    """head: (request's number, number of what it answers)."""
    body = struct.pack("<IB", flags, DOCUMENT) + document
    return Frame(struct.pack("<iiii", 16 + len(body), *head, opcode) + body)


def short(data):
    """The answer to a connection's first question without its topologyVersion: without one the driver's monitor does not
    wait for news, and the program not half a second for the monitor when it ends."""
    whole = data[:36] + put(data[36:], "topologyVersion")
    return struct.pack("<i", len(whole)) + whole[4:]


def last(data):
    ending = Frame(data)
    ending.end = True
    return ending


class Twist:
    """change: from a reply's document and head to another document, or to a Frame. when: of the request."""

    def __init__(self, command, change, when=None, times=1, skip=0):
        self.command, self.change, self.when, self.left, self.skip, self.met = command, change, when, times, skip, 0

    def wants(self, request):
        if self.left == 0 or next(iter(request), None) != self.command or (self.when and not self.when(request)):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.left -= 1
        self.met += 1
        return True


class Between:
    def __init__(self, host, port):
        self.there = (host, port)
        self.twists, self.lock, self.sockets = [], threading.Lock(), []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        for one in [self.listener, *self.sockets]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def twist(self, *args, **options):
        self.twists.append(Twist(*args, **options))
        return self.twists[-1]

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                here, _ = self.listener.accept()
                there = socket.create_connection(self.there)
                self.sockets += [here, there]
                for one in (here, there):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                asked = {}
                for main, pair in ((self.requests, (here, there)), (self.replies, (there, here))):
                    threading.Thread(target=self.run, args=(main, *pair, asked), daemon=True).start()

    @staticmethod
    def run(main, source, to, asked):
        with contextlib.suppress(OSError, EOFError):
            main(source, to, asked)
        for one in (source, to):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def read(source, nbytes):
        data = bytearray()
        while len(data) < nbytes:
            more = source.recv(nbytes - len(data))
            if not more:
                raise EOFError
            data += more
        return bytes(data)

    def message(self, source):
        """(number, number of what it answers, opcode), and all of its bytes."""
        head = self.read(source, 16)
        nbytes, *fields = struct.unpack("<iiii", head)
        return fields, head + self.read(source, nbytes - 16)

    def requests(self, source, to, asked):
        while True:
            (number, _, opcode), data = self.message(source)
            if opcode == OP_MSG:
                (nbytes,) = struct.unpack_from("<i", data, 21)
                asked[number] = bson.decode(data[21:21 + nbytes])
            to.sendall(data)

    def replies(self, source, to, asked):
        while True:
            (number, answers, opcode), data = self.message(source)
            request = asked.pop(answers, None)
            sent = self.twisted(request, data, (number, answers)) if request and opcode == OP_MSG else data
            if opcode == OP_REPLY:
                sent = short(data)
            to.sendall(sent)
            if isinstance(sent, Frame) and sent.end:
                return

    def twisted(self, request, data, head):
        with self.lock:
            wanted = next((t for t in self.twists if t.wants(request)), None)
        if not wanted:
            return data
        changed = wanted.change(data[21:], head)
        return changed if isinstance(changed, Frame) else frame(changed, head)


def put(raw, path, kind=None, value=None):
    """The document with another value at a dotted path; kind None: without it."""
    name, _, rest = path.partition(".")
    out = []
    for key, old_kind, old in rawbson.elements(raw):
        if key != name:
            out.append((key, old_kind, old))
        elif rest:
            out.append((key, old_kind, put(old, rest, kind, value)))
        elif kind is not None:
            out.append((key, kind, value))
    if not rest and kind is not None and name not in rawbson.fields(raw):
        out.append((name, kind, value))
    return rawbson.document(*out)


def batch(raw):
    """Where a reply with a cursor has its documents, and they."""
    cursor = rawbson.fields(rawbson.fields(raw)["cursor"][1])
    name = "firstBatch" if "firstBatch" in cursor else "nextBatch"
    return f"cursor.{name}", [value for _, _, value in rawbson.elements(cursor[name][1])]


def of_batch(change):
    """A twist that changes the list of documents."""
    def twist(raw, _):
        path, docs = batch(raw)
        return put(raw, path, rawbson.ARRAY, rawbson.array(*((rawbson.OBJECT, d) for d in change(docs))))
    return twist


def at(path, kind=None, value=None):
    """A twist that puts one value."""
    return lambda raw, _: put(raw, path, kind, value)
