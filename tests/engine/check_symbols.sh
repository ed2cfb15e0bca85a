#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_symbols.sh NM ENGINE CPU: what the two archives may refer to, and how their own symbols are named.
set -eu
nm=$1 engine=$2 cpu=$3
status=0

say() {
    echo "$1" >&2
    status=1
}

undefined() {
    "$nm" -u "$1" | awk '$1 == "U" { print $2 }' | sort -u
}

bad=$(undefined "$engine" | grep -E '^(bson_|mongoc_|curl_|cuda)' || true)
[ -z "$bad" ] || say "engine refers to: $bad"

defined=$("$nm" --defined-only "$cpu" | awk 'NF == 3 { print $3 }' | sort -u)
for name in $(undefined "$cpu"); do
    case $name in
    mem* | __mem*_chk | __stack_chk_fail | _GLOBAL_OFFSET_TABLE_ | __asan_* | __ubsan_* | __tsan_* | __gcov_*) ;;
    *) echo "$defined" | grep -qx "$name" || case $name in
        strlen | strncmp | strspn | strcspn) ;;
        *) say "engine/cpu refers to $name" ;;
        esac ;;
    esac
done

bad=$("$nm" --defined-only --extern-only "$engine" "$cpu" | awk 'NF == 3 { print $3 }' |
    grep -vE '^(kt_|__odr_asan|__asan|__tsan)' || true)
[ -z "$bad" ] || say "symbols without the prefix kt_: $bad"
exit $status
