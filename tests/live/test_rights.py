# SPDX-License-Identifier: Apache-2.0
"""A server with users: what each may is looked up before a job begins."""
import pathlib
import secrets
import shutil
import tempfile

import pymongo

from live import LiveCase, plain_docs
from servers import mongod


class WithUsers:
    """A set of one member that wants to know who one is; root's password is root."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="keyturn-users-")
        key = pathlib.Path(self.folder, "key")
        key.write_text(secrets.token_hex(32))
        key.chmod(0o400)
        self.port = mongod.free_port()
        process = mongod.launch(self.folder, self.port, ("--replSet", "kt", "--keyFile", str(key)))
        if not mongod.elect([process], [self.port]):
            raise RuntimeError("no primary")
        with pymongo.MongoClient("127.0.0.1", self.port, directConnection=True) as client:
            client.admin.command("createUser", "root", pwd="root", roles=["root"])
        self.uri = self.uri_of("root")

    def uri_of(self, user):
        return f"mongodb://{user}:{user}@127.0.0.1:{self.port}/?replicaSet=kt"

    def close(self):
        mongod.stop(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)


class Rights(LiveCase):
    @classmethod
    def setUpClass(cls):
        cls.server = WithUsers()
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.URI = self.server.uri
        super().setUp()
        self.plain = plain_docs(20)
        self.insert(self.plain)

    def user(self, name, *roles):
        self.client.admin.command("createUser", name, pwd=name, roles=list(roles))
        self.addCleanup(self.client.admin.command, "dropUser", name)
        self.uri = self.server.uri_of(name)
        self.write_config()

    def role(self, role, db=None):
        return {"role": role, "db": db or self.database.name}

    def assert_untouched(self):
        self.assertEqual(self.plain, self.read())
        self.assertNotIn(self.state_db, self.client.list_database_names())

    def test_who_may_only_read_is_refused_and_may_verify_and_try(self):
        self.user("reader", self.role("read"))
        done = self.refused(*self.args("encrypt"),
                            says=("user reader", '"update"', self.ns, "readWrite"))
        self.assertNotIn("reader:reader", done.text)
        self.assert_untouched()
        done = self.run_job("encrypt", "--dry-run")
        self.assertIn('lacks the right "update"', done.text)
        self.run_job("verify", exit=5)
        self.refused("rewrap", "--config", "config.json", "--key-vault", "env:KT_URI", "--yes",
                     env={"KT_URI": self.uri}, says=("user reader", '"update"', "__keyVault"))
        self.assert_untouched()

    def test_who_may_not_keep_the_state_is_refused(self):
        self.user("writer", self.role("readWrite"))
        self.refused(*self.args("encrypt"), says=("createCollection", self.state_db, "--checkpoint"))
        self.assert_untouched()

    def test_read_and_write_are_enough(self):
        self.user("both", self.role("readWrite"), self.role("readWrite", self.state_db))
        self.run_job("encrypt")
        self.run_job("decrypt")
        self.assertEqual(self.plain, self.read())
        self.assert_closed()

    def test_a_role_for_all_databases(self):
        self.user("all", "readWriteAnyDatabase")
        self.run_job("encrypt")
        self.assertEqual(60, sum(self.sealed_count(d) for d in self.read()))

    def test_a_role_of_ones_own_for_one_collection(self):
        resource = {"db": self.database.name, "collection": "docs"}
        self.client.admin.command("createRole", "mover", roles=[], privileges=[
            {"resource": resource, "actions": ["find", "update", "listIndexes", "collStats"]},
            {"resource": {**resource, "collection": ""}, "actions": ["listCollections"]},
            {"resource": {**resource, "collection": "__keyVault"}, "actions": ["find"]}])
        self.addCleanup(self.client.admin.command, "dropRole", "mover")
        self.user("mover", self.role("mover", "admin"), self.role("readWrite", self.state_db))
        self.run_job("encrypt")

    def test_what_is_written_elsewhere_is_looked_up_there(self):
        other = self.client[self.database.name + "_to"]
        self.addCleanup(self.client.drop_database, other.name)

        def args():
            base, _, query = self.uri.partition("?")
            return self.args("encrypt", "--to", "env:KT_TO"), {"KT_TO": f"{base}{other.name}?{query}&authSource=admin"}

        self.user("taker", self.role("read"), self.role("readWrite", self.state_db), self.role("read", other.name))
        words, env = args()
        self.refused(*words, env=env, says=("user taker", '"createCollection"', f"{other.name}.docs", "readWrite"))
        self.assertNotIn(other.name, self.client.list_database_names())
        self.assert_untouched()
        self.user("bearer", self.role("read"), self.role("readWrite", other.name))
        words, env = args()
        self.refused(*words, env=env, says=("user bearer", '"createCollection"', self.state_db))
        self.client.admin.command("grantRolesToUser", "bearer", roles=[self.role("readWrite", self.state_db)])
        self.keyturn(*words, env=env)
        self.assertEqual(self.plain, [self.opened(d) for d in self.read(other["docs"])])
        self.assertEqual(self.plain, self.read())

    def test_a_wrong_password(self):
        self.uri = self.server.uri.replace("root:root", "root:wrong")
        self.write_config()
        done = self.refused(*self.args("encrypt"), says="Authentication failed")
        self.assertNotIn("wrong", done.text)
        self.assert_untouched()
