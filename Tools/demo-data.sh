#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Usage: demo-data.sh FOLDER
#
# Fetches the demo photos: seven folders of the photos in Debian's package tuxpaint-stamps-default,
# taken out of the package without installing it. Does nothing when FOLDER is complete.
set -euo pipefail

target=${1:?usage: demo-data.sh FOLDER}
expected=247
classes=(animals/birds animals/mammals animals/insects food/fruit food/vegetables plants/flowers vehicles)

count() { find "$1" -name '*.png' 2> /dev/null | wc -l; }
[ "$(count "$target")" = "$expected" ] && exit 0

for tool in apt-get dpkg-deb; do
  command -v "$tool" > /dev/null || {
    echo "error: the demo photos come from a Debian package and $tool is missing." >&2
    echo "hint: use photos of your own: make DATA=FOLDER (one sub-folder per class)." >&2
    exit 1
  }
done

mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$(dirname "$target")/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "Fetching the demo photos (tuxpaint-stamps-default, about 160 MB, once)"
# As root, apt hands the download to its own user, which may not write here; that is only a warning.
fetch() { (cd "$work" && apt-get download tuxpaint-stamps-default 2>&1); }
if ! message=$(fetch); then
  # The package lists may be absent or old on a fresh machine; refreshing them needs root.
  if [ "$(id -u)" = 0 ]; then apt-get update -qq; else sudo -n apt-get update -qq 2> /dev/null || true; fi
  message=$(fetch) || { echo "$message" >&2; echo "hint: run 'apt-get update' as root." >&2; exit 1; }
fi
mkdir -p "$work/tree" "$work/stamps"
dpkg-deb --fsys-tarfile "$work"/tuxpaint-stamps-default_*.deb \
  | tar -x -C "$work/tree" --wildcards --no-anchored '*.png' 'copyright'
root=$work/tree/usr/share/tuxpaint/stamps
for class in "${classes[@]}"; do
  mkdir -p "$work/stamps/${class##*/}"
  (cd "$root/$class" && find . -name '*.png' -print0 | tar -c --null -T - ) \
    | tar -x -C "$work/stamps/${class##*/}"
done
found=$(count "$work/stamps")
[ "$found" = "$expected" ] || echo "note: this release of the package has $found photos, not $expected." >&2
rm -rf "$target"
mv "$work/stamps" "$target"
cp "$work"/tree/usr/share/doc/tuxpaint-stamps-default/copyright "$target/../stamps-copyright" 2> /dev/null || true
echo "$found photos in $target; their authors and licences: $(dirname "$target")/stamps-copyright"
