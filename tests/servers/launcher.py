# SPDX-License-Identifier: Apache-2.0
"""Starts what a test asks for on free loopback ports, and stops all of it.

    with Servers() as servers:
        aws = servers.aws()                      # moto with authentication, behind HAProxy with TLS
        front = servers.front(aws["port"], delay_ms=25, status503=5)
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import certificates

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
VENV = os.environ.get("KEYTURN_KMS_PYTHON", os.path.join(ROOT, ".deps/kms-venv/bin/python"))
SYSTEM = os.environ.get("KEYTURN_KMIP_PYTHON", "/usr/bin/python3")
START_SECONDS = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def missing():
    """A sentence when the servers cannot run here, else None."""
    if not os.access(VENV, os.X_OK):
        return f"no Python with the KMS servers at {VENV}"
    if not shutil.which("haproxy") and not os.access("/usr/sbin/haproxy", os.X_OK):
        return "no haproxy"
    return None


def kmip_missing():
    found = subprocess.run([SYSTEM, "-c", "import kmip"], capture_output=True, check=False)
    return None if found.returncode == 0 else "no PyKMIP"


def start(*names):
    """Servers for a test module's setUpModule, which names those that it will ask for: stopped behind the module, also when
    its set-up fails. Skips the module where they cannot run."""
    why = missing() if any(name != "kmip" for name in names) else None
    why = why or (kmip_missing() if "kmip" in names else None)
    if why:
        raise unittest.SkipTest(f"{why} (./check installs it)")
    servers = Servers()
    unittest.addModuleCleanup(servers.stop)
    return servers


class Servers:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="keyturn-servers-")
        self.processes, self.responders = [], []
        self.certs = certificates.make(f"{self.folder}/certs")
        self.ca = f"{self.certs}/ca.pem"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # PyKMIP has a helper process
        for process in self.processes:
            process.wait()
            if process.stdout:
                process.stdout.close()
        self.processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _log(self, name):
        return open(f"{self.folder}/{name}-{len(self.processes)}.log", "wb")

    def spawn(self, name, argv, env=None):
        """A server that prints one JSON line once it serves."""
        with self._log(name) as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                       env={**os.environ, **(env or {})}, cwd=self.folder,
                                       start_new_session=True)
        self.processes.append(process)
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{name} did not start; see {self.folder}:\n{open(log.name, errors='replace').read()[-3000:]}")
        return json.loads(line)

    def script(self, name, *args, python=VENV, env=None):
        return self.spawn(name, [python, f"{HERE}/{name}_server.py", *map(str, args)], env)

    def front(self, port, **options):
        """TLS, HTTP/2, faults before a plain HTTP port; returns its own port. See haproxy_config."""
        mine = free_port()
        name = f"{self.folder}/haproxy-{mine}"
        with open(f"{name}.lua", "w", encoding="utf-8") as lua:
            lua.write('core.register_action("delay", {"http-req"}, function(txn) core.msleep(%d) end, 0)\n'
                      % options.get("delay_ms", 0))
        with open(f"{name}.cfg", "w", encoding="utf-8") as config:
            config.write(haproxy_config(mine, port, f"{name}.lua", self.certs, **options))
        with self._log("haproxy") as log:
            process = subprocess.Popen([shutil.which("haproxy") or "/usr/sbin/haproxy", "-f", f"{name}.cfg", "-db"],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.processes.append(process)
        wait_for_port(mine, process, log.name)
        return mine

    def aws(self, *args):
        return self.script("aws", *args)

    def azure(self, *args):
        return self.script("azure", self.certs, *args)

    def gcp(self, *args):
        return self.script("gcp", *args)

    def fast(self, **options):
        """The responder for load tests (fast_kms.c); its figures come from end_fast."""
        program = os.path.join(os.environ.get("KEYTURN_BUILD", os.path.join(ROOT, "build/release")), "tests/kms/fast_kms")
        given = [f"{name}={value}" for name, value in options.items()]
        port = self.spawn("fast", [program, f"{self.certs}/server.pem", *given])["port"]
        self.responders.append(self.processes[-1])
        return port

    def end_fast(self):
        """Stops the last fast responder, and returns what it counted."""
        process = self.responders.pop()
        self.processes.remove(process)
        process.terminate()
        figures = json.loads(process.stdout.readline())
        process.stdout.close()
        process.wait()
        return figures

    def kmip(self):
        return self.script("kmip", self.certs, self.folder, python=SYSTEM)

    def kmip_faults(self, mode):
        return self.script("kmipfaults", self.certs, mode, python=sys.executable)["port"]

    def proxy(self):
        return self.script("proxy", python=sys.executable)["port"]

    def logged(self, text):
        """Whether any server has logged this text."""
        for name in os.listdir(self.folder):
            if name.endswith(".log"):
                with open(f"{self.folder}/{name}", errors="replace", encoding="utf-8") as log:
                    if text in log.read():
                        return True
        return False

    def metadata(self, **config):
        return self.script("metadata", json.dumps(config))

    @staticmethod
    def counted(metadata):
        """Requests of a metadata server by path."""
        with urllib.request.urlopen(f"http://127.0.0.1:{metadata['port']}/count", timeout=10) as reply:
            return json.loads(reply.read())


def wait_for_port(port, process, log):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on {port}:\n{open(log, errors='replace').read()[-3000:]}")


def haproxy_config(port, backend, lua, certs, delay_ms=0, rate=0, status503=0, throttle=0, reset=0, garbage=0,
                   deny_body=None, bearer=None, h2=True, certificate="server", client_ca=False, extra=(), backend_tls=False, **_):
    """Percentages: status503, throttle (as AWS does), reset, garbage. rate: requests a second. deny_body: a
    regular expression and the reply to requests whose body matches. bearer: the only token that passes. backend_tls: the port
    behind speaks TLS too."""
    throttled = ('http-request return status 400 content-type application/x-amz-json-1.1 string '
                 '\'{"__type":"ThrottlingException","message":"Rate exceeded"}\'')
    rules = []
    if delay_ms:
        rules.append("http-request lua.delay")
    if rate:
        rules += ["stick-table type ip size 1k expire 10s store http_req_rate(1s)", "http-request track-sc0 src",
                  f"{throttled} if {{ sc_http_req_rate(0) gt {rate} }}"]
    if bearer:
        rules.append('http-request return status 401 content-type application/json string '
                     '\'{"error":{"code":401,"message":"no","status":"UNAUTHENTICATED"}}\' '
                     f'unless {{ req.hdr(authorization) "Bearer {bearer}" }}')
    if deny_body:
        rules.append(f"http-request return status {deny_body[1]} content-type application/json string "
                     f"'{deny_body[2]}' if {{ req.body -m reg {deny_body[0]} }}")
    if throttle:
        rules.append(f"{throttled} if {{ rand(100) lt {throttle} }}")
    if status503:
        rules.append(f"http-request return status 503 if {{ rand(100) lt {status503} }}")
    if reset:
        rules.append(f"http-request silent-drop if {{ rand(100) lt {reset} }}" if reset == "silent"
                     else f"http-request reject if {{ rand(100) lt {reset} }}")
    if garbage:
        rules.append("http-request return status 200 content-type application/json string "
                     f"'{{\"half\":' if {{ rand(100) lt {garbage} }}")
    rules += extra
    alpn = "alpn h2,http/1.1" if h2 else "alpn http/1.1"
    verify = f"ca-file {certs}/ca.pem verify required" if client_ca else ""
    return "\n".join([
        "global", f"  lua-load {lua}", "  maxconn 4000", "  nbthread 1", "  stats timeout 5s",
        # Drivers know headers in one spelling only.
        "  h1-case-adjust content-length Content-Length", "  h1-case-adjust transfer-encoding Transfer-Encoding",
        "defaults", "  mode http", "  option http-buffer-request", "  option h1-case-adjust-bogus-client", "  timeout client 30s", "  timeout server 30s",
        "  timeout connect 5s", "frontend front",
        f"  bind 127.0.0.1:{port} ssl crt {certs}/{certificate}.pem {alpn} {verify}",
        *("  " + rule for rule in rules), "  default_backend back", "backend back",
        "  http-reuse always" if backend_tls else "",
        f"  server one 127.0.0.1:{backend}{' ssl verify none' if backend_tls else ''}", ""])


def main():
    """launcher.py NAME...: starts the named servers (aws azure gcp kmip), prints one JSON object with where they
    are, and stops them when stdin ends."""
    with Servers() as servers:
        print(json.dumps({"ca": servers.ca, **{name: getattr(servers, name)() for name in sys.argv[1:]}}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
