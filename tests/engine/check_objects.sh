#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_objects.sh OBJDUMP NM ARCHIVE: code for one instruction set stays in its object, which exports one table;
# the kernels that see secrets look nothing up and branch on nothing but their counters.
set -eu
objdump=$1 nm=$2 archive=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$archive" "$folder/cpu.a"
cd "$folder"
ar x cpu.a
status=0

say() {
    echo "$1" >&2
    status=1
}

# Instructions that begin with byte 62 (EVEX), c4 or c5 (VEX): in 64-bit code these bytes begin nothing else.
encoded() {
    "$objdump" -d "$1" | grep -cE "^ +[0-9a-f]+:	($2) " || true
}

[ -f avx512.c.o ] && [ -f avx2.c.o ] || say "the objects avx512.c.o and avx2.c.o are not in $archive"
for object in *.o; do
    case $object in
    avx512.c.o) ;;
    avx2.c.o) [ "$(encoded "$object" 62)" = 0 ] || say "$object holds EVEX instructions" ;;
    *) [ "$(encoded "$object" '62|c4|c5')" = 0 ] || say "$object holds AVX instructions" ;;
    esac
    if [ "$object" != avx512.c.o ] && "$objdump" -d "$object" | grep -q '%zmm'; then
        say "$object uses zmm registers"
    fi
    if "$objdump" -d "$object" | grep -qE '[[:space:]]vp?gather'; then
        say "$object gathers by address"
    fi
done
for object in avx512 avx2; do
    [ "$("$nm" --defined-only --extern-only $object.c.o | awk '{ print $3 }')" = kt_backend_$object ] ||
        say "$object.c.o exports more than its table"
    # the loop of passes, and at four words of the first pass whether they come from rows
    branches=$("$objdump" -d --disassemble=lanes_compress $object.c.o | grep -cE '	j[a-z]+ ' || true)
    jumps=$("$objdump" -d --disassemble=lanes_compress $object.c.o | grep -cE '	jmp ' || true)
    [ "$((branches - jumps))" -le 5 ] || say "lanes_compress in $object.c.o has $((branches - jumps)) branches"
    [ "$("$objdump" -d $object.c.o | grep -c '<lanes_compress.*>:')" = 1 ] ||
        say "$object.c.o has more than one copy of lanes_compress, or none"
done
exit $status
