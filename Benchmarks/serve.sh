#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Usage: serve.sh MODEL PHOTOS [--rounds N] [--seconds N] [--clients N] [--peer-threads N]
#
# How much of the speed of `thaw predict` is left behind HTTP, and how that compares with what a Python
# programmer would write (FastAPI and ONNX Runtime in two worker processes, Benchmarks/peers/serve_onnx.py).
# Every round measures all of them, one after the other; the table has the ratios of the round in the middle.
# Where other programs run, who gets more of the processors depends on how many threads ask for them: the processor
# time that a photo takes is then what can be compared, and stands beside the rates. Each worker of the peer
# computes with one thread; --peer-threads 0 leaves it to ONNX Runtime, as one does who has not thought of it.
#
# Needs wrk, `make build server`, and for the peer an environment with fastapi, uvicorn[standard],
# python-multipart, pillow and onnxruntime: THAW_BENCH_PYTHON=python. Without it Thaw is measured alone.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
model=$(realpath "${1:?a model file}")
photos=$(realpath "${2:?a folder of photos}")
shift 2
rounds=3 seconds=15 clients=32 peer_threads=1
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2 ;;
    --seconds) seconds=$2 ;;
    --clients) clients=$2 ;;
    --peer-threads) peer_threads=$2 ;;
    *) echo "error: $1 is no option here" >&2; exit 64 ;;
  esac
  shift 2
done
cd "$here/.."
thaw=.build/release/thaw
python=${THAW_BENCH_PYTHON:-}
work=$(mktemp -d)
server=
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

find "$photos" -type f \( -iname '*.jpg' -o -iname '*.jpeg' -o -iname '*.png' \) | sort >"$work/photos"
count=$(wc -l <"$work/photos")
[ "$count" -gt 0 ] || { echo "error: no photos in $photos" >&2; exit 65; }
# The same photos once and several times: the difference of the two times is free of starting.
mkdir "$work/once" "$work/often"
number=0
while read -r photo; do
  number=$((number + 1))
  cp "$photo" "$work/once/$number.${photo##*.}"
  for copy in 1 2 3 4 5; do cp "$photo" "$work/often/$number-$copy.${photo##*.}"; done
done <"$work/photos"

cat >"$work/photos.lua" <<'END'
local requests = {}
local next = 0
function init(arguments)
  for path in io.lines(arguments[1]) do
    local file = io.open(path, "rb")
    requests[#requests + 1] = wrk.format("POST", "/predict", { ["Content-Type"] = "image/jpeg" }, file:read("*a"))
    file:close()
  end
  next = math.random(#requests)
end
function request()
  next = next % #requests + 1
  return requests[next]
end
function done(summary, latency)
  io.write(string.format("RESULT %.3f %.3f %d %d\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1000, summary.errors.status + summary.errors.read + summary.errors.timeout,
    summary.requests))
end
END

# `thaw predict` in one process: photos a second, and milliseconds of processor time for one.
predict_rate() {
  python3 - "$thaw" "$model" "$work" "$count" <<'END'
import resource, subprocess, sys, time
thaw, model, work, count = sys.argv[1:]
def run(folder):
    wall, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([thaw, "predict", "--model", model, f"{work}/{folder}", "--format", "csv", "--output",
                    f"{work}/answers.csv", "--quiet"], stderr=subprocess.DEVNULL)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - wall, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
once, often = run("once"), run("often")
photos = 4 * int(count)
print(photos / (often[0] - once[0]), 1000 * (often[1] - once[1]) / photos)
END
}

# Hundredths of a second that a process and those it started have used.
ticks() {
  python3 - "$1" <<'END'
import os, sys
fields = {}
for name in filter(str.isdigit, os.listdir("/proc")):
    try: fields[int(name)] = open(f"/proc/{name}/stat").read().rsplit(")", 1)[1].split()
    except OSError: pass
family, total = {int(sys.argv[1])}, 0
for _ in range(5): family |= {one for one, own in fields.items() if int(own[1]) in family}
print(sum(int(fields[one][11]) + int(fields[one][12]) for one in family if one in fields))
END
}

# start PORT COMMAND...: until it answers.
start() {
  local port=$1
  shift
  "$@" >"$work/server.log" 2>&1 &
  server=$!
  for _ in $(seq 300); do
    curl -sf "http://127.0.0.1:$port/v2/health/ready" >/dev/null && return
    kill -0 "$server" 2>/dev/null || { cat "$work/server.log" >&2; exit 70; }
    sleep 0.1
  done
}

stop() {
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=
}

# load PORT CLIENTS: requests a second, the median of their milliseconds, errors, milliseconds of processor time
# that a request took.
load() {
  local threads=2 before rate median errors total
  [ "$2" -ge 2 ] || threads=1
  before=$(ticks "$server")
  read -r rate median errors total <<<"$(wrk -t "$threads" -c "$2" -d "${seconds}s" --timeout 30s \
    -s "$work/photos.lua" "http://127.0.0.1:$1" -- "$work/photos" | sed -n 's/^RESULT //p')"
  echo "$rate $median $errors $(python3 -c "print(10 * ($(ticks "$server") - $before) / max($total, 1))")"
}

if [ -n "$python" ]; then
  "$thaw" export --model "$model" --to onnx --preprocessing --output "$work/model.onnx" --quiet
fi
echo "round  predict: photos/s, processor ms  serve: photos/s, errors, processor ms  alone ms  half load: p50, p99 ms" \
  " peer: photos/s, errors, processor ms"
for round in $(seq "$rounds"); do
  read -r plain plain_cpu <<<"$(predict_rate)"
  start 18480 "$thaw" serve "$model" --port 18480 --quiet
  read -r rate _ errors cpu <<<"$(load 18480 "$clients")"
  read -r _ alone _ _ <<<"$(load 18480 1)"
  half=$(python3 "$here/serve_load.py" 18480 "$work/photos" "$(python3 -c "print($rate / 2)")" "$seconds")
  stop
  peer="0 0 0 0"
  if [ -n "$python" ]; then
    start 18481 "$python" -m uvicorn --app-dir "$here/peers" serve_onnx:app --port 18481 --workers 2 \
      --log-level warning --no-access-log --env-file <(echo "MODEL=$work/model.onnx" && echo "THREADS=$peer_threads")
    peer=$(load 18481 "$clients")
    stop
  fi
  read -r peer_rate _ peer_errors peer_cpu <<<"$peer"
  # shellcheck disable=SC2086 # two numbers
  printf '%d %.1f %.2f %.1f %d %.2f %.1f %.1f %.1f %.1f %d %.2f\n' "$round" "$plain" "$plain_cpu" "$rate" "$errors" \
    "$cpu" "$alone" $half "$peer_rate" "$peer_errors" "$peer_cpu" | tee -a "$work/rounds"
done
python3 - "$work/rounds" <<'END'
import statistics, sys
rows = [[float(word) for word in line.split()] for line in open(sys.argv[1])]
middle = lambda values: statistics.median(values)
def ratio(what, rate, time):
    print(f"{what}: {middle([rate(r) for r in rows]):.2f} times its photos a second, "
          f"{middle([time(r) for r in rows]):.2f} times its processor time a photo")
ratio("serve against predict", lambda r: r[3] / r[1], lambda r: r[5] / r[2])
if rows[0][9]:
    ratio("serve against FastAPI and ONNX Runtime", lambda r: r[3] / r[9], lambda r: r[5] / r[11])
print(f"p99 at half load: {middle([r[8] / r[6] for r in rows]):.2f} times one photo alone")
if any(r[4] or r[10] for r in rows):
    sys.exit("error: some requests failed")
END
