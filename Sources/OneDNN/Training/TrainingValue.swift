// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// The result of an instruction and its gradient: channels last, [N, H, W, C] or [N, F].
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
