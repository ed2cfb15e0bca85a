#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian or Ubuntu packages that keyturn needs: packages.sh build | tests | list
# Runs apt-get only when something is missing. KEYTURN_NO_INSTALL=1: says what is missing and installs nothing.
set -euo pipefail

build="build-essential cmake ninja-build pkg-config libssl-dev zlib1g-dev libzstd-dev libpcre2-dev libbson-dev
       libmongoc-dev libcurl4-openssl-dev"
# libcurl4 and the like: what the mongod of tests/mongod-requirements.txt links against; a|b: whichever exists
tests="git libcriterion-dev libmongocrypt-dev clang clang-format libomp-dev valgrind libipsec-mb-dev python3 python3-venv
       python3-pykmip haproxy slurm-wlm munge openssl zstd gzip tmux ca-certificates libcurl4t64|libcurl4 libssl3t64|libssl3 liblzma5"

installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# The compiler runtime's package is named after the release's clang.
clang_runtime() {
    { dpkg-query -W -f='Depends: ${Depends}\n' clang 2>/dev/null || apt-cache show --no-all-versions clang; } |
        sed -n 's/^Depends:.*\bclang-\([0-9]\+\)\b.*/libclang-rt-\1-dev/p'
}

missing() {
    local entry name
    for entry in "$@"; do
        for name in ${entry//|/ }; do
            if installed "$name"; then continue 2; fi
        done
        echo "$entry"
    done
}

# Of alternatives the first that the release has.
choose() {
    local entry name
    for entry in "$@"; do
        for name in ${entry//|/ }; do
            if [ -n "$(apt-cache policy "$name" 2>/dev/null | sed -n '/Candidate: [^(]/p')" ]; then
                echo "$name"
                continue 2
            fi
        done
        echo "packages.sh: this release has no package ${entry//|/ or }" >&2
        return 1
    done
}

case "${1-}" in
build) wanted=$build ;;
tests) wanted="$build $tests" ;;
list) echo $build $tests && exit 0 ;;
*) echo "usage: packages.sh build | tests | list" >&2 && exit 2 ;;
esac

if ! command -v apt-get >/dev/null; then
    echo "packages.sh: no apt-get here. keyturn builds on Debian 12 or later and Ubuntu 24.04; on other systems" >&2
    echo "install the equivalents of these and set KEYTURN_NO_INSTALL=1:" $wanted >&2
    [ "${KEYTURN_NO_INSTALL-}" = 1 ] && exit 0 || exit 2
fi

runtime=
if [ "$1" = tests ] && installed clang; then runtime=$(clang_runtime); fi
lacking=$(missing $wanted $runtime)
[ -z "$lacking" ] && exit 0
if [ "${KEYTURN_NO_INSTALL-}" = 1 ]; then
    echo "packages.sh: not installed (KEYTURN_NO_INSTALL=1):" $lacking >&2
    exit 0
fi

as_root=
if [ "$(id -u)" != 0 ]; then
    as_root=sudo
    if ! command -v sudo >/dev/null; then
        echo "packages.sh: run this as root: apt-get install" $lacking >&2
        exit 2
    fi
fi
apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0"
echo "Installing packages:" $lacking
$apt update
if [ "$1" = tests ] && [ -z "$runtime" ]; then lacking="$lacking $(clang_runtime)"; fi
names=$(choose $lacking)
$apt install -y --no-install-recommends $names >/dev/null
