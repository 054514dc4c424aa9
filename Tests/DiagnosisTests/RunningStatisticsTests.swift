// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawDiagnosis
import ThawTestSupport

@Suite struct RunningStatisticsTests {
  @Test func theDivergenceIsThatOfTwoNormalDistributions() {
    let running = RunningStatistics(mean: [1, 0], variance: [4, 1], epsilon: 0)
    let result = running.divergences(mean: [3, 0], variance: [9, 1])
    // KL(N(3, 9) || N(1, 4)) = (ln(4 / 9) + (9 + 4) / 4 - 1) / 2.
    expectClose(result, [(log(4.0 / 9) + 13.0 / 4 - 1) / 2, 0], absolute: 1e-12)
  }

  @Test func newStatisticsAreRecognised() {
    #expect(RunningStatistics(mean: [0, 0], variance: [1, 1], epsilon: 1e-3).areUntouched)
    #expect(!RunningStatistics(mean: [0, 0.1], variance: [1, 1], epsilon: 1e-3).areUntouched)
    #expect(!RunningStatistics(mean: [0, 0], variance: [1, 2], epsilon: 1e-3).areUntouched)
  }
}
