# SPDX-License-Identifier: Apache-2.0
"""The ground that every test on a server stands on: a replica set whose transactions commit, abort and conflict."""
import os
import unittest
import uuid

try:
    import pymongo
    from pymongo.errors import OperationFailure
    from pymongo.read_concern import ReadConcern
    from pymongo.write_concern import WriteConcern
except ImportError:
    pymongo = None

URI = os.environ.get("KEYTURN_TEST_MONGODB_URI")


@unittest.skipUnless(pymongo, "pymongo is missing (./check installs it)")
@unittest.skipUnless(URI, "KEYTURN_TEST_MONGODB_URI is not set (scripts/mongod.py run)")
class Transactions(unittest.TestCase):
    def setUp(self):
        self.client = pymongo.MongoClient(URI, serverSelectionTimeoutMS=10000)
        self.database = self.client[f"keyturn_test_{uuid.uuid4().hex}"]
        self.docs = self.database.create_collection("docs")

    def tearDown(self):
        self.client.drop_database(self.database.name)
        self.client.close()

    def snapshot(self, session):
        return session.start_transaction(
            read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority"))

    def test_committed_documents_are_read_back(self):
        with self.client.start_session() as session, self.snapshot(session):
            self.docs.insert_many([{"_id": i, "text": "grün"} for i in range(100)], session=session)
            self.assertEqual(100, self.docs.count_documents({}, session=session))
            self.assertEqual(0, self.docs.count_documents({}))  # nobody else sees them yet
        self.assertEqual(100, self.docs.count_documents({"text": "grün"}))

    def test_aborted_documents_are_gone(self):
        with self.client.start_session() as session:
            session.start_transaction()
            self.docs.insert_one({"_id": 1}, session=session)
            session.abort_transaction()
        self.assertIsNone(self.docs.find_one({}))

    def test_a_write_that_races_a_transaction_aborts_it(self):
        self.docs.insert_one({"_id": 1, "n": 0})
        with self.client.start_session() as session:
            self.snapshot(session)
            self.docs.find_one({"_id": 1}, session=session)
            self.docs.update_one({"_id": 1}, {"$set": {"n": 1}})
            with self.assertRaises(OperationFailure) as raised:
                self.docs.update_one({"_id": 1}, {"$set": {"n": 2}}, session=session)
            self.assertTrue(raised.exception.has_error_label("TransientTransactionError"))
            session.abort_transaction()
        self.assertEqual(1, self.docs.find_one({"_id": 1})["n"])


if __name__ == "__main__":
    unittest.main()
