// SPDX-License-Identifier: Apache-2.0

import ThawConsole
package import ThawTraining

/// A line an epoch for the terminal and the log; epochs of less than two seconds share one.
package struct EpochLines {
  private let epochs: Int
  private let accuracyName: String
  private let clock: () -> Double
  private var last: Double

  /// - Parameters:
  ///   - epochs: of the whole training, unless it stops early.
  ///   - accuracyName: what the share of right answers is called.
  ///   - clock: seconds from any origin.
  package init(
    epochs: Int, accuracyName: String = "accuracy",
    clock: @escaping () -> Double = ProgressLine.monotonicSeconds
  ) {
    self.epochs = epochs
    self.accuracyName = accuracyName
    self.clock = clock
    last = clock()
  }

  /// The line of an epoch; nil when the last one was written less than two seconds ago.
  package mutating func line(_ record: EpochRecord, timeLeft: String?) -> String? {
    let now = clock()
    guard now - last >= 2 else { return nil }
    last = now
    let width = "\(epochs)".count
    let number = "\(record.epoch + 1)"
    var parts = [
      "  epoch \(String(repeating: " ", count: max(width - number.count, 0)))\(number)/\(epochs)",
      "train loss \(Format.fixed(record.trainLoss, 4))",
    ]
    if let loss = record.validLoss { parts.append("valid loss \(Format.fixed(loss, 4))") }
    if let accuracy = record.validAccuracy {
      parts.append("\(accuracyName) \(Format.percent(accuracy))")
    }
    if let timeLeft, record.epoch + 1 < epochs { parts.append(timeLeft) }
    return parts.joined(separator: "  ")
  }
}
