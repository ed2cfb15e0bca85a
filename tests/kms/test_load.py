# SPDX-License-Identifier: Apache-2.0
"""Many keys against the fast responder (fast_kms.c): quota, speed, storm. It is no KMS, but it wraps for real."""
import json
import os
import resource
import time
import unittest

from client import run
import launcher

servers = None
LONG = os.environ.get("KEYTURN_LONG", "") not in ("", "0")
KEYS = ["arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890a" + c for c in "bc"]


def setUpModule():
    global servers
    servers = launcher.start("fast", "metadata")


def cmk(port, index=0):
    return {"provider": "aws", "region": "us-east-1", "key": KEYS[index], "endpoint": f"127.0.0.1:{port}"}


def load(port, count, credentials=None, env=None, **options):
    given = {"accessKeyId": "AKID", "secretAccessKey": "secret"} if credentials is None else credentials
    who = {"aws": {"kms": "aws", "credentials": given, "tls": {"tlsCAFile": servers.ca}}}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = run(who, [{"do": "load", "account": "aws", "masterKey": cmk(port, 1), "source": cmk(port, 0), "count": count}],
                 options={"deadlineMs": 120000, **options}, env=env, seconds=500)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    step = output["steps"][0]
    step["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    step.update(output["stats"], maxrssKiB=after.ru_maxrss)
    print(json.dumps({name: round(value, 3) if isinstance(value, float) else value for name, value in step.items()}))
    return step


class Load(unittest.TestCase):
    def whole(self, step, count):
        self.assertEqual((step["failed"], step["equal"]), (0, count), step)

    def test_a_quota_is_used_up(self):
        count = int(os.environ.get("KEYTURN_LOAD_KEYS", "3000"))
        step = load(servers.fast(delay=25, quota=1000), count)
        print(servers.end_fast())
        self.whole(step, count)
        if not LONG:  # beside other tests the machine may be the limit
            return
        # the first second's worth comes from the bucket; of the rest, the quota's share
        seconds = step["wrapSeconds"] + step["rewrapSeconds"] + step["unwrapSeconds"]
        self.assertGreaterEqual(3 * count / (1000 * (seconds + 1)), 0.85)

    def test_a_rate_ceiling_is_kept(self):
        step = load(servers.fast(delay=5), 1500, rate=500)
        figures = servers.end_fast()
        self.whole(step, 1500)
        self.assertEqual(figures["throttled"], 0)
        self.assertGreater(step["rewrapSeconds"], 1500 / 500 * 0.9)

    def test_hundreds_in_flight(self):
        step = load(servers.fast(delay=25), 6000)
        figures = servers.end_fast()
        print(figures)
        self.whole(step, 6000)
        self.assertEqual(figures["requests"], 18000)
        self.assertLessEqual(figures["connections"], 512)

    def test_latencies_that_vary_do_not_hold_it_back(self):
        step = load(servers.fast(delay=24, spread=0.8), 3000)
        figures = servers.end_fast()
        self.whole(step, 3000)
        # a window that holds still stays below ten; beside other tests the machine may hold it back
        self.assertGreater(figures["mostOpen"], 150 if LONG else 40)

    def test_a_storm_loses_nothing(self):
        there = servers.metadata(aws={"AccessKeyId": "AKID", "SecretAccessKey": "secret"}, expiring=True, seconds=5)
        port = servers.fast(delay=5, throttle=20, error=5, reset=2, truncate=1)
        count = int(os.environ.get("KEYTURN_STORM_KEYS", "2000"))
        begun = time.monotonic()
        step = load(port, count, credentials={},
                    env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{there['port']}"})
        figures = servers.end_fast()
        print(figures, round(time.monotonic() - begun, 1))
        self.whole(step, count)
        self.assertGreater(step["retries"], count * 3 * 0.2)
        for fault, share in (("throttled", 0.2), ("errors", 0.04), ("resets", 0.02), ("truncated", 0.01)):
            self.assertGreater(figures[fault], 0.5 * share * figures["requests"], fault)
        self.assertGreaterEqual(servers.counted(there)["/latest/api/token"], 2)

    def test_refused_tokens_are_replaced_in_the_middle(self):
        there = servers.metadata(aws={"AccessKeyId": "AKID", "SecretAccessKey": "secret"}, expiring=True, seconds=2, lateBy=3600)
        port = servers.fast(delay=5)
        step = load(port, 1200, credentials={}, rate=600,
                    env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{there['port']}"})
        figures = servers.end_fast()
        self.whole(step, 1200)
        self.assertGreater(figures["expired"], 0)
        self.assertGreaterEqual(step["tokens"], 6)


if __name__ == "__main__":
    unittest.main()
