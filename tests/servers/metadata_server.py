# SPDX-License-Identifier: Apache-2.0
"""Doubles of the services from which programs on a cloud's machines get credentials. Plain HTTP, checks what
it is sent. Prints {port}; GET /count tells the requests by path.

metadata_server.py CONFIG    JSON: {"aws": {AccessKeyId, SecretAccessKey, Token}, "seconds": N, "authorization": TEXT,
                                    "expiring": true (the token says when), "lateBy": N (the reply
                                    announces its expiry so many seconds too late), "azureToken": TEXT, "gcpToken": TEXT,
                                    "trouble": [STATUS, ...] (of the first requests)}
"""
import collections
import datetime
import json
import secrets
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONFIG = json.loads(sys.argv[1])
SESSION = secrets.token_urlsafe(24)
ROLE = "turnrole"
counts = collections.Counter()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, body):
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def aws(self):
        seconds = CONFIG.get("seconds", 3600)
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
        until = until.replace(microsecond=0)
        # What fast_kms reads: the time after which it refuses the token.
        expiring = {"Token": f"exp-{int(until.timestamp() * 1000)}"} if CONFIG.get("expiring") else {}
        until += datetime.timedelta(seconds=CONFIG.get("lateBy", 0))
        return {**CONFIG["aws"], **expiring, "Code": "Success", "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def trouble(self):
        if CONFIG.get("trouble"):
            self.answer(CONFIG["trouble"].pop(0), "")
            return True
        return False

    def do_PUT(self):
        counts[self.path] += 1
        if self.trouble():
            return None
        good = self.path == "/latest/api/token" and self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        return self.answer(200 if good else 400, SESSION if good else "")

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = {k: v[0] for k, v in urllib.parse.parse_qs(url.query).items()}
        if url.path == "/count":
            return self.answer(200, counts)
        counts[url.path] += 1
        if self.trouble():
            return None
        header = self.headers.get
        base = "/latest/meta-data/iam/security-credentials/"
        if url.path.startswith(base):
            if header("X-aws-ec2-metadata-token") != SESSION:
                return self.answer(401, "")
            rest = url.path[len(base):]
            return self.answer(200, ROLE if rest == "" else self.aws() if rest == ROLE else "")
        if url.path == "/container":
            good = header("Authorization") == CONFIG.get("authorization")
            return self.answer(200 if good else 403, self.aws() if good else "")
        if url.path == "/metadata/identity/oauth2/token":
            good = header("Metadata") == "true" and query.get("api-version") == "2018-02-01" and \
                query.get("resource") == CONFIG.get("resource", "https://0.0.1")
            return self.answer(200 if good else 400, {"access_token": CONFIG.get("azureToken"), "token_type": "Bearer",
                                                      "expires_in": str(CONFIG.get("seconds", 3600))} if good else "")
        if url.path == "/computeMetadata/v1/instance/service-accounts/default/token":
            good = header("Metadata-Flavor") == "Google"
            return self.answer(200 if good else 403, {"access_token": CONFIG.get("gcpToken"), "token_type": "Bearer",
                                                      "expires_in": CONFIG.get("seconds", 3600)} if good else "")
        return self.answer(404, "")


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(json.dumps({"port": server.server_port}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
