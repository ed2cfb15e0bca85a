#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_clang.sh SOURCE BUILD: the engine as clang optimizes it passes its tests and the checks of its objects.
set -eu
cmake -S "$1" -B "$2" -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Release >"$2.log" || {
    cat "$2.log" >&2
    exit 1
}
cmake --build "$2" --target test_engine -- --quiet
ctest --test-dir "$2" -R '^engine(-symbols|-objects)?$' --no-tests=error --output-on-failure
