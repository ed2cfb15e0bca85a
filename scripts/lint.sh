#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The project's rules as far as a machine can check them: lint.sh [BUILD]
# BUILD (default build/release) is a build without sanitizers, for the rules about symbols. Each rule is a function
# lint_NAME that prints what breaks it. `lint.sh --only NAME` runs one. KEYTURN_TALLY gets a line per rule.
set -uo pipefail
cd "$(dirname "$0")/.."

only=
if [ "${1-}" = --only ]; then
    only=${2?lint.sh: --only wants a rule}
    shift 2
fi
build=${1:-build/release}
export LC_ALL=C.UTF-8

folders() {
    local folder
    for folder in "$@"; do
        if [ -d "$folder" ]; then echo "$folder"; fi
    done
}
library=$(folders include common engine csfle kms keys io jobs)
everywhere=$(folders $library tools bench tests)
# A line of a comment may name what code may not call.
code_only() { grep -vE '^[^:]+:[0-9]+: *(/?\*|//)'; }
c_files() { find "$@" -name '*.[ch]' | sort; }
# What is committed or would be: neither builds nor downloads.
all_files() { git ls-files --cached --others --exclude-standard 2>/dev/null | while read -r f; do [ ! -f "$f" ] || echo "$f"; done; }

lint_format() {
    local version
    version=$(clang-format --version 2>/dev/null | sed -n 's/.*version \([0-9]*\).*/\1/p')
    if [ "$version" != 14 ]; then
        echo "machine: clang-format 14 is the reference, here is ${version:-none}"
        return 77
    fi
    c_files $everywhere | xargs -r clang-format --dry-run -Werror 2>&1 | grep -E 'error:'
}

lint_spdx() {
    { c_files $everywhere; find scripts tests -name '*.sh' -o -name '*.py'; echo try check .ci/run | tr ' ' '\n'; } |
        sort -u | xargs -r grep -L 'SPDX-License-Identifier: Apache-2.0'
}

# Functions that no file may call.
lint_banned() {
    c_files $everywhere | xargs -r grep -HnE '\b(strcpy|strcat|sprintf|vsprintf|atoi|atol|atoll|gets|rand|srand|strtok|alloca|tmpnam|mktemp) *\(' | code_only
}

# A library neither ends, speaks nor changes the process.
lint_process() {
    # A thread's own signal mask, saved around pthread_create and restored, changes nothing for anybody else.
    local own_mask='\bpthread_sigmask\(SIG_SETMASK, &(all, &old|old, NULL)\);'
    c_files $library | xargs -r grep -HnE '\b(abort|exit|_exit|quick_exit|atexit|assert|raise|system|printf|vprintf|puts|putchar|perror|signal|sigaction|sigprocmask|pthread_sigmask|setrlimit|prctl|setenv|unsetenv|putenv|getenv|umask|chdir|setlocale|fork) *\(|\b(stdout|stderr)\b *[,)]' | code_only |
        grep -vE "$own_mask"
}

lint_bare_errors() {
    c_files $library | xargs -r grep -HnE '\breturn +-1 *;'
}

# Where keys are at hand, bytes are compared in constant time; a comparison of public bytes says so on its line.
lint_memcmp() {
    c_files $(folders engine keys kms) | xargs -r grep -HnE '\bmemcmp *\(' | grep -v '/\* public' | code_only
}

lint_unfinished() {
    all_files | grep -v '^LICENSE$' | xargs -r grep -HnIE '\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b'
}

# No path of one developer's machine.
lint_paths() {
    all_files | xargs -r grep -HnIE '(^|[^A-Za-z0-9_.}/-])/(home|root|work|farm|Users|mnt)/[A-Za-z]'
}

lint_length() {
    { c_files $everywhere; find scripts tests -name '*.py' -o -name '*.sh'; } | sort -u | xargs -r wc -l | awk '
        $2 == "total" { next }
        $1 > 600 { print $2 ": " $1 " lines, more than 600" }
        $1 > 330 { print "warning: " $2 ": " $1 " lines, more than 330" > "/dev/stderr" }'
}

lint_includes() {
    scripts/lint_folders.py includes 2>&1
}

lint_symbols() {
    scripts/lint_folders.py symbols "$build" 2>&1
}

# A header of one instruction set wants the flags that its backend is compiled with.
isa_flags() {
    case $1 in
    engine/cpu/avx2_*) echo -mavx2 -maes ;;
    engine/cpu/avx512_*) echo -mavx512f -mavx512bw -mavx512dq -mavx512vl -mvaes -maes -mavx2 -mbmi2 ;;
    tests/engine/generic/*) echo -O1 -mavx2 -maes -mbmi2 -Wno-psabi ;;
    esac
}

# Each header compiles alone, the public ones as C++ too. engine/cpu/wide*.h are one body cut in pieces, which avx2.c and
# avx512.c complete with their kernels.
lint_headers() {
    local flags header
    flags=$(pkg-config --cflags libbson-1.0 libmongoc-1.0 libzstd libpcre2-8)
    c_files $everywhere | grep '\.h$' | grep -v '^engine/cpu/wide' | while read -r header; do
        echo "#include \"$header\"" | cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -I. -Iinclude $flags $(isa_flags "$header") \
            -fsyntax-only -x c - ||
            echo "$header does not compile alone"
    done 2>&1
    find include -name '*.h' | while read -r header; do
        echo "#include \"$header\"" | c++ -std=c++11 -Wall -Wextra -Werror -I. -Iinclude -fsyntax-only -x c++ - ||
            echo "$header does not compile as C++"
    done 2>&1
}

tally() {
    if [ -n "${KEYTURN_TALLY-}" ]; then printf 'lint/%s\t%s\t%s\t%s\t%s\n' "$@" >>"$KEYTURN_TALLY"; fi
}

failed=0
for rule in format spdx banned process bare_errors memcmp unfinished paths length includes symbols headers; do
    if [ -n "$only" ] && [ "$only" != "$rule" ]; then continue; fi
    found=$("lint_$rule")
    status=$?
    if [ $status = 77 ]; then
        echo "skip $rule: $found"
        tally "$rule" 0 0 1 1
    elif [ -n "$found" ]; then
        printf '%s\n' "$found" | head -n 40
        echo "FAIL $rule"
        tally "$rule" 0 1 0 0
        failed=1
    else
        echo "ok   $rule"
        tally "$rule" 1 0 0 0
    fi
done
exit $failed
