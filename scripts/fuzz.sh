#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the libFuzzer targets and runs each: fuzz.sh [SECONDS [TARGET...]]
# Two for each core run at a time, and one more. What crashes lands in build/fuzz/artifacts/. KEYTURN_TALLY names a file
# that gets a line per target.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
at_a_time=$(($(nproc) * 2 + 1))

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz -- --quiet

run_one() {
    local target=$1 name corpus seeds
    name=${target#fuzz_}
    corpus=build/fuzz/corpus/$name
    seeds=tests/fuzz/seeds/$name
    mkdir -p "$corpus" build/fuzz/artifacts
    [ -d "$seeds" ] || seeds=
    # A case that takes 10 s or 2 GB is a finding as well as a crash.
    if "build/fuzz/tests/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="build/fuzz/artifacts/$name-" "$corpus" $seeds \
        >"build/fuzz/$name.log" 2>&1; then
        echo "ok   $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$name.log") inputs in $seconds s"
        tally "$target" 1 0
    else
        tail -n 60 "build/fuzz/$name.log"
        echo "FAIL $target: see build/fuzz/artifacts/"
        tally "$target" 0 1
        return 1
    fi
}

tally() {
    if [ -n "${KEYTURN_TALLY-}" ]; then printf 'fuzz/%s\t%s\t%s\t0\t0\n' "$1" "$2" "$3" >>"$KEYTURN_TALLY"; fi
}

targets=("$@")
if [ $# = 0 ]; then
    targets=($(find build/fuzz/tests -type f -executable -name 'fuzz_*' -printf '%f\n' | sort))
fi
if [ ${#targets[@]} = 0 ]; then
    echo "fuzz.sh: tests/fuzz/CMakeLists.txt names no target" >&2
    exit 1
fi
failed=0
pids=()
for target in "${targets[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge $at_a_time ]; do sleep 0.2; done
    run_one "$target" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
exit $failed
