#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Usage: run.sh [--only NAMES] [--rounds N] [--threads N] [--photos FOLDER] [--enforce]
#
# Measures Thaw against PyTorch and ONNX Runtime, interleaved in one run (Documentation/benchmarks.md).
# The peers live in Benchmarks/.venv-bench, which is made on the first run (a download of some GB).
# Where that cannot be made, Thaw is measured alone.
#
# THAW_BENCH_PYTHON=python    use an existing environment instead
# THAW_BENCH_OPTIONS="..."    more options, for `make bench`
# THAW_BENCH_WEIGHTS=file     the EfficientNet-Lite0 weights (.pth), else Pretrained/, else random
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck disable=SC2206 # options are words
options=("$@" ${THAW_BENCH_OPTIONS:-})
binary=.build/release/thaw-bench
environment=Benchmarks/.venv-bench

# The value of option $1, or $2.
option() {
  local value=$2 previous=
  for word in "${options[@]}"; do
    [ "$previous" = "$1" ] && value=$word
    previous=$word
  done
  echo "$value"
}

# Sets `python` to an interpreter with all peers, or to nothing.
find_python() {
  python=${THAW_BENCH_PYTHON:-}
  [ -n "$python" ] && return
  if [ ! -e "$environment/complete" ]; then
    echo "Making $environment with PyTorch and ONNX Runtime (once, some GB)"
    rm -rf "$environment"
    if ! { python3 -m venv "$environment" \
      && "$environment/bin/pip" install --quiet --disable-pip-version-check --retries 2 \
        -r Benchmarks/requirements.txt; }; then
      echo "note: the peers could not be installed (no network, or python3-venv is missing)." >&2
      rm -rf "$environment"
      return
    fi
    touch "$environment/complete"
  fi
  python=$environment/bin/python
}

swift build -c release --product thaw-bench
swift build -c release --product thaw
mkdir -p Benchmarks/work
photos=$(option --photos "")
if [ -z "$photos" ]; then
  photos=Benchmarks/work/photos
  "$binary" photos --output "$photos"
fi
find_python
if [ -n "$python" ]; then
  exec "$python" Benchmarks/driver.py --thaw "$binary" --photos "$photos" "${options[@]}"
fi

echo "Measuring Thaw alone."
rounds=$(option --rounds 7)
threads=$(option --threads 2)
for workload in features jpeg resnet50 vgg16 mobilenet head; do
  arguments=("$workload")
  [ "$workload" = resnet50 ] && arguments=(features --network resnet50 --batch 16 --images 32)
  [ "$workload" = vgg16 ] && arguments=(features --network vgg16_pooled --batch 16 --images 32)
  [ "$workload" = mobilenet ] && arguments=(features --network mobilenet_v2 --batch 16 --images 64)
  [ "$workload" = head ] && arguments=(head --images 1000)
  "$binary" "${arguments[@]}" --photos "$photos" --rounds "$rounds" --threads "$threads"
done
