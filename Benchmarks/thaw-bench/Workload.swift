// SPDX-License-Identifier: Apache-2.0

import ThawTensors

/// Something that can be timed again and again.
protocol Workload {
  /// What exactly is measured, in one line.
  var description: String { get }

  /// Does one round.
  ///
  /// - Returns: the number of images in it.
  func round() throws -> Int

  /// Numbers to compare with the other contenders'; nil when there are none.
  func output() throws -> Tensor<Float>?
}

extension Workload {
  func output() throws -> Tensor<Float>? { nil }
}
