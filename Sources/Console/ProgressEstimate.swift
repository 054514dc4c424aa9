// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Rate and time left, smoothed over the last seconds.
///
/// The rate is an average whose weights fall by e every `memory` seconds, corrected for the start,
/// so that a slow first batch is soon forgotten and one fast tick does not promise an early end.
package struct ProgressEstimate: Sendable {
  private let memory: Double
  private var last: (time: Double, count: Int)
  private var weight = 0.0
  private var smoothed = 0.0

  /// Starts at `count` (work done in an earlier run does not make this one look fast).
  package init(time: Double, count: Int, memory: Double = 10) {
    last = (time, count)
    self.memory = memory
  }

  /// Takes note of `count` at `time`; a clock that stands still or goes back changes nothing.
  package mutating func update(time: Double, count: Int) {
    let elapsed = time - last.time
    guard elapsed > 0, count >= last.count else { return }
    let keep = exp(-elapsed / memory)
    smoothed = keep * smoothed + (1 - keep) * Double(count - last.count) / elapsed
    weight = keep * weight + (1 - keep)
    last = (time, count)
  }

  /// Units a second; nil before the first update or while nothing moves.
  package var rate: Double? { weight > 0 && smoothed > 0 ? smoothed / weight : nil }

  /// Seconds until `total`, counted from `time`; never negative, nil while unknown.
  package func secondsLeft(total: Int, time: Double) -> Double? {
    guard let rate else { return nil }
    return max(Double(total - last.count) / rate - max(time - last.time, 0), 0)
  }
}
