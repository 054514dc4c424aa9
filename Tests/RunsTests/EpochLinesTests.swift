// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawConsole
import ThawRuns
import ThawTraining

/// What is said of an epoch.
struct EpochLinesTests {
  private func record(_ epoch: Int, valid: Double? = 0.5) -> EpochRecord {
    EpochRecord(
      epoch: epoch, trainLoss: 0.25, trainAccuracy: 0.9, validLoss: valid,
      validAccuracy: valid.map { _ in 0.875 }, learningRates: [0.1], seconds: 1)
  }

  @Test func longEpochsHaveALineEachAndShortOnesShareOne() {
    var time = 0.0
    var lines = EpochLines(epochs: 10) { time }
    time = 1
    #expect(lines.line(record(0), timeLeft: "9 s left") == nil)
    time = 2
    #expect(
      lines.line(record(1), timeLeft: "8 s left")
        == "  epoch  2/10  train loss 0.2500  valid loss 0.5000  accuracy"
        + " \(Format.percent(0.875))  8 s left")
    time = 3.9
    #expect(lines.line(record(2), timeLeft: nil) == nil)
    time = 4
    #expect(
      lines.line(record(9, valid: nil), timeLeft: "0 s left")
        == "  epoch 10/10  train loss 0.2500")
  }
}
