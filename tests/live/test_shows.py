# SPDX-License-Identifier: Apache-2.0
"""From end to end on a set of three members: a driver reads what keyturn wrote. And memory beside the number of documents."""
import bson
from bson.binary import Binary
from bson.codec_options import CodecOptions
from pymongo.encryption import AutoEncryptionOpts, ClientEncryption

import pymongo
from live import LiveCase, Vault, count, heavy, plain_docs
from servers import OnThree, Set
from vaults import VaultCase

DOCUMENTS = count(2000, 100000, 500)
KEYS = count(1500, 100000, 300)
MEMORY = count(8000, 100000)


class Three(OnThree):
    def drivers_documents(self):
        """As a driver without a schema sees them, which opens what is sealed."""
        options = AutoEncryptionOpts({name: {"key": key} for name, key in self.vault.masters.items()},
                                     f"{self.database.name}.__keyVault", bypass_auto_encryption=True)
        with pymongo.MongoClient(self.uri, auto_encryption_opts=options) as client:
            return list(client[self.database.name]["docs"].find({}, sort=[("_id", 1)]))

    def test_there_and_back_with_a_rewrap_between(self):
        plain = plain_docs(DOCUMENTS)
        self.insert(plain)
        self.assertEqual(3 * DOCUMENTS, self.run_job("encrypt").ns["values"])
        done = self.run_job("verify")
        self.assertEqual([DOCUMENTS] * 3, [p["authentic"] for p in done.ns["paths"].values()])
        wanted = [bson.decode(d) for d in plain]
        self.assertEqual(wanted, self.drivers_documents())
        more = Vault([f"key {i}" for i in range(KEYS)])
        more.masters = self.vault.masters
        for name in list(more.docs):
            more.add(name)  # again, under the masters of this vault
        self.key_vault.insert_many([bson.decode(d) for d in more.docs.values()])
        done = self.keyturn("rewrap", "--config", "config.json", "--key-vault", self.uri, "--provider", "local:new", "--yes")
        self.assertEqual(KEYS + 3, done.report["keys"]["rewrapped"])
        self.assertEqual({"local:new"}, {d["masterKey"]["provider"] for d in self.key_vault.find({})})
        self.assertEqual(wanted, self.drivers_documents())
        self.run_job("decrypt")
        self.assertEqual(plain, self.read())
        self.assert_closed()


class Memory(LiveCase):
    def most(self, number):
        """VmHWM in KiB of an encrypt of so many documents."""
        self.docs.drop()
        self.insert(plain_docs(number))
        process, most = self.start("encrypt", "--threads", 4), 0
        while process.poll() is None:
            try:
                with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
                    most = max([most, *(int(line.split()[1]) for line in status if line.startswith("VmHWM"))])
            except OSError:
                pass
        self.assertEqual(0, process.returncode, self.err_text())
        return most

    @heavy
    def test_it_is_flat(self):
        few, many = self.most(MEMORY), self.most(5 * MEMORY)
        print(f"\n  {few} KiB for {MEMORY} documents, {many} KiB for {5 * MEMORY}")
        self.assertLess(many, few * 1.1)


class Elsewhere(LiveCase):
    """The key vault is on another cluster than the documents."""

    def test_a_key_vault_on_another_cluster(self):
        other = Set(1)
        self.addCleanup(other.close)
        keys = list(self.key_vault.find({}))
        self.key_vault.drop()
        plain = plain_docs(500)
        self.insert(plain)
        self.refused(*self.args("encrypt"), says="key")
        with pymongo.MongoClient(other.uri) as client:
            client["keys"]["vault"].insert_many(keys)
            self.write_config(keyVaultNamespace="keys.vault", keyVault=other.uri)
            self.run_job("encrypt")
            self.assertNotIn("keyturn", client.list_database_names())
            self.assertEqual(keys, list(client["keys"]["vault"].find({})))
        self.assertEqual(plain, [self.opened(d) for d in self.read()])
        self.assertEqual(1500, sum(map(self.sealed_count, self.read())))
        self.run_job("decrypt")
        self.assertEqual(plain, self.read())


class Drivers(VaultCase):
    @heavy
    def test_a_drivers_rewrap_at_the_same_time(self):
        """Each key stands under the one or the other CMK when both are done, and opens to what it was."""
        self.fill(count(400, 5000))
        providers = {name: {"key": key} for name, key in self.vault.masters.items()}
        with ClientEncryption(providers, f"{self.database.name}.__keyVault", self.client, CodecOptions()) as driver:
            for n in range(count(3, 10)):
                process = self.start("rewrap", "--provider", "local:new", "--backup", f"b{n}.bson", "--threads", 2)
                result = driver.rewrap_many_data_key({}, provider="local:old").bulk_write_result
                # Later ones may meet a CMK that no key had when they began: such a key is left and said.
                self.assertIn(process.wait(60), (0, 1) if n else (0,), self.err_text())
                self.assertEqual(len(self.vault.ids), result.matched_count)
                self.assertEqual(self.expected(), self.deks())
            key = next(iter(self.vault.ids.values()))
            sealed = driver.encrypt("text", "AEAD_AES_256_CBC_HMAC_SHA_512-Random", Binary(key, 4))
            self.assertEqual((2, b"text\0"), (self.vault.open_value(bytes(sealed))[0], self.vault.open_value(bytes(sealed))[1][4:]))
