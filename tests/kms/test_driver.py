# SPDX-License-Identifier: Apache-2.0
"""An independent driver, pymongocrypt, is the judge: it opens what we have wrapped, we open what it has wrapped,
for every provider and from every provider to every other."""
import base64
import datetime
import socket
import ssl
import unittest
import uuid

from client import DEK, b64, call, run
import launcher

try:
    import bson
    from bson.binary import Binary
    from pymongocrypt.options import MongoCryptOptions
    from pymongocrypt.synchronous.explicit_encrypter import ExplicitEncrypter
    from pymongocrypt.synchronous.state_machine import MongoCryptCallback
except ImportError:
    bson = None
    MongoCryptCallback = object

ALGORITHM = "AEAD_AES_256_CBC_HMAC_SHA_512-Deterministic"
LOCAL = bytes(range(100, 196))
servers = world = None


class Vault(MongoCryptCallback):
    """A key vault of one document, and the driver's way to the servers: a new connection for each call."""

    def __init__(self, document=None):
        self.document = document

    def kms_request(self, kms_context):
        host, port = kms_context.endpoint.rsplit(":", 1)
        tls = ssl.create_default_context(cafile=servers.ca)
        if kms_context.kms_provider.startswith("kmip"):
            tls.load_cert_chain(f"{servers.certs}/client.pem")
        with socket.create_connection((host, int(port)), timeout=20) as plain:
            with tls.wrap_socket(plain, server_hostname=host) as link:
                link.sendall(kms_context.message)
                while kms_context.bytes_needed > 0:
                    data = link.recv(kms_context.bytes_needed)
                    if not data:
                        raise OSError("KMS connection closed")
                    kms_context.feed(data)

    def fetch_keys(self, filter):  # the driver's name for it
        yield bson.encode(self.document)

    def insert_data_key(self, data_key):
        self.document = bson.decode(data_key)
        return self.document["_id"]

    def bson_encode(self, doc):
        return bson.encode(doc)

    def collection_info(self, database, filter):
        raise NotImplementedError

    def mark_command(self, database, cmd):
        raise NotImplementedError

    def close(self):
        pass


def setUpModule():
    global servers, world
    if not bson:
        raise unittest.SkipTest("no pymongocrypt")
    servers = launcher.start("aws", "azure", "gcp", "kmip")
    world = make_world()


def make_world():
    """{name: (account, credentials, masterKey)}"""
    aws, azure, gcp, kmip = servers.aws(), servers.azure(), servers.gcp(), servers.kmip()
    aws_port, gcp_port = servers.front(aws["port"]), servers.front(gcp["port"], bearer=gcp["bearer"])
    token_port = servers.front(gcp["tokenPort"])
    there = {
        "aws": ({"accessKeyId": aws["accessKeyId"], "secretAccessKey": aws["secretAccessKey"]},
                {"region": "us-east-1", "key": aws["keys"][0], "endpoint": f"127.0.0.1:{aws_port}"}),
        "azure": ({"tenantId": azure["tenantId"], "clientId": azure["clientId"],
                   "clientSecret": azure["clientSecret"], "identityPlatformEndpoint": f"127.0.0.1:{azure['port']}"},
                  {"keyVaultEndpoint": f"127.0.0.1:{azure['port']}", "keyName": "cmk1",
                   "keyVersion": azure["keys"]["cmk1"][1]}),
        "gcp": ({"email": gcp["email"], "privateKey": gcp["privateKey"], "endpoint": f"127.0.0.1:{token_port}"},
                {"projectId": "proj", "location": "global", "keyRing": "ring", "keyName": "k1",
                 "endpoint": f"127.0.0.1:{gcp_port}"}),
        "kmip": ({"endpoint": f"localhost:{kmip['port']}"}, {}),
        "kmip:delegated": ({"endpoint": f"localhost:{kmip['port']}"}, {"delegated": True}),
    }
    result = {}
    for name, (credentials, master_key) in there.items():
        account = {"kms": name.split(":")[0], "credentials": credentials, "tls": {
            "tlsCAFile": servers.ca, "tlsCertificateKeyFile": f"{servers.certs}/client.pem"}}
        resolved = run({name: account}, [call("resolve", name, {"provider": name, **master_key})])["steps"][0]
        assert resolved["status"] == "KT_OK", resolved
        result[name] = (account, credentials, resolved["masterKey"])
    return result


def key_document(master_key, material):
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    return {"_id": Binary(uuid.UUID(int=7).bytes, 4), "keyMaterial": Binary(base64.b64decode(material), 0), "creationDate": now,
            "updateDate": now, "status": 0, "masterKey": master_key}


def seal_with(document, providers):
    """What the driver makes of one value under this key: the same bytes only for the same DEK."""
    encrypter = ExplicitEncrypter(Vault(document), MongoCryptOptions(providers))
    try:
        return encrypter.encrypt(bson.encode({"v": "a value"}), ALGORITHM, key_id=uuid.UUID(int=7).bytes)
    finally:
        encrypter.close()


class Driver(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.accounts = {name: world[name][0] for name in world}
        vault = Vault()
        maker = ExplicitEncrypter(vault, MongoCryptOptions({"local": {"key": LOCAL}}))
        maker.create_data_key("local", key_material=DEK)
        maker.close()
        vault.document["_id"] = Binary(uuid.UUID(int=7).bytes, 4)
        cls.expected = seal_with(vault.document, {"local": {"key": LOCAL}})

    def test_the_driver_opens_our_wraps(self):
        for name, (_, credentials, master_key) in world.items():
            with self.subTest(name):
                made = run(self.accounts, [call("wrap", name, master_key, DEK)])["steps"][0]
                self.assertEqual(made["status"], "KT_OK", made)
                self.assertEqual(seal_with(key_document(master_key, made["out"]), {name: credentials}), self.expected)

    def test_we_open_the_drivers_wraps(self):
        for name, (_, credentials, master_key) in world.items():
            with self.subTest(name):
                vault = Vault()
                maker = ExplicitEncrypter(vault, MongoCryptOptions({name: credentials}))
                given = {k: v for k, v in master_key.items() if k != "provider"}
                maker.create_data_key(name, given, key_material=DEK)
                maker.close()
                opened = run(self.accounts, [call("unwrap", name, vault.document["masterKey"], bytes(vault.document["keyMaterial"]))])
                self.assertEqual(opened["steps"][0].get("out"), b64(DEK), opened["steps"])

    def test_from_every_provider_to_every_other(self):
        names = list(world)
        first = run(self.accounts, [call("wrap", name, world[name][2], DEK) for name in names])["steps"]
        opened = run(self.accounts, [call("unwrap", name, world[name][2], step["out"]) for name, step in zip(names, first)])["steps"]
        self.assertEqual({step["out"] for step in opened}, {b64(DEK)})
        for source, step in zip(names, opened):
            made = run(self.accounts, [call("wrap", name, world[name][2], step["out"]) for name in names])["steps"]
            for name, wrapped in zip(names, made):
                with self.subTest(f"{source} to {name}"):
                    document = key_document(world[name][2], wrapped["out"])
                    self.assertEqual(seal_with(document, {name: world[name][1]}), self.expected)

    def test_the_driver_opens_a_rewrap(self):
        account, credentials, master_key = world["aws"]
        first = run(self.accounts, [call("wrap", "aws", master_key, DEK)])["steps"][0]["out"]
        moved = run(self.accounts, [call("rewrap", "aws", master_key, first, source=master_key)])["steps"][0]
        self.assertEqual(moved["status"], "KT_OK", moved)
        self.assertEqual(seal_with(key_document(master_key, moved["out"]), {"aws": credentials}), self.expected)


if __name__ == "__main__":
    unittest.main()
