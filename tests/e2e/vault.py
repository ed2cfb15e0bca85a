# SPDX-License-Identifier: Apache-2.0
"""A key vault, its providers and schemas, made by Python: keys are wrapped and opened here by an implementation of its
own (MongoDB's AEAD_AES_256_CBC_HMAC_SHA_512: draft-mcgrew-aead-aes-cbc-hmac-sha2-05 with a 32-byte tag)."""

import base64
import hashlib
import hmac
import json
import os
import struct
import uuid

import bson
from bson.binary import Binary
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import rawbson

ALGORITHM = "AEAD_AES_256_CBC_HMAC_SHA_512-"
EPOCH_2020 = 1577836800000


def _tag(key, aad, body):
    return hmac.new(key[:32], aad + body + struct.pack(">Q", 8 * len(aad)), hashlib.sha512).digest()[:32]


def seal(key, plain, aad=b"", iv=None):
    iv = iv or os.urandom(16)
    pad = padding.PKCS7(128).padder()
    cbc = Cipher(algorithms.AES(key[32:64]), modes.CBC(iv)).encryptor()
    body = iv + cbc.update(pad.update(plain) + pad.finalize()) + cbc.finalize()
    return body + _tag(key, aad, body)


def open_sealed(key, sealed, aad=b""):
    body, tag = sealed[:-32], sealed[-32:]
    if not hmac.compare_digest(tag, _tag(key, aad, body)):
        raise ValueError("not authentic")
    cbc = Cipher(algorithms.AES(key[32:64]), modes.CBC(body[:16])).decryptor()
    unpad = padding.PKCS7(128).unpadder()
    return unpad.update(cbc.update(body[16:]) + cbc.finalize()) + unpad.finalize()


class Vault:
    """Master keys local:old and local:new, and one DEK per name."""

    def __init__(self, names, provider="local:old"):
        self.masters = {"local:old": os.urandom(96), "local:new": os.urandom(96)}
        self.ids, self.deks, self.docs = {}, {}, {}
        for name in names:
            self.add(name, provider)

    def add(self, name, provider="local:old", **fields):
        key_id, dek = uuid.uuid4().bytes, os.urandom(96)
        self.ids[name], self.deks[name] = key_id, dek
        doc = {
            "_id": Binary(key_id, 4),
            "keyMaterial": seal(self.masters[provider], dek),
            "creationDate": bson.datetime_ms.DatetimeMS(EPOCH_2020),
            "updateDate": bson.datetime_ms.DatetimeMS(EPOCH_2020),
            "status": 0,
            "masterKey": {"provider": provider},
            "keyAltNames": [name],
        }
        doc.update(fields)
        self.docs[name] = bson.encode(doc)
        return key_id

    def raw(self):
        return b"".join(self.docs.values())

    def providers(self):
        return {name: {"key": base64.b64encode(key).decode()} for name, key in self.masters.items()}

    def write(self, folder, vault="keyvault.bson", kms="kms.json"):
        (folder / vault).write_bytes(self.raw())
        with open(folder / kms, "w", opener=lambda p, f: os.open(p, f, 0o600)) as out:
            json.dump({"kmsProviders": self.providers()}, out)
        return ["--key-vault", str(folder / vault), "--kms-providers", str(folder / kms)]

    def rule(self, name, deterministic=False, types=None):
        """The encrypt rule of a field under that key."""
        rule = {
            "keyId": [{"$binary": {"base64": base64.b64encode(self.ids[name]).decode(), "subType": "04"}}],
            "algorithm": ALGORITHM + ("Deterministic" if deterministic else "Random"),
        }
        if types:
            rule["bsonType"] = types
        return {"encrypt": rule}

    def open_key(self, doc):
        """The DEK of a key document as it lies in a vault now."""
        fields = rawbson.fields(doc)
        provider = rawbson.fields(fields["masterKey"][1])["provider"][1][4:-1].decode()
        return open_sealed(self.masters[provider], fields["keyMaterial"][1][5:])

    def open_value(self, payload):
        """(type, bytes) of a sealed value."""
        (name,) = (n for n, i in self.ids.items() if i == payload[1:17])
        return payload[17], open_sealed(self.deks[name], payload[18:], payload[:18])


def schema(properties):
    return {"bsonType": "object", "properties": properties}


def write_schema(path, schemas):
    path.write_text(json.dumps(schemas))
    return ["--schema-map", str(path)]
