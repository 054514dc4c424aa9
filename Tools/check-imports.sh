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

rule "CThawOneDNN belongs to OneDNN" 'import CThawOneDNN' Sources/OneDNN
rule "CThawKernels belongs to OneDNN, what both engines share, and the search for near hashes" 'import CThawKernels' Sources/OneDNN Sources/Execution Sources/Datasets
rule "CThawOpenBLAS belongs to Tensors" 'import CThawOpenBLAS' Sources/Tensors
rule "CThawCrypto belongs to Files" 'import CThawCrypto' Sources/Files
rule "CThawZlib belongs to Archives" 'import CThawZlib' Sources/Archives
rule "CThawMPI belongs to Ranks" 'import CThawMPI' Sources/Ranks
rule "only the plugin knows MPI" 'include <mpi' Sources/Shims/MPI/plugin
rule "CThawImageCodecs belongs to Images" 'import CThawImageCodecs' Sources/Images
rule "CThawWebP, GIF, TIFF, HEIF and LCMS belong to Images" 'import CThaw(WebP|GIF|TIFF|HEIF|LCMS)' Sources/Images
rule "a C module must stay an internal import" '(public|package) import CThaw'
rule "ArgumentParser belongs to the command line" 'import ArgumentParser' Sources/Command
rule "setjmp belongs to the image codecs" 'setjmp' Sources/Shims/ImageCodecs
rule "only the library Thaw is public" '^ *public (struct|class|enum|protocol|actor|func|var|let|extension|typealias|final|static)' Sources/Thaw
rule "no traps for the world's errors" 'fatalError\(|try!|as! '
rule "nothing left undone by its own word" '(^|[^A-Za-z])(TODO|FIXME)([^A-Za-z]|$)'
# never FOLDER MODULE...: the folder must not import the modules.
never() {
  local folder=$1
  shift
  for module in "$@"; do
    if git grep -nE "import $module\$" -- "Sources/$folder"; then
      echo "error: $folder must not import $module" >&2
      failed=1
    fi
  done
}

never OneDNN ThawReference
never Reference ThawOneDNN
never Execution ThawOneDNN ThawReference
never Network ThawExecution
never Reports ThawRuns
never Diagnosis ThawRuns
never Runs ThawReview ThawPlanning ThawSearch
never Search ThawReview ThawPlanning
never Quantization ThawReports ThawSearch ThawDiagnosis
never Ranks ThawDatasets ThawTraining ThawExecution
never Runs ThawFollowers
never Exports ThawRuns ThawDiagnosis ThawReports ThawAnswers
never Answers ThawRuns ThawDiagnosis ThawReports
for room in Sources/*/; do
  count=$(git ls-files "$room" | wc -l)
  if [ "$count" -gt 65 ]; then
    echo "error: $room has $count files; a room has one purpose and at most about 60" >&2
    failed=1
  fi
done
if missing=$(git ls-files 'Sources/*.swift' 'Sources/*.c' 'Sources/*.h' 'Tests/*.swift' | xargs grep -L 'SPDX-License-Identifier: Apache-2.0'); [ -n "$missing" ]; then
  echo "error: no SPDX line in $missing" >&2
  failed=1
fi
exit $failed
