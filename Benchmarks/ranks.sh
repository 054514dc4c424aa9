#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Usage: ranks.sh [--photos FOLDER] [--rounds N] [--links "10gbit 1gbit"]
#
# Two ranks on two hosts that are emulated by network namespaces with a processor core each and a shaped link between
# them: how much faster features and a step of fine-tuning get than by one rank, what `thaw plan` says of it, and what
# PyTorch's DDP on gloo does there. EfficientNet-Lite0, batch 32. Prints a table. Needs root, Open MPI, iproute2 and
# `make setup-mpi`.
#
# THAW_BENCH_PYTHON=python   with torch and timm; without it DDP is left out
# THAW_PRETRAINED=folder     cards and weights (thaw pretrained fetch efficientnet_lite0)
set -euo pipefail
cd "$(dirname "$0")/.."
photos= rounds=3 links="10gbit 1gbit"
while [ $# -gt 0 ]; do
  case $1 in
    --photos) photos=$2 ;;
    --rounds) rounds=$2 ;;
    --links) links=$2 ;;
    *) echo "error: unknown option $1" >&2; exit 64 ;;
  esac
  shift 2
done
thaw=$PWD/.build/release/thaw
[ -n "$photos" ] || { echo "error: give --photos FOLDER, class folders of a few hundred photos" >&2; exit 64; }
photos=$(realpath "$photos")
work=$(mktemp -d /tmp/thaw-ranks.XXXXXX)
unset OPENBLAS_CORETYPE
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

clean_up() {
  for host in 1 2; do ip netns del "thaw$host" 2> /dev/null || true; done
  rm -rf "$work"
}
trap clean_up EXIT

# Two hosts and a link.
for host in 1 2; do
  ip netns add "thaw$host"
  ip -n "thaw$host" link set lo up
done
ip link add name wire netns thaw1 type veth peer name wire netns thaw2
for host in 1 2; do
  ip -n "thaw$host" addr add "10.77.0.$host/24" dev wire
  ip -n "thaw$host" link set wire up
done

shape() { # RATE
  for host in 1 2; do
    ip netns exec "thaw$host" tc qdisc replace dev wire root tbf rate "$1" burst 8mb latency 50ms
  done
}

# Open MPI starts its second daemon by this in place of ssh: a host is a namespace with a name of its own.
cat > "$work/enter" << 'END'
#!/usr/bin/env bash
while [ "${1#-}" != "$1" ]; do shift; done
host=thaw${1##*.}
shift
exec taskset -c $((${host#thaw} - 1)) ip netns exec "$host" unshare --uts bash -c "hostname $host; $*"
END
chmod +x "$work/enter"

alone() { taskset -c 0 "$thaw" "$@"; }

ranks() { # thaw's words, on two hosts
  taskset -c 0 ip netns exec thaw1 unshare --uts bash -c 'hostname thaw1; exec "$@"' - mpirun -H 10.77.0.1:1,10.77.0.2:1 -n 2 \
    --mca plm_rsh_agent "$work/enter" --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24 \
    --mca oob_tcp_if_include 10.77.0.0/24 --bind-to none \
    -x THAW_PRETRAINED -x OMPI_ALLOW_RUN_AS_ROOT -x OMPI_ALLOW_RUN_AS_ROOT_CONFIRM "$thaw" "$@"
}

number() { # FILE KEY: of a JSON object
  sed -n "s/.*\"$2\" *: *\([0-9.e+-]*\).*/\1/p" "$1" | head -1
}

best() { sort -g | tail -1; }
calc() { awk "BEGIN { printf \"%.2f\\n\", $1 }"; }

recipe() { # FILE
  cat > "$1" << 'END'
backbone: efficientnet_lite0
train:
  epochs: 1
fine_tune:
  batch: 32
  shards: 2
  epochs: 2
  freeze_to: 0
  schedule: constant
END
}

recipe "$work/recipe.yml"
prepared() { # RUN: photos checked, head trained
  "$thaw" prepare "$photos" --run "$1" --recipe "$work/recipe.yml" --valid 0 --threads 1 --quiet > /dev/null
  "$thaw" cache --run "$1" --threads 1 --quiet > /dev/null
  "$thaw" train --run "$1" --threads 1 --quiet > /dev/null
}

features() { # COMMAND…: photos a second, cache emptied first
  rm -rf "$work/run/cache/features"
  "$@" cache --run "$work/run" --threads 1 --json --quiet > "$work/out.json"
  number "$work/out.json" images_per_second
}

steps() { # COMMAND…: photos a second of the second epoch of fine-tuning
  rm -rf "$work/tuned"
  cp -r "$work/run" "$work/tuned"
  "$@" fine-tune --run "$work/tuned" --threads 1 --quiet > /dev/null
  seconds=$(tail -1 "$work/tuned/history.jsonl" | sed 's/.*"seconds":\([0-9.e+-]*\).*/\1/')
  calc "$train / $seconds"
}

prepared "$work/run"
train=$(tail -n +1 "$work/run/manifest.json" | grep -o '"split" *: *"train"' | wc -l)
echo "$train photos, $("$thaw" --version)"
one_features=$(for _ in $(seq "$rounds"); do features alone; done | best)
one_steps=$(for _ in $(seq "$rounds"); do steps alone; done | best)
printf '%-8s %-14s %10s %10s %8s %10s\n' link work "one rank" "two ranks" times "thaw plan"
for link in $links; do
  shape "$link"
  name=${link%bit}
  predicted=$("$thaw" plan --run "$work/run" --ranks 1,2 --shards 2 --network "$name" --threads 1 --json --quiet)
  two=$(for _ in $(seq "$rounds"); do features ranks; done | best)
  printf '%-8s %-14s %10.1f %10.1f %8s %10s\n' "$link" features "$one_features" "$two" "$(calc "$two / $one_features")" -
  two=$(for _ in $(seq "$rounds"); do steps ranks; done | best)
  printf '%-8s %-14s %10s %10s %8s %10s\n' "$link" fine-tuning "$one_steps" "$two" "$(calc "$two / $one_steps")" \
    "$(echo "$predicted" | tr -d ' \n' | sed 's/.*"ranks":2,//; s/.*"speedup":\([0-9.]*\).*/\1/')"
  [ -n "${THAW_BENCH_PYTHON:-}" ] || continue
  taskset -c 1 ip netns exec thaw2 "$THAW_BENCH_PYTHON" Benchmarks/peers/ddp_gloo.py --rank 1 --ranks 2 --master 10.77.0.1 \
    --interface wire > /dev/null 2>&1 &
  taskset -c 0 ip netns exec thaw1 "$THAW_BENCH_PYTHON" Benchmarks/peers/ddp_gloo.py --rank 0 --ranks 2 --master 10.77.0.1 \
    --interface wire > "$work/ddp.json" 2> "$work/ddp.err" || tail -3 "$work/ddp.err" >&2
  wait
  printf '%-8s %-14s %10s %10.1f\n' "$link" "DDP on gloo" - "$(number "$work/ddp.json" images_per_second)"
done
