#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Who may import what. SwiftPM enforces the module graph; these are the rules it cannot see.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0

# rule "what is wrong" PATTERN ALLOWED-FOLDER...: the pattern may occur in the named folders only.
rule() {
  local message=$1 pattern=$2
  shift 2
  local exclude=()
  for folder in "$@"; do exclude+=(":!$folder"); done
  if git grep -nE "$pattern" -- Sources "${exclude[@]}"; then
    echo "error: $message" >&2
    failed=1
  fi
}

rule "COneDNN belongs to Execution" 'import COneDNN' Sources/Execution
rule "COpenBLAS belongs to Tensors" 'import COpenBLAS' Sources/Tensors
rule "CThawCrypto belongs to Files" 'import CThawCrypto' Sources/Files
rule "CZlib belongs to Checkpoints" 'import CZlib' Sources/Checkpoints
rule "CImageCodecs belongs to Images" 'import CImageCodecs' Sources/Images
rule "a C module must stay an internal import" 'public import C(OneDNN|OpenBLAS|ImageCodecs|Zlib|Crypto)'
rule "ArgumentParser belongs to the command line" 'import ArgumentParser' Sources/thaw
rule "setjmp belongs to CImageCodecs" 'setjmp' Sources/CImageCodecs
rule "no traps for the world's errors" 'fatalError\(|try!|as! '
rule "nothing left undone by its own word" '(^|[^A-Za-z])(TODO|FIXME)([^A-Za-z]|$)'
if git grep -nE 'import Training' -- Sources/Diagnosis; then
  echo "error: Diagnosis must not import Training" >&2
  failed=1
fi
if missing=$(git ls-files 'Sources/*.swift' 'Sources/*.c' 'Sources/*.h' 'Tests/*.swift' | xargs grep -L 'SPDX-License-Identifier: Apache-2.0'); [ -n "$missing" ]; then
  echo "error: no SPDX line in $missing" >&2
  failed=1
fi
exit $failed
