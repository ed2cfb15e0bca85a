#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_program.sh OBJDUMP NM ARCHIVE FILE...: in linked programs and libraries, too, AVX-512 and AVX instructions stand
# in the functions of the vector backends and nowhere else; the one exception is named below.
set -eu
objdump=$1 nm=$2 archive=$3
shift 3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$archive" "$folder/cpu.a"
(cd "$folder" && ar x cpu.a)
status=0

say() {
    echo "$1" >&2
    status=1
}

functions() {
    "$nm" --defined-only "$folder/$1.c.o" | awk '$2 ~ /[tT]/ { print $3 }'
}

# The functions of a file that hold instructions beginning with these bytes.
holding() {
    "$objdump" -d --insn-width=16 "$1" | awk -v bytes="^ +[0-9a-f]+:\t($2) " '
        /^[0-9a-f]+ <.*>:$/ { f = substr($2, 2, length($2) - 3) }
        $0 ~ bytes && !(f in seen) { seen[f]; print f }'
}

# bench/bench_rates.c measures the vector units before anything is chosen.
{ functions avx512; echo bench_rates; } | sort -u >"$folder/evex"
{ cat "$folder/evex"; functions avx2; } | sort -u >"$folder/vex"
for file in "$@"; do
    holding "$file" 62 | sort >"$folder/found"
    grep -q lanes_compress "$folder/found" || say "$file: no AVX-512 code is found where it should be"
    for function in $(comm -23 "$folder/found" "$folder/evex"); do
        say "$file: AVX-512 instructions in $function"
    done
    holding "$file" 'c4|c5' | sort >"$folder/found"
    for function in $(comm -23 "$folder/found" "$folder/vex"); do
        say "$file: AVX instructions in $function"
    done
done
exit $status
