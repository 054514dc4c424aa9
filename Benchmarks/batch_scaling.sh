#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Usage: batch_scaling.sh [--photos FOLDER] [--seeds "1 2 3"] [--work FOLDER]
#
# What four times the batch costs in accuracy with the usual rules (four times the rate for SGD, twice for AdamW): EfficientNet-Lite0 at 96 pixels, its
# late layers fine-tuned for eight epochs, a fifth of the photos held out for the test. Prints a row for each training; the
# loss and accuracy are those of the test photos. Needs THAW_PRETRAINED with the weights of efficientnet_lite0.
set -euo pipefail
cd "$(dirname "$0")/.."
photos= seeds="1 2 3" work=
while [ $# -gt 0 ]; do
  case $1 in
    --photos) photos=$2 ;;
    --seeds) seeds=$2 ;;
    --work) work=$2 ;;
    *) echo "error: unknown option $1" >&2; exit 64 ;;
  esac
  shift 2
done
[ -n "$photos" ] || { echo "error: give --photos FOLDER, class folders of a few thousand photos" >&2; exit 64; }
thaw=${THAW:-$PWD/.build/release/thaw}
if [ -z "$work" ]; then
  work=$(mktemp -d /tmp/thaw-batches.XXXXXX)
  trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work"
unset OPENBLAS_CORETYPE

number() { # FILE KEY: of a JSON object, the first
  sed -n "s/.*\"$2\" *: *\([0-9.e+-]*\).*/\1/p" "$1" | head -1
}

recipe() { # SEED
  cat << END
seed: $1
backbone: efficientnet_lite0
image:
  size: 96
fine_tune:
  schedule: {kind: cosine, warm_up: 1}
  weight_averaging: none
  freeze_to: -2
  epochs: 8
  augmentation: none
END
}

printf '%-6s %6s %8s %5s %10s %8s\n' solver batch rate seed accuracy loss
for seed in $seeds; do
  base=$work/base$seed
  if [ ! -e "$base/checkpoints/head.safetensors" ]; then
    recipe "$seed" > "$work/recipe.yml"
    "$thaw" prepare "$photos" --run "$base" --recipe "$work/recipe.yml" --test 0.2 --quiet > /dev/null
    "$thaw" train --run "$base" --quiet > /dev/null
  fi
  for setting in "sgd 32 0.0025" "sgd 128 0.01" "sgd 32 0.01" "sgd 128 0.04" "adamw 16 1e-4" "adamw 64 2e-4" "adamw 64 1e-4"; do
    read -r solver batch rate <<< "$setting"
    rm -rf "$work/tuned"
    cp -r "$base" "$work/tuned"
    "$thaw" fine-tune --run "$work/tuned" --solver "$solver" --batch "$batch" --learning-rate "$rate" --quiet > /dev/null
    "$thaw" evaluate --run "$work/tuned" --split test --json --quiet > "$work/out.json"
    printf '%-6s %6s %8s %5s %10s %8s\n' "$solver" "$batch" "$rate" "$seed" "$(number "$work/out.json" accuracy)" \
      "$(number "$work/out.json" loss)"
  done
done
