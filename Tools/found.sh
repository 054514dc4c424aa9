#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints which optional libraries this machine has, as one word. SwiftPM keeps what Package.swift found
# until its environment changes: passing this word on makes it look again after one was installed.
found=
for header in webp/demux.h gif_lib.h tiffio.h libheif/heif.h libde265/de265.h dav1d/dav1d.h lcms2.h; do
  for folder in /usr/include /usr/include/*-linux-gnu /usr/local/include; do
    [ -r "$folder/$header" ] && found=$found,$header && break
  done
done
echo "${found#,}"
