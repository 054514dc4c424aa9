#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds what `make install` and `make deb` put in place: the command with Swift's runtime inside, so
# that it runs where no toolchain is, its manual pages and the completions of three shells. All of it
# lies in .build-static/package afterwards, with the server where `make server` has built it. Without a toolchain on the path (`sudo make install`) an
# earlier result is taken as it is.
set -euo pipefail
cd "$(dirname "$0")/.."

build=.build-static
package=$build/package
if ! command -v swift > /dev/null && [ -x $package/thaw ]; then
  echo "No Swift toolchain on the path: taking what was built before ($package)."
  exit 0
fi
Tools/setup.sh
swift build -c release --static-swift-stdlib --disable-local-rpath --scratch-path $build \
  --product thaw
# The manual's generator is part of swift-argument-parser, which was fetched for the build above.
swift build --package-path $build/checkouts/swift-argument-parser --scratch-path $build/manual \
  --product generate-manual

# The server takes minutes of its own: only for those who wanted it before.
server=
if [ -x Server/.build/release/thaw-serve ]; then
  server=$build/server/release/thaw-serve
  swift build -c release --static-swift-stdlib --disable-local-rpath --package-path Server \
    --scratch-path $build/server --product thaw-serve
fi

rm -rf $package
mkdir -p $package/man
strip -o $package/thaw $build/release/thaw
[ -z "$server" ] || strip -o $package/thaw-serve $server
for shell in bash zsh fish; do
  $package/thaw --generate-completion-script $shell > $package/thaw.$shell
done
# It is read by a shell, not run.
sed -i '1{/^#!/d}' $package/thaw.bash
date=$(git log -1 --format=%cs 2> /dev/null || date +%F)
$build/manual/debug/generate-manual $package/thaw --multi-page --section 1 --date "$date" \
  --output-directory $package/man > /dev/null
# Its pages are called thaw.fit; `man thaw fit` finds thaw-fit, as it does for git's commands.
for page in $package/man/thaw.*.1; do
  name=$(basename "$page" .1)
  words=${name//./ }
  sed -e "/^$/d" -e "/^\.Dt /s/\./-/2g" -e "/^\.Xr /s/thaw\./thaw-/" -e "/^\.Xr thaw-/s/\([a-z]\)\./\1-/g" \
    -e "s/^\.Nm \"$words\"$/.Nm ${words// /-}/" -e "s/^\.Nm$/.Nm \"$words\"/" "$page" \
    > "$package/man/${words// /-}.1"
  rm "$page"
done
sed -i -e "/^$/d" -e "/^\.Xr /s/thaw\./thaw-/" $package/man/thaw.1
serves=${server:+" thaw-serve ($(du -h $package/thaw-serve 2> /dev/null | cut -f1)),"}
echo "Built $package: thaw ($(du -h $package/thaw | cut -f1)),$serves $(ls $package/man | wc -l) manual pages."
