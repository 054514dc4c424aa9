#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the examples as their readers would, in debug, and uses them: trains on generated photos,
# serves the model, asks from 16 clients at once, compares the answers, stops the server. Needs no
# network beyond what resolving the packages takes.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
server=
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
fail() {
  echo "error: $*" >&2
  exit 1
}

# A backbone with made-up weights and photos it can tell apart; built with the tests.
tool=.build/release/thaw-test-tool
[ -x "$tool" ] || swift build -c release --product thaw-test-tool
"$tool" prepare "$work"
export THAW_PRETRAINED=$work/cards

echo "== Examples/train"
swift build --package-path Examples/train
Examples/train/.build/debug/TrainExample "$work/photos" "$work/run" tiny | tee "$work/train.log"
grep -q "^accuracy" "$work/train.log" || fail "Examples/train printed no accuracy."
[ -s "$work/run/model.safetensors" ] || fail "Examples/train left no model."

echo "== Examples/prediction-server"
swift build --package-path Examples/prediction-server
port=$((20000 + RANDOM % 20000))
Examples/prediction-server/.build/debug/PredictionServer "$work/run/model.safetensors" "$port" \
  >"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 100); do
  curl -sf "http://127.0.0.1:$port/health" >/dev/null && break
  kill -0 "$server" 2>/dev/null || { cat "$work/server.log" >&2; fail "The server ended."; }
  sleep 0.2
done

# ask FILE OUTPUT: posts a photo; the status code goes behind the answer.
ask() { curl -s -w '\n%{http_code}\n' --data-binary "@$1" "http://127.0.0.1:$port/predict" >"$2"; }

clients=()
for client in $(seq 16); do
  (
    for label in blue red; do
      for number in 0 5 11; do ask "$work/photos/$label/$number.jpg" "$work/$client-$label-$number"; done
    done
  ) &
  clients+=($!)
done
wait "${clients[@]}"
right=0
for label in blue red; do
  for number in 0 5 11; do
    for client in $(seq 16); do
      cmp "$work/1-$label-$number" "$work/$client-$label-$number" || fail "Two clients got two answers."
    done
    tail -1 "$work/1-$label-$number" | grep -q 200 || fail "$(cat "$work/1-$label-$number")"
    if grep -q "^{\"label\":\"$label\"" "$work/1-$label-$number"; then
      right=$((right + 1))
    fi
  done
done
[ "$right" -ge 5 ] || fail "Only $right of 6 photos got their label."

echo nonsense >"$work/nonsense"
ask "$work/nonsense" "$work/answer"
tail -1 "$work/answer" | grep -q 422 || fail "A file that is no photo got: $(cat "$work/answer")"

kill -TERM "$server"
code=0
wait "$server" || code=$?
server=
[ "$code" = 0 ] || { cat "$work/server.log" >&2; fail "The server ended with $code."; }
echo "The examples work: 16 clients, equal answers, $right of 6 labels right."
