# SPDX-License-Identifier: Apache-2.0
"""A KMIP server that does not behave. It knows Encrypt alone (the answer is no real encryption). Prints {port}.

kmipfaults_server.py CERTS MODE    refuse: no batches; flaky: every third answer is garbage, cut off or missing;
                                   huge: says that a message of 2 GiB follows; silent: never answers;
                                   one: takes one connection at a time, and no batches, answering each after 50 ms
"""
import json
import os
import socketserver
import ssl
import struct
import sys
import threading
import time

CERTS, MODE = sys.argv[1:]


def element(tag, kind, value):
    return struct.pack(">II", tag << 8 | kind, len(value)) + value + b"\0" * (-len(value) % 8)


def number(tag, kind, value):
    return element(tag, kind, struct.pack(">I", value))


def children(data):
    at = 0
    while at + 8 <= len(data):
        head, length = struct.unpack_from(">II", data, at)
        yield head >> 8, data[at + 8:at + 8 + length]
        at += 8 + length + -length % 8


def find(data, *tags):
    for tag in tags:
        data = next((value for found, value in children(data) if found == tag), None)
        if data is None:
            return None
    return data


def answer(request):
    items = [value for tag, value in children(request[8:]) if tag == 0x42000f]
    refused = MODE in ("refuse", "one") and len(items) > 1
    replies = b""
    for item in items[:1] if refused else items:
        body = number(0x42005c, 5, 0x1f)
        if find(item, 0x420093) is not None and not refused:
            body += element(0x420093, 8, find(item, 0x420093))
        if refused:
            body = number(0x42007f, 5, 1) + number(0x42007e, 5, 4) + element(0x42007d, 7, b"no batches here")
        else:
            body += number(0x42007f, 5, 0) + element(0x42007c, 1, element(0x420094, 7, find(item, 0x420079, 0x420094))
                                                     + element(0x4200c2, 8, os.urandom(112)) + element(0x42003d, 8, os.urandom(16)))
        replies += element(0x42000f, 1, body)
    return element(0x42007b, 1, element(0x42007a, 1, number(0x42000d, 2, len(items))) + replies)


class Handler(socketserver.BaseRequestHandler):
    served = 0
    alone = threading.Lock()

    def take(self, n):
        data = b""
        while len(data) < n:
            more = self.request.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def handle(self):
        if MODE != "one":
            self.serve()
        elif self.alone.acquire(blocking=False):
            try:
                self.serve()
            finally:
                self.alone.release()

    def serve(self):
        try:
            self.request = CONTEXT.wrap_socket(self.request, server_side=True)
            while True:
                head = self.take(8)
                request = head + self.take(struct.unpack(">I", head[4:])[0])
                Handler.served += 1
                time.sleep({"silent": 60, "one": 0.05}.get(MODE, 0))
                reply = answer(request)
                if MODE == "huge":
                    reply = b"\x42\x00\x7b\x01\x7f\xff\xff\xf8" + reply
                if MODE == "flaky" and Handler.served % 3 == 0:
                    reply = (b"HTTP/1.1 400 Bad Request\r\n\r\n", reply[:len(reply) // 2], b"")[Handler.served // 3 % 3]
                    self.request.sendall(reply)
                    return
                self.request.sendall(reply)
        except (OSError, EOFError):
            pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 512


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CONTEXT.load_cert_chain(f"{CERTS}/server.crt", f"{CERTS}/server.key")


def main():
    server = Server(("127.0.0.1", 0), Handler)
    print(json.dumps({"port": server.server_address[1]}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
