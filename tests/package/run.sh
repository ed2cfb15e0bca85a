#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs a build into an empty prefix and builds a program against it, as its users would: run.sh BUILD
set -uo pipefail
cd "$(dirname "$0")/../.."
build=$(realpath "${1:-build/release}")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix
source=$PWD/tests/package
export LD_LIBRARY_PATH=

failed=0
expect() {
    local name=$1 verdict=1
    shift
    if "$@" >"$scratch/log" 2>&1; then
        echo "ok   $name"
    else
        cat "$scratch/log"
        echo "FAIL $name"
        verdict=0
        failed=1
    fi
    if [ -n "${KEYTURN_TALLY-}" ]; then printf 'package/%s\t%s\t%s\t0\t0\n' "$name" $verdict $((1 - verdict)) >>"$KEYTURN_TALLY"; fi
}

libdir() { dirname "$(find "$prefix" -name libkeyturn.so.0)"; }
opens_what_it_sealed() { [ "$(LD_LIBRARY_PATH=$(libdir) "$@")" = "KT_OK KT_E_UNAUTHENTIC" ]; }

by_pkg_config() {
    export PKG_CONFIG_PATH=$(libdir)/pkgconfig
    cc -Wall -Werror -o "$scratch/by_pkg_config" "$source/consumer.c" $(pkg-config --cflags --libs keyturn) &&
        opens_what_it_sealed "$scratch/by_pkg_config"
}

by_find_package() {
    cmake -S "$source" -B "$scratch/cmake" -DCMAKE_PREFIX_PATH="$prefix" && cmake --build "$scratch/cmake" &&
        opens_what_it_sealed "$scratch/cmake/consumer"
}

nothing_private() {
    # Only the public headers, the library and its packages, the program and its manual.
    ! find "$prefix" -type f -o -type l | sed "s|^$prefix/||" |
        grep -vE '^(include/keyturn/[a-z_]+\.h|lib(64|/[a-z0-9_]+-linux-gnu)?/(libkeyturn\.so[.0-9]*|pkgconfig/keyturn\.pc|cmake/keyturn/[A-Za-z-]+\.cmake)|bin/keyturn|share/(man|doc)/.*)$'
}

program_runs_installed() {
    [ ! -x "$build/tools/keyturn" ] || "$prefix/bin/keyturn" --version
}

expect install cmake --install "$build" --prefix "$prefix"
expect pkg-config by_pkg_config
expect find_package by_find_package
expect contents nothing_private
expect program program_runs_installed
exit $failed
