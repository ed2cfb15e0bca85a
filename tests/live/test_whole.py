# SPDX-License-Identifier: Apache-2.0
"""rewrap --all-or-nothing of a key vault on a server."""
import time

import bson
from bson.binary import Binary

from live import count
from vaults import VaultCase


class AllOrNothing(VaultCase):
    def whole(self, *more, **options):
        return self.run_job("rewrap", "--provider", "local:new", "--all-or-nothing", *more, **options)

    def test_all(self):
        self.fill(count(2500, 50000, 400))
        done = self.whole()
        self.assertEqual(len(self.vault.ids), done.report["keys"]["rewrapped"])
        self.assertEqual(self.expected(), self.deks())
        self.assertEqual({"local:new"}, self.providers())
        self.assert_closed()
        self.keyturn("keys", "restore", self.backup(), "--config", "config.json", "--yes")
        self.assertEqual({"local:old"}, self.providers())

    def test_nothing(self):
        self.fill(700)
        doc = bson.decode(self.vault.docs["key 5"])
        self.key_vault.update_one({"_id": doc["_id"]}, {"$set": {"keyMaterial": bytes(160)}})
        before = self.keys()
        done = self.whole(exit=1)
        self.assertEqual(0, done.report["keys"]["rewrapped"])
        self.assertEqual(before, self.keys())
        self.assert_closed()

    def refuse(self, command, namespace, skip):
        """The server refuses such a command after some of them."""
        self.client.admin.command({"configureFailPoint": "failCommand", "mode": {"skip": skip}, "data": {
            "appName": "keyturn", "failCommands": [command], "errorCode": 13, "namespace": namespace}})
        self.addCleanup(self.client.admin.command, {"configureFailPoint": "failCommand", "mode": "off"})

    def assert_rewrapped(self, done, withheld, number):
        self.assertEqual((withheld, number, [number]), (done.report["withheld"], done.report["keys"]["rewrapped"],
                                                        [c["rewrapped"] for c in done.report["keys"]["cmks"]]))

    def test_a_limit_before_the_end(self):
        self.fill(2500)
        last = max(self.keys())
        self.key_vault.update_one({"_id": Binary(last, 4)}, {"$set": {"keyMaterial": bytes(160)}})
        before = self.keys()
        self.assert_rewrapped(self.whole("--max-failures", 0, exit=3), True, 0)
        self.assertEqual(before, self.keys())
        self.assert_closed()

    def test_a_transaction_that_the_server_refuses(self):
        self.fill(1200)
        before = self.keys()
        self.refuse("update", self.key_vault.full_name, 0)
        self.assert_rewrapped(self.whole(exit=4), True, 0)
        self.assertEqual(before, self.keys())
        self.assert_closed()

    def test_what_is_committed_counts_whatever_comes_after_it(self):
        self.fill(300)
        self.refuse("delete", f"{self.state_db}.checkpoints", 1)
        self.assert_rewrapped(self.whole(exit=4), False, 300)
        self.assertEqual({"local:new"}, self.providers())

    def test_more_than_a_transaction_takes(self):
        self.fill(2)
        one = next(iter(self.vault.docs.values()))
        self.put([one.replace(next(iter(self.vault.ids.values())), i.to_bytes(16, "big")).replace(
            b"key 0", b"%05d" % i) for i in range(15001)])
        lifetime = self.client.admin.command("getParameter", 1, transactionLifetimeLimitSeconds=1)
        self.client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=1)
        try:
            self.refused(*self.args("rewrap", "--provider", "local:new", "--all-or-nothing"), says=("15000", "lifetime"))
        finally:
            self.client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=lifetime[
                "transactionLifetimeLimitSeconds"])
        self.assertEqual({"local:old"}, self.providers())

    def test_killed_at_any_moment_it_is_all_or_nothing(self):
        self.fill(count(3000, 30000, 500))
        for n in range(count(8, 50, 2)):
            process = self.start("rewrap", "--provider", "local:new", "--all-or-nothing", "--backup", f"b{n}.bson")
            time.sleep(0.1 + 0.12 * n)
            process.kill()
            process.wait()
            # A commit that was sent before the kill may come while this reads.
            with self.client.start_session(snapshot=True) as once:
                seen = {d["masterKey"]["provider"] for d in self.key_vault.find({}, session=once)}
            self.assertEqual(1, len(seen))
            if seen == {"local:new"}:
                break
        self.assertEqual(self.expected(), self.deks())
