// SPDX-License-Identifier: Apache-2.0

import ThawTensors

/// Which samples form which batch: a pure function of seed and epoch.
package struct BatchOrder: Sendable, Equatable {
  /// Number of samples.
  package let count: Int
  /// The run's seed.
  package let seed: UInt64
  /// Positions in the epoch's order, batch by batch. All samples are used; a last batch of one is
  /// merged into the one before, because batch statistics of one sample are meaningless.
  package let batches: [Range<Int>]

  /// Cuts `count` samples into batches of `batchSize`; traps on numbers below 1.
  package init(count: Int, batchSize: Int, seed: UInt64) {
    precondition(count > 0 && batchSize > 0, "An epoch needs samples and a batch size.")
    self.count = count
    self.seed = seed
    var batches = stride(from: 0, to: count, by: batchSize).map {
      $0..<min($0 + batchSize, count)
    }
    if batchSize > 1, batches.count > 1, let last = batches.last, last.count == 1 {
      batches.removeLast()
      batches[batches.count - 1] = batches[batches.count - 1].lowerBound..<count
    }
    self.batches = batches
  }

  /// The samples in the order of epoch `epoch`, 0-based.
  package func indices(epoch: Int) -> [Int] {
    var stream = RandomStream(seed: seed, purpose: .shuffle, epoch: epoch)
    return stream.permutation(of: count)
  }
}
