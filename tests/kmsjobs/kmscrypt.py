# SPDX-License-Identifier: Apache-2.0
"""libmongocrypt with its own KMS requests, through pymongo's bindings: makes DEKs under a CMK, and opens what the
program has rewrapped."""
import http.client
import io
import os
import pathlib
import socket
import ssl
import struct
import sys
import urllib.parse

import bson
from bson.binary import Binary
from bson.codec_options import CodecOptions
from pymongocrypt.mongocrypt import MongoCrypt
from pymongocrypt.options import DataKeyOpts, ExplicitEncryptOpts, MongoCryptOptions
from pymongocrypt.synchronous.state_machine import run_state_machine

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from judge import Keys  # noqa: E402

RANDOM = "AEAD_AES_256_CBC_HMAC_SHA_512-Random"


class _Reply:
    """http.client's parser over bytes of a socket."""

    def __init__(self, sock):
        self.sock = sock

    def makefile(self, *_args, **_kwargs):
        return self.sock.makefile("rb")


class _Callback(Keys):
    def __init__(self, ca, client_certificate):
        super().__init__([])
        self.context = ssl.create_default_context(cafile=ca)
        self.client = ssl.create_default_context(cafile=ca)
        self.client.load_cert_chain(client_certificate)
        self.requests = []

    def kms_request(self, kms_context):
        host, _, port = kms_context.endpoint.rpartition(":")
        kmip = kms_context.kms_provider.startswith("kmip")
        self.requests.append(kms_context.kms_provider)
        with socket.create_connection((host, int(port)), timeout=20) as raw:
            with (self.client if kmip else self.context).wrap_socket(raw, server_hostname=host) as tls:
                tls.sendall(kms_context.message)
                kms_context_reply = self._kmip(tls) if kmip else self._http(tls)
        while kms_context_reply and kms_context.bytes_needed > 0:
            piece, kms_context_reply = (kms_context_reply[:kms_context.bytes_needed],
                                        kms_context_reply[kms_context.bytes_needed:])
            kms_context.feed(piece)

    @staticmethod
    def _http(tls):
        """libmongocrypt knows headers in one spelling only: it gets a reply that is written so."""
        reply = http.client.HTTPResponse(_Reply(tls))
        reply.begin()
        body = reply.read()
        return b"HTTP/1.1 %d %s\r\nContent-Length: %d\r\n\r\n%s" % (reply.status, reply.reason.encode(), len(body), body)

    @staticmethod
    def _kmip(tls):
        stream = io.BufferedReader(socket.SocketIO(tls, "r"))
        head = stream.read(8)
        return head + stream.read(struct.unpack(">I", head[4:])[0])


class Driver:
    def __init__(self, kms_providers, ca, client_certificate):
        self.callback = _Callback(ca, client_certificate)
        self.crypt = MongoCrypt(MongoCryptOptions(kms_providers), self.callback)

    def close(self):
        self.crypt.close()

    @property
    def requests(self):
        return self.callback.requests

    def create(self, provider, master_key, dek=None):
        """A key document, as bytes, and its DEK."""
        dek = dek or os.urandom(96)
        material = bson.encode({"keyMaterial": Binary(dek, 0)})
        with self.crypt.data_key_context(provider, DataKeyOpts(master_key or None, key_material=material)) as context:
            return run_state_machine(context, self.callback), dek

    def opens(self, document):
        """A payload sealed with the document's DEK, for whoever knows it: (AAD, sealed)."""
        raw = document if isinstance(document, bytes) else bson.encode(document)
        key_id = bytes(bson.decode(raw, CodecOptions())["_id"])
        self.callback.by_id = {key_id: raw}
        with self.crypt.explicit_encryption_context(bson.encode({"v": "told"}), ExplicitEncryptOpts(RANDOM, key_id)) as context:
            payload = bytes(bson.decode(run_state_machine(context, self.callback))["v"])
        return payload[:18], payload[18:]


def quote(secret):
    """libmongocrypt writes a client secret into its form as it is."""
    return urllib.parse.quote(secret, safe="")
