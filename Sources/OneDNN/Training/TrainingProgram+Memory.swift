// SPDX-License-Identifier: Apache-2.0

import ThawExecution

extension TrainingProgram {
  /// About how many bytes training takes: the values of a batch and of the lanes, which are most of it,
  /// and of each parameter its value, a gradient a lane, the kernels' copies (transformed ones are larger),
  /// the optimizer's memory and the best and the mean weights so far.
  ///
  /// - Parameter shards: batches that are in memory side by side.
  func memoryNeed(shards: Int = 1) -> Int {
    let schedule = TrainingSchedule(self, images: shards * batch)
    let scratch = instructions.map(\.scratchBytes).max() ?? 0
    let numbers = parameters.reduce(0) { $0 + $1.description.shape.count }
    return schedule.batchBytes + lanes * (schedule.laneBytes + scratch)
      + (lanes + 8) * numbers * MemoryLayout<Float>.stride
      + instructions.reduce(0) { $0 + $1.transformedBytes }
  }
}
