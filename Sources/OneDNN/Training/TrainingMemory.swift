// SPDX-License-Identifier: Apache-2.0

import ThawExecution

/// Where a buffer lies while a plan runs.
enum TrainingPlace {
  /// Bytes into the block that holds whole batches.
  case batch(Int)
  /// Bytes into the block of each lane, which holds the images of one pass.
  case lane(Int)
}

/// The memory of a plan: one block for what lives from one segment to another, one a lane for the rest.
final class TrainingMemory {
  let batch: OneDNNBlock
  let lanes: [OneDNNBlock]

  init(batchBytes: Int, laneBytes: Int, lanes: Int) throws(ExecutionError) {
    batch = try OneDNNBlock(zeroed: batchBytes)
    var blocks: [OneDNNBlock] = []
    for _ in 0..<lanes { blocks.append(try OneDNNBlock(zeroed: laneBytes)) }
    self.lanes = blocks
  }

  /// The elements of `work`'s images in a buffer of `stride` elements an image.
  @inline(__always)
  func address(_ place: TrainingPlace, _ stride: Int, _ work: TrainingWork)
    -> UnsafeMutablePointer<Float>
  {
    switch place {
    case .batch(let offset):
      (batch.address + offset).assumingMemoryBound(to: Float.self)
        + work.images.lowerBound * stride
    case .lane(let offset):
      (lanes[work.lane].address + offset).assumingMemoryBound(to: Float.self)
    }
  }
}

extension OneDNNBlock {
  /// Takes `bytes` bytes of zeros.
  convenience init(zeroed bytes: Int) throws(ExecutionError) {
    try self.init(bytes: max(bytes, 64), nil)
    address.initializeMemory(as: UInt8.self, repeating: 0, count: max(bytes, 64))
  }

  /// The block as numbers.
  var floats: UnsafeMutablePointer<Float> { address.assumingMemoryBound(to: Float.self) }
}
