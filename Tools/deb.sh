#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes a Debian package of what Tools/package.sh built: .build-static/thaw_VERSION_ARCHITECTURE.deb.
#
# The libraries it depends on, and from which version on, follow from the program's symbols
# (dpkg-shlibdeps). DEBFULLNAME and DEBEMAIL name the maintainer, as with Debian's own tools.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in dpkg-deb dpkg-shlibdeps; do
  command -v $tool > /dev/null ||
    { echo "error: $tool is missing. Run: apt-get install dpkg-dev" >&2; exit 1; }
done
version=$(sed -n 's/.*thawVersion = "\(.*\)"/\1/p' Sources/Console/Version.swift)
architecture=$(dpkg --print-architecture)
maintainer="${DEBFULLNAME:-$(git config user.name || echo Thaw)}"
maintainer+=" <${DEBEMAIL:-$(git config user.email || echo "$(id -un)@$(hostname -f)")}>"
# The same files give the same package, bit for bit.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || date +%s)}
work=.build-static/deb
stage=$work/stage
target=.build-static/thaw_${version}_$architecture.deb

rm -rf $work
mkdir -p $stage/DEBIAN $work/debian
DESTDIR=$PWD/$stage Tools/install.sh /usr > /dev/null
share=$stage/usr/share
# Where Debian's zsh looks.
mkdir -p $share/zsh/vendor-completions
mv $share/zsh/site-functions/_thaw $share/zsh/vendor-completions/_thaw
rmdir $share/zsh/site-functions
gzip -9n $share/man/man1/*
doc=$share/doc/thaw
rm $doc/LICENSE
mv $doc/CHANGELOG.md $doc/changelog
cat > $doc/changelog.Debian << END
thaw ($version) unstable; urgency=medium

  * See changelog.gz.

 -- $maintainer  $(date -R -u -d "@$SOURCE_DATE_EPOCH")
END
gzip -9n $doc/changelog $doc/changelog.Debian
cp Packaging/copyright $doc/copyright
install -D -m 644 Packaging/lintian-overrides $share/lintian/overrides/thaw

cp Packaging/control $work/debian/control
programs=(-estage/usr/bin/thaw)
[ ! -e $stage/usr/bin/thaw-serve ] || programs+=(-estage/usr/bin/thaw-serve)
depends=$(cd $work && dpkg-shlibdeps -O "${programs[@]}" 2> /dev/null | sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || { echo "error: dpkg-shlibdeps found no libraries." >&2; exit 1; }
# Loaded by name when it is first used, so that no symbol tells of it.
depends+=", libopenblas0 (>= 0.3)"
size=$(du -sk --exclude=DEBIAN $stage | cut -f1)
sed -n '/^Package:/,$p' Packaging/control | sed \
  -e "s|^Architecture: any|Architecture: $architecture|" \
  -e "s|\${shlibs:Depends}|$depends|" \
  -e "/^Package:/a Version: $version\nMaintainer: $maintainer\nInstalled-Size: $size" \
  > $stage/DEBIAN/control
(cd $stage && find usr -type f -print0 | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
find $stage -type d -exec chmod 755 {} +
dpkg-deb --root-owner-group --build $stage $target > /dev/null
echo "$target ($(du -h $target | cut -f1)); depends on $depends"
