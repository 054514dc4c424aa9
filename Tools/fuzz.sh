#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Feeds damaged files to every reader, each for a minute: Tools/fuzz.sh [TARGET...]
#
# FUZZ_SECONDS sets the time. Starting files are the tests' fixtures and what the program writes
# itself (Fuzzing/thaw-fuzz/Seeds.swift); what a target finds of use is kept in
# Fuzzing/.corpus/TARGET. A crash, a trap, ten seconds without an end or more than 1 GB of memory
# fail, and leave the file in Fuzzing/.found.
set -euo pipefail
cd "$(dirname "$0")/.."

# THAW_FUZZ adds the program to the package (Package.swift); its build has a folder of its own.
# The program has a main function of its own, so it is linked with libFuzzer without one and compiled
# as `--sanitize fuzzer` would. Checksums are out of the way: the macro is libFuzzer's usual name for
# builds that are not for use.
coverage=edge,indirect-calls,trace-cmp,inline-8bit-counters,pc-table
toolchain=$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")
library=$(find "$toolchain/lib/clang" -name "libclang_rt.fuzzer_no_main-$(uname -m).a" | head -1)
if [ -z "$library" ]; then
  echo "error: no libFuzzer in the toolchain at $toolchain" >&2
  exit 1
fi
mkdir -p Fuzzing/.found
log=Fuzzing/.found/build.log
if ! THAW_FUZZ=1 swift build --scratch-path Fuzzing/.build --product thaw-fuzz -c release --sanitize address \
  -Xswiftc -sanitize-coverage=$coverage -Xcc -fsanitize=fuzzer-no-link \
  -Xswiftc -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION \
  -Xlinker "$library" -Xlinker -lstdc++ > "$log" 2>&1; then
  grep -E "error" "$log" >&2 || tail -5 "$log" >&2
  exit 1
fi
fuzzer=Fuzzing/.build/release/thaw-fuzz

fixtures=Tests/CheckpointsTests/Fixtures
images=Tests/ImagesTests/Fixtures
archives=Tests/DatasetsTests/Fixtures/archives
# fixtures_of TARGET: the tests' files to start from.
fixtures_of() {
  case $1 in
    safetensors) ls $fixtures/*.safetensors ;;
    torch-zip) ls $fixtures/*.zip.pth $fixtures/*.protocol4.pth ;;
    torch-legacy) ls $fixtures/*.legacy.pth $fixtures/*.pkl ;;
    keras-h5) ls $fixtures/*.h5 ;;
    keras-archive) ls $fixtures/*.keras ;;
    numpy) ls $fixtures/*.np? ;;
    checkpoint) find $fixtures -type f -size -8k ;;
    names) ls $fixtures/*.safetensors $fixtures/tiny.* ;;
    jpeg) find $images -name '*.jpg' ;;
    png) find $images -name '*.png' -size -3k ;;
    webp | gif | bmp | heic | avif) ls $images/formats/*."$1" ;;
    tiff) ls $images/formats/*.tif ;;
    profile) find $images/profiles -not -name '*.png.png' -type f ;;
    photo-zip) ls $archives/*.zip ;;
    photo-tar) ls $archives/*.tar $archives/*.tar.gz ;;
    json | onnx | model | beside | keras-graph | table | review) ;;
  esac
}

targets=("$@")
[ ${#targets[@]} -gt 0 ] ||
  targets=(safetensors torch-zip torch-legacy keras-h5 keras-archive keras-graph numpy onnx model names
    checkpoint beside
    json jpeg png webp gif bmp tiff heic avif profile photo-zip photo-tar
    table review)
# Freed memory that the address sanitizer holds back must not count as a reader's.
export ASAN_OPTIONS=quarantine_size_mb=16:detect_leaks=0
failed=()
for target in "${targets[@]}"; do
  corpus=Fuzzing/.corpus/$target
  mkdir -p "$corpus"
  "$fuzzer" "$target" --seeds "$corpus"
  for file in $(fixtures_of "$target"); do cp "$file" "$corpus/$(basename "$file")"; done
  log=Fuzzing/.found/$target.log
  if "$fuzzer" "$target" "$corpus" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 \
    -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="Fuzzing/.found/$target-" > "$log" 2>&1; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    memory=$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
    echo "$target: $runs files, $coverage edges reached, at most $memory MB"
  else
    echo "error: $target failed, see $log" >&2
    grep -E "ERROR:|SUMMARY|Fatal error|Test unit written|    #[0-9]+ .* in .*[Tt]haw" "$log" |
      head -12 >&2
    failed+=("$target")
  fi
done
[ ${#failed[@]} -eq 0 ]
