// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork
import ThawTensors

/// A layer's weights and bias as the whole numbers that bytes are multiplied and summed by.
///
/// With x = input.scale * (byte - input.zero) and w = step[channel] * weight, the layer's sum is
/// factor[channel] * (sum of weight * byte + bias[channel]); the bias holds the layer's own and what the
/// input's zero takes away, so that a window's padding is the zero byte.
package struct ByteLayer {
  /// In the order of the parameter, -127...127.
  package let weights: [Int8]
  /// One an output channel.
  package let bias: [Int32]
  /// One an output channel: the input's scale times the weight's step, in Float32.
  package let factor: [Float]

  /// Reads the parameters of `fused`.
  ///
  /// - Parameters:
  ///   - outputs: channels of the result.
  ///   - steps: of the weights, one a channel.
  /// - Throws: ``NetworkError`` when parameters do not fit; ``ExecutionError`` when sums could leave 32 bits.
  package init(
    _ fused: FusedOperation, outputs: Int, hasBias: Bool, input: ByteScale, steps: [Float],
    _ parameters: Parameters
  ) throws {
    let folded = try FoldedParameters(fused, outputs: outputs, hasBias: hasBias, parameters)
    guard steps.count == outputs else {
      throw NetworkError.shapeMismatch(
        layer: fused.lead.path, expected: "\(outputs) weight steps", found: "\(steps.count)")
    }
    let width = folded.weights.count / max(outputs, 1)
    var weights = [Int8](repeating: 0, count: folded.weights.count)
    var bias = [Int32](repeating: 0, count: outputs)
    for channel in 0..<outputs {
      let step = steps[channel]
      var sum = 0
      var magnitude = 0
      for index in channel * width..<(channel + 1) * width {
        let value = step > 0 ? (folded.weights[index] / step).rounded(.toNearestOrEven) : 0
        let weight = Int8(min(max(value, -127), 127))
        weights[index] = weight
        sum += Int(weight)
        magnitude += abs(Int(weight))
      }
      // A channel whose weights are all 0 has its bias alone, in steps as small as the input's.
      let unit = Double(input.scale) * Double(ByteLayer.unit(step))
      let own = (Double(folded.bias?[channel] ?? 0) / unit).rounded(.toNearestOrEven)
      let total = own - Double(input.zero * sum)
      guard abs(own) + Double(255 * magnitude) < 0x1p31, abs(total) < 0x1p31 else {
        throw ExecutionError.unsupported(
          operation: "sums of more than 32 bits", layer: fused.lead.path, engine: "int8")
      }
      bias[channel] = Int32(total)
    }
    self.weights = weights
    self.bias = bias
    factor = steps.map { input.scale * ByteLayer.unit($0) }
  }

  /// What a channel's sums are multiples of, over the input's scale.
  private static func unit(_ step: Float) -> Float { step > 0 ? step : 0x1p-20 }
}
