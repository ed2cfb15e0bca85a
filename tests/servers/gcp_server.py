# SPDX-License-Identifier: Apache-2.0
"""drongo's Cloud KMS, and a token endpoint that verifies the service account's JWT. Plain HTTP, for HAProxy to
front. Prints {port, tokenPort, email, privateKey (base64 PKCS#8), pem, bearer, project, keys}.

gcp_server.py [TOKEN_SECONDS]
"""
import base64
import json
import secrets
import sys
import threading
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import drongo.server
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

LIFETIME = int(sys.argv[1]) if len(sys.argv) > 1 else 3600
EMAIL, BEARER = "turner@example.iam.gserviceaccount.com", "ya29." + secrets.token_urlsafe(32)
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PARENT = "projects/proj/locations/global"


class Tokens(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        try:
            # aud is https://<host>/token whatever the proxy's port: checked to be ours below
            claims = jwt.decode(form["assertion"][0], KEY.public_key(), algorithms=["RS256"],
                                options={"verify_aud": False, "require": ["exp", "iat", "iss", "aud"]})
            assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
            assert claims["aud"] == f"https://{self.headers['Host']}/token", claims["aud"]
            assert claims["iss"] == EMAIL and claims["scope"].endswith("/auth/cloudkms"), claims
            assert claims["exp"] - claims["iat"] == 300, claims
        except Exception as problem:  # whatever is wrong with what was sent
            return self.answer(400, {"error": "invalid_grant", "error_description": repr(problem)})
        return self.answer(200, {"access_token": BEARER, "expires_in": LIFETIME, "token_type": "Bearer"})


class Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


def post(port, path, body=b"{}"):
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/v1/{path}", data=body, method="POST"),
                                timeout=10) as reply:
        reply.read()


def main():
    ThreadingHTTPServer.request_queue_size = 512
    kms = drongo.server.create_server("127.0.0.1", 0)
    tokens = Server(("127.0.0.1", 0), Tokens)
    for server in (kms, tokens):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    port = kms.server_address[1]
    post(port, f"{PARENT}/keyRings?keyRingId=ring")
    for key in ("k1", "k2"):
        post(port, f"{PARENT}/keyRings/ring/cryptoKeys?cryptoKeyId={key}", b'{"purpose":"ENCRYPT_DECRYPT"}')
    der = KEY.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    print(json.dumps({"port": port, "tokenPort": tokens.server_port, "email": EMAIL, "bearer": BEARER,
                      "privateKey": base64.b64encode(der).decode(), "pem": pem.decode(), "project": "proj",
                      "keys": ["k1", "k2"]}), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
