#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Feeds damaged files to every reader, each for a minute: Tools/fuzz.sh [TARGET...]
#
# FUZZ_SECONDS sets the time. Starting files are the tests' fixtures; what a target finds of use is
# kept in Fuzzing/.corpus/TARGET. A crash, ten seconds without an end or more than 2 GB of memory
# fail, and leave the file in Fuzzing/.found.
set -euo pipefail
cd "$(dirname "$0")/.."

# Without checksums in the way; libFuzzer's usual name for builds that are not for use.
swift build --package-path Fuzzing -c release --sanitize fuzzer --sanitize address \
  -Xswiftc -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION 2>&1 | grep -E "error|warning: unre|Compiling|complete" | tail -3
fuzzer=Fuzzing/.build/release/thaw-fuzz

fixtures=Tests/CheckpointsTests/Fixtures
images=Tests/ImagesTests/Fixtures
# seeds TARGET: the files to start from.
seeds() {
  case $1 in
    safetensors) ls $fixtures/*.safetensors ;;
    torch-zip) ls $fixtures/*.zip.pth ;;
    torch-legacy) ls $fixtures/*.legacy.pth ;;
    keras-h5) ls $fixtures/*.h5 ;;
    keras-archive) ls $fixtures/*.keras ;;
    numpy) ls $fixtures/*.np? ;;
    onnx) find Tests -name '*.onnx' ;;
    checkpoint) find $fixtures -type f -size -8k ;;
    jpeg) find $images -name '*.jpg' -o -name '*.jpeg' ;;
    png) find $images -name '*.png' ;;
  esac
}

failed=0
targets=("$@")
[ ${#targets[@]} -gt 0 ] ||
  targets=(safetensors torch-zip torch-legacy keras-h5 keras-archive numpy onnx checkpoint json jpeg png)
mkdir -p Fuzzing/.found
for target in "${targets[@]}"; do
  corpus=Fuzzing/.corpus/$target
  mkdir -p "$corpus"
  for file in $(seeds "$target"); do cp "$file" "$corpus/$(basename "$file")"; done
  log=Fuzzing/.found/$target.log
  if "$fuzzer" "$target" "$corpus" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 \
    -rss_limit_mb=2048 -max_len=65536 -artifact_prefix="Fuzzing/.found/$target-" > "$log" 2>&1; then
    echo "$target: $(grep -E 'Done [0-9]+ runs' "$log" || tail -1 "$log")"
  else
    echo "error: $target failed, see $log" >&2
    tail -25 "$log" >&2
    failed=1
  fi
done
exit $failed
