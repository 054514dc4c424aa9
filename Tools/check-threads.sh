#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests of training, of workers and of photo loading under ThreadSanitizer, in a build folder
# of its own. Fails on the first data race.
#
# Lanes run on threads of our own (Sources/Shims/OneDNN/thaw_dnnl_team.c). libgomp is not instrumented,
# so that the sanitizer cannot see when a parallel region of a host begins and ends: the tests within
# one are left out.
set -euo pipefail
cd "$(dirname "$0")/.."
options=(-c release --sanitize thread --scratch-path .build-tsan)
swift build "${options[@]}" --build-tests
TSAN_OPTIONS=halt_on_error=1:exitcode=66 swift test "${options[@]}" --skip-build --no-parallel \
  --filter 'OneDNNTrainingPlanTests.equalRuns|WorkerTests|BatchNormModeTests|PrefetchingLoaderTests'
