#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_objects.sh OBJDUMP NM ARCHIVE BRANCHES: code for one instruction set stays in its object, which exports one
# table; the kernels that see secrets look nothing up, and branch where BRANCHES (branches.txt) says and nowhere else.
set -eu
objdump=$1 nm=$2 archive=$3 branches=$4
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$archive" "$folder/cpu.a"
cp "$branches" "$folder/branches"
cd "$folder"
ar x cpu.a
status=0

say() {
    echo "$1" >&2
    status=1
}

# Instructions that begin with byte 62 (EVEX), c4 or c5 (VEX): in 64-bit code these bytes begin nothing else.
encoded() {
    "$objdump" -d --insn-width=16 "$1" | grep -cE "^ +[0-9a-f]+:	($2) " || true
}

# "OBJECT FUNCTION BRANCHES" of one object
count_branches() {
    "$objdump" -d --no-show-raw-insn "$1.c.o" | awk -v object="$1" '
        /^[0-9a-f]+ <.*>:$/ { f = substr($2, 2, length($2) - 3); n[f] += 0 }
        /^ +[0-9a-f]+:\tj/ && !/^ +[0-9a-f]+:\tjmp/ { n[f]++ }
        END { for (f in n) print object, f, n[f] }'
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
    if "$objdump" -d $object.c.o | grep -qE '	(notrack )?jmp +\*'; then
        say "$object.c.o jumps by a table"
    fi
    count_branches $object >counted
    # the loop of passes, and at four words of the first pass whether they come from rows
    [ "$(awk '$2 ~ /^lanes_compress/ && $3 <= 5' counted | wc -l)" = 1 ] &&
        [ "$(grep -c ' lanes_compress' counted)" = 1 ] ||
        say "$object.c.o has another count than one of lanes_compress, or that has more than 5 branches"
    # Other compilers inline and unroll otherwise.
    if "$objdump" -s -j .comment $object.c.o | awk '{ printf "%s", substr($0, 44) }' | grep -q 'GCC:.*) 12\.'; then
        sort counted >here
        grep "^$object " branches | sort >there
        if ! diff there here >difference; then
            sed -n 's/^</expected/p; s/^>/found   /p' difference >&2
            say "$object.c.o branches otherwise than branches.txt says"
        fi
    fi
done
exit $status
