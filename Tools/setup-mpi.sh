#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds libthaw-mpi.so, by which `thaw` speaks MPI, with this machine's mpicc, into the folder given.
# Installs Open MPI where no mpicc is found, as root or through sudo, or prints the one line to run.
# On a cluster load its MPI first (`module load openmpi`): the plugin must fit the launcher. Where several are installed
# MPICC names the compiler of the one whose launcher is used (MPICC=mpicc.mpich).
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-.build/release}
compiler=${MPICC:-mpicc}

if [ -n "${MPICC:-}" ] && ! command -v "$MPICC" > /dev/null; then
  echo "error: MPICC is '$MPICC', and there is no such program." >&2
  exit 1
fi
if ! command -v "$compiler" > /dev/null; then
  packages=(libopenmpi-dev openmpi-bin)
  if ! command -v apt-get > /dev/null; then
    echo "error: no mpicc found. Install Open MPI or MPICH, or load the cluster's module, and run again." >&2
    exit 1
  fi
  echo "Installing ${packages[*]}"
  if [ "$(id -u)" = 0 ]; then
    prefix=()
  elif command -v sudo > /dev/null && { sudo -n true 2> /dev/null || [ -t 0 ]; }; then
    prefix=(sudo)
  else
    echo "error: there is no mpicc. Run this as root:" >&2
    echo "  apt-get update && apt-get install -y ${packages[*]}" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  "${prefix[@]}" apt-get update -qq
  "${prefix[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

mkdir -p "$target"
source=Sources/Shims/MPI/plugin/thaw_mpi_plugin.c
plugin=$target/libthaw-mpi.so
# Under a name of its own first: a job that is running must not find half a file.
"$compiler" -O2 -Wall -Wextra -fvisibility=hidden -shared -fPIC -I Sources/Shims/MPI/include \
  -o "$plugin.$$" "$source"
mv "$plugin.$$" "$plugin"
echo "$plugin"
