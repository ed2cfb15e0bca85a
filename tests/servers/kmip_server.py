# SPDX-License-Identifier: Apache-2.0
"""PyKMIP's server with a client certificate required. Prints {port}. For the Python that has PyKMIP.

kmip_server.py CERTS FOLDER
"""
import json
import os
import socket
import ssl
import sys
import threading
import time
import traceback

if not hasattr(ssl, "wrap_socket"):  # Python 3.12 took it away; PyKMIP 0.10.0 wants it
    def _wrap_socket(sock, keyfile=None, certfile=None, server_side=False, cert_reqs=ssl.CERT_NONE, ssl_version=None,
                     ca_certs=None, do_handshake_on_connect=True, suppress_ragged_eofs=True, ciphers=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certfile, keyfile)
        context.verify_mode = cert_reqs
        context.load_verify_locations(ca_certs)
        if ciphers:
            context.set_ciphers(ciphers)
        return context.wrap_socket(sock, server_side=server_side, do_handshake_on_connect=do_handshake_on_connect,
                                   suppress_ragged_eofs=suppress_ragged_eofs)
    ssl.wrap_socket = _wrap_socket

import sqlalchemy
from kmip.core import exceptions
from kmip.services.server import server as pykmip, session


def _close_what_is_broken(handle=session.KmipSession._handle_message_loop):
    """A connection that the client has reset would be read again and again, for ever, beside all others."""
    def loop(self):
        try:
            handle(self)
        except OSError as broken:
            raise exceptions.ConnectionClosed() from broken
    session.KmipSession._handle_message_loop = loop


def _connect_without_a_pool(create=sqlalchemy.create_engine):
    """As SQLAlchemy 1.4 does with files: PyKMIP keeps connections, and those of SQLAlchemy 2's pool run out."""
    sqlalchemy.create_engine = lambda *args, **options: create(*args, poolclass=sqlalchemy.pool.NullPool, **options)


_close_what_is_broken()
_connect_without_a_pool()

# server.pem holds both: Debian 13's PyKMIP takes the certificate's path for the key's.
CONFIG = """[server]
hostname=127.0.0.1
port={port}
certificate_path={certs}/server.pem
key_path={certs}/server.pem
ca_path={certs}/ca.pem
auth_suite=TLS1.2
policy_path={folder}/policies
enable_tls_client_auth=True
logging_level=WARNING
database_path={folder}/pykmip.db
"""


def announce(port):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                print(json.dumps({"port": port}), flush=True)
                return
        time.sleep(0.05)
    os._exit(1)


def main():
    certs, folder = sys.argv[1], os.path.join(sys.argv[2], "kmip")
    os.makedirs(f"{folder}/policies", exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open(f"{folder}/server.conf", "w", encoding="utf-8") as config:
        config.write(CONFIG.format(port=port, certs=certs, folder=folder))
    # A backlog of 5 makes simultaneous connections wait a second each.
    listen = socket.socket.listen
    socket.socket.listen = lambda self, _backlog=0: listen(self, 512)
    threading.Thread(target=announce, args=(port,), daemon=True).start()
    sys.argv = ["pykmip-server", "-f", f"{folder}/server.conf", "-l", f"{folder}/server.log"]
    pykmip.main()


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # its own helper process would keep it
