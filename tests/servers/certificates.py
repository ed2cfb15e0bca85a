# SPDX-License-Identifier: Apache-2.0
"""Certificates for servers on 127.0.0.1, made anew by openssl for each run."""
import os
import subprocess

EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
CA_CONFIG = """[ca]
default_ca = this
[this]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
x509_extensions = ext
[any]
commonName = supplied
[ext]
basicConstraints = critical,CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost,IP:127.0.0.1
"""


def openssl(folder, *args):
    subprocess.run(["openssl", *args], cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def authority(folder, name):
    openssl(folder, "req", "-x509", *EC, "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
            "-out", f"{name}.pem", "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")


def leaf(folder, ca, name, usage, san):
    openssl(folder, "req", "-x509", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", *EC, "-days", "2",
            "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt",
            "-addext", "basicConstraints=critical,CA:FALSE", "-addext", f"extendedKeyUsage={usage}",
            "-addext", f"subjectAltName={san}")
    join(folder, name)


def join(folder, name):
    with open(f"{folder}/{name}.pem", "wb") as out:
        for part in ("crt", "key"):
            with open(f"{folder}/{name}.{part}", "rb") as piece:
                out.write(piece.read())


def expired(folder):
    """Only `openssl ca` of this version sets a date of the past."""
    for name, text in (("ca.cnf", CA_CONFIG), ("index.txt", ""), ("serial", "01\n")):
        with open(f"{folder}/{name}", "w", encoding="utf-8") as out:
            out.write(text)
    openssl(folder, "req", *EC, "-subj", "/CN=expired", "-keyout", "expired.key", "-out", "expired.csr")
    openssl(folder, "ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key",
            "-startdate", "20200101000000Z", "-enddate", "20200102000000Z", "-in", "expired.csr",
            "-out", "expired.crt")
    join(folder, "expired")


def make(folder):
    """ca.pem; server, wronghost, expired, stranger (other CA) and client as .pem with certificate and key."""
    os.makedirs(folder, exist_ok=True)
    authority(folder, "ca")
    authority(folder, "otherca")
    here = "DNS:localhost,IP:127.0.0.1"
    leaf(folder, "ca", "server", "serverAuth", here)
    leaf(folder, "ca", "wronghost", "serverAuth", "DNS:kms.example.com")
    leaf(folder, "otherca", "stranger", "serverAuth", here)
    leaf(folder, "ca", "client", "clientAuth", "DNS:client")
    leaf(folder, "otherca", "strangeclient", "clientAuth", "DNS:client")
    expired(folder)
    return folder
