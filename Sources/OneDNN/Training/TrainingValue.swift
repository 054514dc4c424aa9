// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

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

/// The result of a step and its gradient: channels last, [N, H, W, C] or [N, F].
final class TrainingValue {
  /// Of the largest batch, in PyTorch's order: [N, C, H, W] or [N, F].
  let shape: Shape
  /// Elements of one image.
  let stride: Int
  /// Whether something at or before it trains and something behind it passes a gradient back.
  var hasGradient = false
  /// Buffers of the result and of the gradient, by number; equal numbers share memory.
  var buffer: Int
  var gradientBuffer: Int
  /// Filled in when the memory has been planned.
  private var memory: TrainingMemory?
  private var place = TrainingPlace.batch(0)
  private var gradientPlace = TrainingPlace.batch(0)

  init(_ shape: Shape, number: Int) {
    self.shape = shape
    stride = shape.count / shape[0]
    buffer = 2 * number
    gradientBuffer = 2 * number + 1
  }

  /// Channels, or features.
  var channels: Int { shape[1] }
  /// Height times width; 1 for features.
  var plane: Int { stride / max(channels, 1) }
  /// Height and width; 1x1 for features.
  var image: Extent2D {
    shape.rank == 4 ? Extent2D(height: shape[2], width: shape[3]) : Extent2D(1)
  }

  /// Binds the value to planned memory.
  func bind(_ memory: TrainingMemory, _ place: TrainingPlace?, gradient: TrainingPlace?) {
    self.memory = memory
    if let place { self.place = place }
    if let gradient { gradientPlace = gradient }
  }

  /// The result for the images of `work`.
  @inline(__always)
  func values(_ work: TrainingWork) -> UnsafeMutablePointer<Float> {
    guard let memory else { preconditionFailure("A value is used before its memory is planned.") }
    return memory.address(place, stride, work)
  }

  /// d loss / d result for the images of `work`.
  @inline(__always)
  func gradient(_ work: TrainingWork) -> UnsafeMutablePointer<Float> {
    guard let memory else { preconditionFailure("A value is used before its memory is planned.") }
    return memory.address(gradientPlace, stride, work)
  }
}
