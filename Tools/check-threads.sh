#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests of training, of workers and of photo loading under ThreadSanitizer, in a build folder
# of its own. Fails on the first data race.
#
# Lanes run on threads of our own in this build (Sources/Shims/OneDNN/thaw_dnnl_threads.c): libgomp is
# not instrumented, so the sanitizer could not see when one of its teams begins and ends. For the same
# reason the tests within a parallel region of a host are left out.
set -euo pipefail
cd "$(dirname "$0")/.."
options=(-c release --sanitize thread --scratch-path .build-tsan)
swift build "${options[@]}" --build-tests
TSAN_OPTIONS=halt_on_error=1:exitcode=66 swift test "${options[@]}" --skip-build --no-parallel \
  --filter 'OneDNNTrainingPlanTests.equalRuns|WorkerTests|BatchNormModeTests|PrefetchingLoaderTests'
