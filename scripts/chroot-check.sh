#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a clean machine makes of the last commit: chroot-check.sh SUITE [COMMAND...]   (root; wants debootstrap)
#   bookworm   ./try, ./try again, ./check
#   trixie     a newer compiler and newer MongoDB libraries: packages, build, every test of the release build
# A COMMAND takes the place of the suite's own. The chroot is bare, fresh and removed again. Debian's mirror, proxies and
# pip's index are those of this machine's own configuration (KEYTURN_MIRROR=URL names another mirror).
set -euo pipefail
cd "$(dirname "$0")/.."

suite=${1?usage: chroot-check.sh SUITE [COMMAND...]}
shift
if [ $# -gt 0 ]; then
    commands=("$@")
elif [ "$suite" = bookworm ]; then
    commands=("./try" "./try" "CI=true ./check")
else
    commands=("./check packages deps release")
fi
if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
    echo "chroot-check.sh: needs root and debootstrap (apt-get install debootstrap)" >&2
    exit 2
fi
mirror=${KEYTURN_MIRROR:-$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
    sed -n 's/^Debian \(.*\)/\1/p' | grep -v security | sort -u | head -n 1)}
if [ -z "$mirror" ]; then
    echo "chroot-check.sh: apt knows no Debian mirror yet; run apt-get update, or set KEYTURN_MIRROR" >&2
    exit 2
fi
shared=$(realpath "${KEYTURN_SHARED:-../shared}")

# Mounts live in a namespace of their own: they are gone with it, so that the removal cannot reach behind them.
if [ -z "${KEYTURN_CHROOT-}" ]; then
    KEYTURN_CHROOT=$(mktemp -d)
    export KEYTURN_CHROOT
    chmod 755 "$KEYTURN_CHROOT"
    trap 'rm -rf --one-file-system "$KEYTURN_CHROOT"' EXIT
    unshare --mount --pid --fork --kill-child "$0" "$suite" "${commands[@]}"
    exit
fi
root=$KEYTURN_CHROOT

timed() {
    local started=$SECONDS status=0
    "$@" || status=$?
    echo "== $suite: ${*: -1}: $((SECONDS - started)) s, exit $status"
    return $status
}

timed debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$root.log" 2>&1 || { cat "$root.log"; exit 1; }
tail -n 1 "$root.log"
rm -f "$root.log"

# How this machine reaches the network.
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
apt-config dump | grep -E '^Acquire::(http|https)::(Proxy|Verify|CaInfo)' >"$root/etc/apt/apt.conf.d/90network" || true
{
    echo '[global]'
    python3 -m pip config list 2>/dev/null | sed -nE "s/^(global\.|:env:\.)(index-url|extra-index-url|trusted-host|proxy)='(.*)'$/\2 = \3/p" | sort -u
    certificates=$(python3 -m pip config list 2>/dev/null | sed -nE "s/^(global\.|:env:\.)cert='(.*)'$/\2/p" | head -n 1)
    if [ -n "$certificates" ]; then
        cp -L "$certificates" "$root/etc/pip-certificates.pem"
        echo 'cert = /etc/pip-certificates.pem'
    fi
} >"$root/etc/pip.conf"

mkdir -p "$root/src/shared"
git -c safe.directory='*' clone -q --no-local . "$root/src/keyturn"
mount --bind "$shared" "$root/src/shared"
mount -o remount,bind,ro "$root/src/shared"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"

status=0
for command in "${commands[@]}"; do
    timed env -i HOME=/root LANG=C.UTF-8 TERM=dumb PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        ${http_proxy+http_proxy="$http_proxy"} ${https_proxy+https_proxy="$https_proxy"} \
        ${no_proxy+no_proxy="$no_proxy"} \
        chroot "$root" bash -c 'cd /src/keyturn && eval "$1"' - "$command" </dev/null || status=1
done
exit $status
