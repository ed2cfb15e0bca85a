# SPDX-License-Identifier: Apache-2.0
"""A double of Azure Key Vault's keys and of the identity platform's token endpoint, with real RSA-OAEP-256 and
TLS. Microsoft's client library is run against it (tests/kms/test_azure.py). Prints {port, tenantId, clientId,
clientSecret, federatedToken, keys: {NAME: [VERSION, ...]}}, newest version last.

azure_server.py CERTS [TOKEN_SECONDS]

Keys: cmk1 with two versions, cmk2 with one, "hidden" (may wrap and unwrap, not be read), "off" (disabled),
"denied", "aged" (its newest version is disabled), "liar" (as "hidden", and each fifth wrap holds other bytes). Control: POST /control/rotate/NAME adds a version, GET /control/tokens tells
all tokens that were given out.
"""
import base64
import itertools
import json
import secrets
import ssl
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
TENANT, CLIENT = "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000"
# No characters that a form encodes: libmongocrypt sends the secret as it is.
SECRET, FEDERATED = secrets.token_urlsafe(12), "fed." + secrets.token_urlsafe(24)
LIFETIME = float(sys.argv[2]) if len(sys.argv) > 2 else 3600
PAGE = 1  # versions on one page, so that links are followed
keys, tokens, lock = {}, {}, threading.Lock()
disabled = set()  # versions
lies = itertools.count(1)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def add_version(name):
    version = secrets.token_hex(16)
    keys.setdefault(name, {})[version] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return version


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, **headers):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def error(self, status, code, message, inner=None, **headers):
        body = {"code": code, "message": message, **({"innererror": {"code": inner}} if inner else {})}
        self.answer(status, {"error": body}, **headers)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def token(self):
        form = {k: v[0] for k, v in urllib.parse.parse_qs(self.body().decode()).items()}
        assertion = form.get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        proven = form.get("client_secret") == SECRET or (assertion and form.get("client_assertion") == FEDERATED)
        if form.get("grant_type") != "client_credentials" or form.get("client_id") != CLIENT or not proven:
            return self.answer(401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret"})
        # "https://0.0.1/.default" for the vault 127.0.0.1: host without its first label
        if form.get("scope") not in ("https://0.0.1/.default", "https://vault.azure.net/.default"):
            return self.answer(400, {"error": "invalid_scope"})
        with lock:
            token = secrets.token_urlsafe(32)
            tokens[token] = time.monotonic() + LIFETIME
        return self.answer(200, {"token_type": "Bearer", "expires_in": max(1, int(LIFETIME)), "access_token": token})

    def authorised(self):
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if tokens.get(token, 0) > time.monotonic():
            return True
        here = f"https://127.0.0.1:{self.server.server_port}"
        self.error(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.", WWW_Authenticate=
                   f'Bearer authorization="{here}/{TENANT}", resource="https://vault.azure.net"')
        return False

    def kid(self, name, version):
        return f"https://127.0.0.1:{self.server.server_port}/keys/{name}/{version}"

    def usable(self, name):
        if name not in keys:
            self.error(404, "KeyNotFound", f"A key with (name/id) {name} was not found in this key vault.")
        elif name == "denied":
            self.error(403, "Forbidden", "Caller is not authorized to perform action on resource.", "ForbiddenByRbac")
        elif name == "off":
            self.error(403, "Forbidden", "Operation is not allowed on a disabled key.", "KeyDisabled")
        else:
            return True
        return False

    def do_POST(self):
        parts = urllib.parse.urlsplit(self.path).path.split("/")
        if parts[2:] == ["oauth2", "v2.0", "token"] and parts[1] == TENANT:
            return self.token()
        data = self.body()
        if parts[1] == "control":
            return self.answer(200, {"version": add_version(parts[3])})
        if not self.authorised() or not self.usable(parts[2]):
            return None
        name, version, operation = parts[2], parts[3] or list(keys[parts[2]])[-1], parts[4]
        if version not in keys[name]:
            return self.error(404, "KeyNotFound", f"A key with (name/id) {name}/{version} was not found")
        if version in disabled:
            return self.error(403, "Forbidden", "Operation is not allowed on a disabled key.", "KeyDisabled")
        request, key = json.loads(data), keys[name][version]
        if request.get("alg") != "RSA-OAEP-256":
            return self.error(400, "BadParameter", "Key and signing algorithm are incompatible.")
        try:
            value = unb64(request["value"])
            if name == "liar" and operation == "wrapkey" and next(lies) % 5 == 0:
                value = secrets.token_bytes(len(value))
            made = key.public_key().encrypt(value, OAEP) if operation == "wrapkey" else key.decrypt(value, OAEP)
        except ValueError:
            return self.error(400, "BadParameter", "The parameter is incorrect.")
        return self.answer(200, {"kid": self.kid(name, version), "value": b64(made)})

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.split("/")
        if parts[1:] == ["control", "tokens"]:
            return self.answer(200, list(tokens))
        if not self.authorised():
            return None
        name = parts[2]
        if name in ("hidden", "liar"):
            return self.error(403, "Forbidden", "The user does not have keys get permission.", "ForbiddenByPolicy")
        if name not in keys or name == "denied":
            return self.usable(name) and None
        if parts[3:] == ["versions"]:
            skip = int(urllib.parse.parse_qs(url.query).get("$skiptoken", ["0"])[0])
            page = list(keys[name])[skip:skip + PAGE]
            more = skip + PAGE < len(keys[name])
            link = f"https://127.0.0.1:{self.server.server_port}{url.path}?api-version=7.1&$skiptoken={skip + PAGE}"
            return self.answer(200, {"value": [{"kid": self.kid(name, v), "attributes": {"enabled": v not in disabled}} for v in page],
                                     "nextLink": link if more else None})
        version = parts[3] if len(parts) > 3 and parts[3] else list(keys[name])[-1]
        if version not in keys[name]:
            return self.error(404, "KeyNotFound", "not found")
        public = keys[name][version].public_key().public_numbers()
        return self.answer(200, {"key": {"kid": self.kid(name, version), "kty": "RSA",
                                         "key_ops": ["wrapKey", "unwrapKey"], "n": b64(public.n.to_bytes(256, "big")),
                                         "e": b64(public.e.to_bytes(3, "big"))},
                                 "attributes": {"enabled": name != "off" and version not in disabled, "created": 1700000000}})


class Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


def main():
    certs = sys.argv[1]
    for name in ("cmk1", "cmk1", "cmk2", "hidden", "liar", "off", "denied", "aged", "aged"):
        add_version(name)
    disabled.add(list(keys["aged"])[-1])
    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certs}/server.crt", f"{certs}/server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(json.dumps({"port": server.server_port, "tenantId": TENANT, "clientId": CLIENT, "clientSecret": SECRET,
                      "federatedToken": FEDERATED, "keys": {name: list(v) for name, v in keys.items()}}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
