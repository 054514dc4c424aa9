#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Usage: install.sh PREFIX              puts what Tools/package.sh built below DESTDIR/PREFIX
#        install.sh --uninstall PREFIX  removes it; weights in users' folders stay
#
# The command finds its cards and recipes in PREFIX/share/thaw, wherever PREFIX is
# (Sources/Backbones/Cards/PretrainedStore+Locate.swift).
set -euo pipefail
cd "$(dirname "$0")/.."

uninstall=
[ "${1:-}" = --uninstall ] && uninstall=yes && shift
prefix=${1:?usage: install.sh [--uninstall] PREFIX}
case $prefix in /*) ;; *) echo "error: PREFIX is '$prefix', expected an absolute path." >&2; exit 1 ;; esac
root=${DESTDIR:-}$prefix
share=$root/share
package=.build-static/package

if [ -n "$uninstall" ]; then
  rm -f "$root/bin/thaw" "$root/bin/thaw-serve" "$share/bash-completion/completions/thaw" \
    "$share/zsh/site-functions/_thaw" "$share/fish/vendor_completions.d/thaw.fish" \
    "$share"/man/man1/thaw.1 "$share"/man/man1/thaw-*.1
  rm -rf "$share/thaw" "$share/doc/thaw"
  echo "Removed thaw from $root."
  exit 0
fi

# tracked PATTERN...: files of the project, without cards and weights that users have put beside them.
tracked() { git ls-files -- "$@" 2> /dev/null | grep . || ls -- "$@"; }

install -D -m 755 $package/thaw "$root/bin/thaw"
# One that is left from before would serve models as its version did.
rm -f "$root/bin/thaw-serve"
without=" The server, thaw-serve, is not among it; 'make server' first."
if [ -e $package/thaw-serve ]; then
  install -D -m 755 $package/thaw-serve "$root/bin/thaw-serve"
  without=
fi
install -d "$share/thaw/Pretrained" "$share/thaw/Pipelines/search" "$share/man/man1"
tracked Pretrained/*.yml Pretrained/*.txt | xargs install -m 644 -t "$share/thaw/Pretrained"
tracked Pipelines/*.yml | xargs install -m 644 -t "$share/thaw/Pipelines"
tracked Pipelines/search/*.yml | xargs install -m 644 -t "$share/thaw/Pipelines/search"
install -m 644 -t "$share/man/man1" $package/man/*
install -D -m 644 $package/thaw.bash "$share/bash-completion/completions/thaw"
install -D -m 644 $package/thaw.zsh "$share/zsh/site-functions/_thaw"
install -D -m 644 $package/thaw.fish "$share/fish/vendor_completions.d/thaw.fish"
install -D -m 644 -t "$share/doc/thaw" README.md CHANGELOG.md LICENSE
echo "Installed thaw below $root.$without"
