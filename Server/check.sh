#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the server and the programs its tests start, and asks the built server over real connections: the
# bits of `thaw predict`, bad input, reloading, stopping. Options go to `swift test`, such as --filter Life.
set -euo pipefail
cd "$(dirname "$0")/.."
# They are built with the tests.
[ -x .build/release/thaw ] || swift build -c release --product thaw
[ -x .build/release/thaw-test-tool ] || swift build -c release --product thaw-test-tool
swift build -c release --package-path Server
swift test --package-path Server/Tests "$@"
