#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests of training, of workers and of photo loading under ThreadSanitizer, in a build folder
# of its own. Fails on the first data race.
#
# Lanes run on threads of our own in this build (Sources/Shims/OneDNN/thaw_dnnl_threads.c): libgomp is
# not instrumented, so the sanitizer could not see when one of its teams begins and ends.
set -euo pipefail
cd "$(dirname "$0")/.."
export TSAN_OPTIONS="suppressions=$PWD/Tools/thread-sanitizer.supp:halt_on_error=1:exitcode=66"
options=(-c release --sanitize thread --scratch-path .build-tsan)
swift build "${options[@]}" --build-tests
swift test "${options[@]}" --skip-build --no-parallel --filter \
  'OneDNNTrainingPlanTests.equalRuns|GrantedThreadsTests.training|GrantedThreadsTests.every|WorkerTests|PrefetchingLoaderTests|BatchNormModeTests'
