# SPDX-License-Identifier: Apache-2.0
"""libmongocrypt itself, through pymongo's bindings, on a key vault that lies in memory: the independent judge of what
the program seals and opens."""

import bson
from pymongocrypt.mongocrypt import MongoCrypt
from pymongocrypt.options import ExplicitEncryptOpts, MongoCryptOptions
from pymongocrypt.synchronous.state_machine import MongoCryptCallback, run_state_machine

import rawbson


class Keys(MongoCryptCallback):
    """What a driver asks for, answered from key documents alone."""

    def __init__(self, docs):
        self.by_id = {rawbson.fields(d)["_id"][1][5:]: d for d in docs}

    def fetch_keys(self, key_filter):
        wanted = bson.decode(key_filter)
        if not wanted:
            return list(self.by_id.values())
        ids = [bytes(i) for part in wanted.get("$or", [wanted]) if "_id" in part for i in part["_id"]["$in"]]
        return [self.by_id[i] for i in ids if i in self.by_id]

    def kms_request(self, kms_context):
        raise AssertionError("a local key needs no KMS")

    def collection_info(self, database, filter):
        raise AssertionError("no server")

    def mark_command(self, database, cmd):
        raise AssertionError("no server")

    def insert_data_key(self, data_key):
        raise AssertionError("no vault to write to")

    def bson_encode(self, doc):
        return bson.encode(doc)

    def close(self):
        pass


class Judge:
    """docs: key documents; providers: as {"local:old": {"key": base64}}."""

    def __init__(self, docs, providers):
        self.keys = Keys(docs)
        self.crypt = MongoCrypt(MongoCryptOptions(providers), self.keys)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.crypt.close()

    def decrypt(self, document):
        """The document with every sealed value opened."""
        with self.crypt.decryption_context(document) as context:
            return run_state_machine(context, self.keys)

    def explicit(self, wrapped, key_id, deterministic):
        """Explicit encryption as drivers do it: {v: value} to {v: sealed value}, as bytes."""
        algorithm = "AEAD_AES_256_CBC_HMAC_SHA_512-" + ("Deterministic" if deterministic else "Random")
        with self.crypt.explicit_encryption_context(wrapped, ExplicitEncryptOpts(algorithm, key_id)) as context:
            return run_state_machine(context, self.keys)

    def encrypt(self, kind, value, key_id, deterministic):
        """A value's payload."""
        made = self.explicit(rawbson.document(("v", kind, value)), key_id, deterministic)
        return rawbson.fields(made)["v"][1][5:]

    def rewrap(self, provider):
        """libmongocrypt's own rewrap of every key: the bytes of {v: [{_id, keyMaterial, masterKey}]}."""
        with self.crypt.rewrap_many_data_key_context({}, provider, None) as context:
            return run_state_machine(context, self.keys)
