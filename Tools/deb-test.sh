#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Usage: deb-test.sh PACKAGE.deb WEIGHTS.pth [SUITE]
#
# Installs the package into a fresh, minimal Debian (SUITE, bookworm unless given) in a temporary
# folder and uses it there as a user would: version, list, a fit on made-up photos with the weights of
# efficientnet_lite0, a prediction, removal. Needs root, debootstrap, python3 (the photos) and Debian's
# archive. With DEB_TEST_ROOT an existing folder is taken and kept.
set -euo pipefail

deb=$(realpath "${1:?usage: deb-test.sh PACKAGE.deb WEIGHTS.pth [SUITE]}")
weights=$(realpath "${2:?usage: deb-test.sh PACKAGE.deb WEIGHTS.pth [SUITE]}")
suite=${3:-bookworm}
[ "$(id -u)" = 0 ] || { echo "error: a folder with a system in it needs root." >&2; exit 1; }
command -v debootstrap > /dev/null ||
  { echo "error: debootstrap is missing. Run: apt-get install debootstrap" >&2; exit 1; }

root=${DEB_TEST_ROOT:-}
[ -n "$root" ] || root=$(mktemp -d "${TMPDIR:-/tmp}/thaw-deb-test.XXXXXX")
cleanup() {
  umount "$root/proc" 2> /dev/null || true
  [ -n "${DEB_TEST_ROOT:-}" ] || rm -rf --one-file-system "$root"
}
trap cleanup EXIT
[ -x "$root/usr/bin/dpkg" ] || debootstrap --variant=minbase "$suite" "$root" > /dev/null
# The folder is root's alone when mktemp made it; its users must be able to reach their files.
chmod 755 "$root"
mount -t proc proc "$root/proc"

# inside COMMAND...: runs it in the system, with an environment of its own.
inside() {
  chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/home/someone LANG=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive "$@"
}
# quietly COMMAND...: the same, with its output shown only if it fails.
quietly() {
  local log
  log=$(inside "$@" 2>&1) || { echo "$log" >&2; return 1; }
}
step() { echo "== $*"; }

step "install"
cp "$deb" "$root/tmp/thaw.deb"
quietly apt-get update -qq
quietly apt-get install -qq -y --no-install-recommends /tmp/thaw.deb
if inside ldd /usr/bin/thaw | grep -iE "not found|swift"; then
  echo "error: a library is missing, or Swift's runtime is not inside." >&2
  exit 1
fi

step "from any directory, as any user"
inside useradd --create-home someone 2> /dev/null || true
as_someone() { inside setpriv --reuid someone --regid someone --clear-groups sh -c "cd /home/someone; $*"; }
as_someone thaw --version
as_someone "thaw pretrained list | tail -1"
as_someone "! thaw pretrained fetch resnet18 2>&1" | grep "is not installed"
as_someone "! env -u HOME thaw pretrained fetch resnet18 2>&1" | grep "XDG_CACHE_HOME nor HOME"

step "fit and predict"
cp "$weights" "$root/home/someone/weights.pth"
python3 - "$root/home/someone/photos" << 'END'
import os, random, struct, sys, zlib

def png(path, kind, number, side=64):
    random.seed(f"{kind} {number}")
    rows = b""
    for y in range(side):
        rows += b"\0"
        for x in range(side):
            stripe = (x if kind == 0 else y if kind == 1 else x + y) // 8 % 2
            rows += bytes(100 * stripe + 100 * (c == kind) + random.randrange(50) for c in range(3))
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
                   + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))

for kind, name in enumerate(["red", "green", "blue"]):
    os.makedirs(f"{sys.argv[1]}/{name}", exist_ok=True)
    for number in range(12):
        png(f"{sys.argv[1]}/{name}/{number}.png", kind, number)
END
as_someone thaw pretrained import weights.pth --card efficientnet_lite0
as_someone test -f .cache/thaw/efficientnet-lite0-57934424.pth
as_someone thaw fit photos --run run --size 64 --epochs 5 --no-fine-tune --quiet
as_someone thaw predict --model run/model.safetensors photos/red/0.png --format csv
as_someone "thaw prepare photos --run other --recipe hymenoptera --quiet --valid 0.2"

step "manual and completions"
inside sh -c "zcat /usr/share/man/man1/thaw-fit.1.gz | grep -q '^.Dt THAW-FIT'"
inside bash -n /usr/share/bash-completion/completions/thaw

step "remove"
quietly apt-get purge -qq -y thaw
inside sh -c '! find /usr -path "*thaw*" | grep .'
as_someone test -f .cache/thaw/efficientnet-lite0-57934424.pth
echo "The package installs, works and goes away again."
