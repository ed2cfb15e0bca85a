# SPDX-License-Identifier: Apache-2.0
"""Jobs on a key vault that lives on a server."""
import json

from bson.raw_bson import RawBSONDocument

from live import LiveCase, Vault, rawbson


class VaultCase(LiveCase):
    KEYS = ()

    def fill(self, number):
        vault = Vault([f"key {i}" for i in range(number)])
        self.vault = vault
        self.write_config()
        self.put(vault.docs.values())

    def put(self, docs):
        docs = [RawBSONDocument(d) for d in docs]
        for at in range(0, len(docs), 5000):
            self.raw_collection(self.key_vault).insert_many(docs[at:at + 5000])

    def write_config(self, schema=None, **more):
        super().write_config({"bsonType": "object"}, **more)
        config = json.loads(self.path("config.json").read_text())
        config["keyVault"] = config.pop("from")
        del config["schemaMap"]
        self.path("config.json").write_text(json.dumps(config))

    def keys(self):
        return {rawbson.fields(d)["_id"][1][5:]: d for d in self.read(self.key_vault)}

    def deks(self):
        return {key_id: self.vault.open_key(doc) for key_id, doc in self.keys().items()}

    def providers(self):
        return {d["masterKey"]["provider"] for d in self.key_vault.find({})}

    def expected(self):
        return {self.vault.ids[name]: dek for name, dek in self.vault.deks.items()}

    def backup(self):
        (name,) = [p for p in self.folder.iterdir() if p.name.startswith("rewrap-")]
        return name
