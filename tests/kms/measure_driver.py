# SPDX-License-Identifier: Apache-2.0
"""How many DEKs a second the driver rewraps, one call after the other on new connections; how many a client that sends
all calls at once, each on a new connection; and how many keyturn's KMS layer, against the same fast responder in the
same run. Prints one JSON object; measures, judges nothing.

measure_driver.py [DELAY_MS [DRIVER_KEYS [OUR_KEYS [FAN_OUT_KEYS]]]]
"""
import base64
import datetime
import json
import os
import resource
import subprocess
import sys
import time
import uuid

from client import CLEAN, CLIENT, DEK, b64, call, run
import launcher
import test_driver
from test_load import cmk, KEYS

import bson
from bson.binary import Binary
from pymongocrypt.options import MongoCryptOptions
from pymongocrypt.synchronous.explicit_encrypter import ExplicitEncrypter

CREDENTIALS = {"accessKeyId": "AKID", "secretAccessKey": "secret"}


class ManyKeys(test_driver.Vault):
    def fetch_keys(self, filter):
        for document in self.document:
            yield bson.encode(document)


def documents(port, count, account):
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    made = run(account, [call("wrap", "aws", cmk(port), DEK)] * count)["steps"]
    return [{"_id": Binary(uuid.uuid4().bytes, 4), "keyMaterial": Binary(base64.b64decode(step["out"]), 0),
             "creationDate": now, "updateDate": now, "status": 0, "masterKey": cmk(port)} for step in made]


def fan_out(servers, port, wrapped, count):
    program = os.path.join(os.path.dirname(CLIENT), "fanout_client")
    done = subprocess.run([program, f"https://127.0.0.1:{port}/", servers.ca, str(count), b64(DEK), wrapped, KEYS[1]],
                          capture_output=True, text=True, env=CLEAN, check=True)
    return json.loads(done.stdout)


def cpu(who):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def main():
    defaults = ["25", "200", "20000", "2000"]
    delay, driver_keys, our_keys, fan_keys = (int(text) for text in sys.argv[1:] + defaults[len(sys.argv) - 1:])
    with launcher.Servers() as servers:
        test_driver.servers = servers
        account = {"aws": {"kms": "aws", "credentials": CREDENTIALS, "tls": {"tlsCAFile": servers.ca}}}
        port = servers.fast(delay=delay)
        keys = documents(port, driver_keys, account)
        driver = ExplicitEncrypter(ManyKeys(keys), MongoCryptOptions({"aws": CREDENTIALS}))
        begun, cpu_begun = time.monotonic(), cpu(resource.RUSAGE_SELF)
        target = {name: value for name, value in cmk(port, 1).items() if name != "provider"}
        result = bson.decode(driver.rewrap_many_data_key({}, "aws", target))
        seconds = time.monotonic() - begun
        assert len(result["v"]) == driver_keys
        driver_cpu = cpu(resource.RUSAGE_SELF) - cpu_begun
        servers.end_fast()
        port = servers.fast(delay=delay)
        fan = fan_out(servers, port, base64.b64encode(keys[0]["keyMaterial"]).decode(), fan_keys)
        servers.end_fast()
        port = servers.fast(delay=delay)
        before, wall = cpu(resource.RUSAGE_CHILDREN), time.monotonic()
        step = run(account, [{"do": "load", "account": "aws", "masterKey": cmk(port, 1), "source": cmk(port),
                              "count": our_keys}], options={"deadlineMs": 60000}, seconds=600)
        ours_cpu, wall = cpu(resource.RUSAGE_CHILDREN) - before, time.monotonic() - wall
        responder = servers.end_fast()
        ours = our_keys / step["steps"][0]["rewrapSeconds"]
        assert step["steps"][0]["equal"] == our_keys
        print(json.dumps({"delayMs": delay, "cores": os.cpu_count(), "loadAverage": os.getloadavg()[0],
                          "driverDeksPerSecond": round(driver_keys / seconds, 1),
                          "driverCpuShare": round(driver_cpu / seconds, 3), "fanOutDeksPerSecond": round(fan_keys / fan["seconds"], 1),
                          "fanOutFailed": fan["failed"], "oursDeksPerSecond": round(ours, 1),
                          "oursCpuSecondsPerRequest": round(ours_cpu / (3 * our_keys), 6),
                          "oursCpuShare": round(ours_cpu / wall, 3),
                          "responderCpuShare": round(responder["cpuSeconds"] / wall, 3),
                          "timesDriver": round(ours / (driver_keys / seconds), 1),
                          "timesFanOut": round(ours / (fan_keys / fan["seconds"]), 1)}))


if __name__ == "__main__":
    main()
