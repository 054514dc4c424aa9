// SPDX-License-Identifier: Apache-2.0

import ThawConsole

/// Time that is spent, and how much there is left of what was given.
package struct TimeBudget {
  /// Seconds for everything.
  package let seconds: Double
  /// Seconds that earlier calls spent, which were interrupted.
  package var earlier = 0.0
  private let clock: () -> Double
  private let begin: Double

  /// Begins now.
  ///
  /// - Parameter clock: seconds from any origin.
  package init(seconds: Double, clock: @escaping () -> Double = ProgressLine.monotonicSeconds) {
    self.seconds = seconds
    self.clock = clock
    begin = clock()
  }

  /// Seconds that this call and earlier ones took.
  package var spent: Double { earlier + clock() - begin }
  /// Seconds that are left; below 0 when it took too long.
  package var left: Double { seconds - spent }
}
