// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// An operation on bytes in whole numbers, element by element: the measure of the kernels, which give the
/// same bits.
final class ReferenceByteOperation<Scalar: BLASScalar>: ReferenceLayer {
  private let fused: FusedOperation
  private let layer: ByteLayer?
  private let operands: [ReferenceByteValue<Scalar>]
  private let output: ReferenceValue<Scalar>
  private let scale: ByteScale?
  private let map: ChannelAffine?

  /// - Parameters:
  ///   - scale: of the result; nil where it is real.
  ///   - map: of a batch norm or channel scale.
  init(
    fused: FusedOperation, layer: ByteLayer?, operands: [ReferenceByteValue<Scalar>],
    output: ReferenceValue<Scalar>, scale: ByteScale?, map: ChannelAffine?
  ) {
    self.fused = fused
    self.layer = layer
    self.operands = operands
    self.output = output
    self.scale = scale
    self.map = map
  }

  func backward(_ pass: ReferencePass) {}

  func forward(_ pass: ReferencePass) {
    // Inputs were needed last at the operation's first node: the result may lie in their memory.
    let all = (0..<pass.count).map { sample in compute(operands.map { $0.differences(sample) }) }
    for (sample, results) in all.enumerated() {
      for (index, result) in results.enumerated() {
        output.values[sample * output.stride + index] = Scalar(result)
      }
    }
  }

  /// [channels, pixels] of one sample; inputs are bytes less their zeros.
  private func compute(_ inputs: [[Int]]) -> [Float] {
    switch fused.lead.operation {
    case .convolution(let layer): ended(convolved(inputs[0], layer), inputs.last)
    case .dense(let layer): ended(products(inputs[0], layer), inputs.last)
    case .batchNormalization, .channelScale: affine(inputs[0])
    case .activation(let function):
      inputs[0].map { rounded(ByteArithmetic.applied(function, to: real($0))) }
    case .add: sum(inputs[0], inputs[1])
    case .gate: gated(inputs[0], inputs[1])
    case .concatenate: concatenated(inputs)
    case .pooling(.maximum, let window): maximum(inputs[0], window)
    case .globalMaximumPooling: maximum(inputs[0], wholeImage)
    case .pooling(.average(let includesPadding), let window):
      average(inputs[0], window, includesPadding)
    case .globalAveragePooling, .adaptiveAveragePooling: average(inputs[0], wholeImage, true)
    case .flatten, .dropout, .stochasticDepth, .input, .layerNormalization,
      .responseNormalization, .tokens, .attention, .attentionPooling, .selectTokens, .multiply:
      inputs[0].map { real($0) }
    }
  }

  private func real(_ difference: Int) -> Float { Float(difference) * operands[0].scale.scale }

  private func rounded(_ value: Float) -> Float {
    guard let scale else { return value }
    return ByteArithmetic.value(ByteArithmetic.byte(value, scale), scale)
  }

  private var size: Extent2D { operands[0].value.image }
  private var pixels: Int { output.stride / output.shape[1] }

  private var wholeImage: Window2D {
    var window = Window2D(kernel: 1)
    window.kernel = size
    window.stride = size
    return window
  }

  // MARK: Layers with weights

  /// Residual, function and rounding behind the sums of a layer.
  private func ended(_ sums: [Int], _ others: [Int]?) -> [Float] {
    let ending = fused.byteEnding
    return sums.indices.map { index in
      var value = Float(Int32(sums[index])) * (layer?.factor[index / pixels] ?? 0)
      if ending?.residual != nil, let others, let operand = operands.last {
        value = value + Float(others[index]) * operand.scale.scale
      }
      return rounded(ByteArithmetic.applied(ending?.function, to: value))
    }
  }

  /// The bias of a layer's differences: its own, without what the kernels take away for the zero.
  private func bias(_ channel: Int, _ weights: ArraySlice<Int8>) -> Int {
    Int(layer?.bias[channel] ?? 0) + operands[0].scale.zero * weights.reduce(0) { $0 + Int($1) }
  }

  private func products(_ input: [Int], _ shape: Dense) -> [Int] {
    guard let layer else { return [] }
    return (0..<shape.outputs).map { channel in
      let weights = layer.weights[channel * shape.inputs..<(channel + 1) * shape.inputs]
      return zip(input, weights).reduce(bias(channel, weights)) { $0 + $1.0 * Int($1.1) }
    }
  }

  private func convolved(_ input: [Int], _ shape: Convolution2D) -> [Int] {
    guard let layer else { return [] }
    let (window, size, result) = (shape.window, size, output.image)
    let insets = window.insets(for: size)
    let (perGroup, taps) = (shape.inputs / shape.groups, window.kernel.count)
    var sums: [Int] = []
    for channel in 0..<shape.outputs {
      let first = channel * perGroup * taps
      let weights = layer.weights[first..<first + perGroup * taps]
      let start = bias(channel, weights)
      let group = channel / (shape.outputs / shape.groups)
      for row in 0..<result.height {
        for column in 0..<result.width {
          var sum = start
          for inner in 0..<perGroup {
            let plane = (group * perGroup + inner) * size.count
            for ky in 0..<window.kernel.height {
              let y = row * window.stride.height + ky * window.dilation.height - insets.top
              guard y >= 0, y < size.height else { continue }
              for kx in 0..<window.kernel.width {
                let x = column * window.stride.width + kx * window.dilation.width - insets.left
                guard x >= 0, x < size.width else { continue }
                let weight = Int(
                  weights[first + inner * taps + ky * window.kernel.width + kx])
                sum += input[plane + y * size.width + x] * weight
              }
            }
          }
          sums.append(sum)
        }
      }
    }
    return sums
  }

  // MARK: The others

  private func affine(_ input: [Int]) -> [Float] {
    guard let map else { return [] }
    return input.indices.map { index in
      let channel = index / pixels
      let factor = Float(Double(operands[0].scale.scale) * map.scale[channel])
      let value = Float(input[index]) * factor + Float(map.shift[channel])
      return rounded(ByteArithmetic.applied(fused.byteEnding?.function, to: value))
    }
  }

  private func sum(_ first: [Int], _ second: [Int]) -> [Float] {
    first.indices.map { index in
      let value = real(first[index]) + Float(second[index]) * operands[1].scale.scale
      return rounded(ByteArithmetic.applied(fused.byteEnding?.function, to: value))
    }
  }

  private func gated(_ input: [Int], _ gates: [Int]) -> [Float] {
    let product = operands[0].scale.scale * operands[1].scale.scale
    return input.indices.map { rounded(Float(input[$0] * gates[$0 / pixels]) * product) }
  }

  private func concatenated(_ inputs: [[Int]]) -> [Float] {
    zip(inputs, operands).flatMap { input, operand in
      input.map { rounded(Float($0) * operand.scale.scale) }
    }
  }

  /// What each output's window sees of a plane.
  private func windows(_ window: Window2D) -> [[Int]] {
    let insets = window.insets(for: size)
    return (0..<output.image.height).flatMap { row in
      (0..<output.image.width).map { column in
        (0..<window.kernel.height).flatMap { ky -> [Int] in
          let y = row * window.stride.height + ky * window.dilation.height - insets.top
          guard y >= 0, y < size.height else { return [] }
          return (0..<window.kernel.width).compactMap { kx in
            let x = column * window.stride.width + kx * window.dilation.width - insets.left
            return x >= 0 && x < size.width ? y * size.width + x : nil
          }
        }
      }
    }
  }

  private func maximum(_ input: [Int], _ window: Window2D) -> [Float] {
    let seen = windows(window)
    return (0..<operands[0].channels).flatMap { channel in
      seen.map { places in
        real(places.map { input[channel * size.count + $0] }.max() ?? -operands[0].scale.zero)
      }
    }
  }

  private func average(
    _ input: [Int], _ window: Window2D, _ includesPadding: Bool
  ) -> [Float] {
    let seen = windows(window)
    let counts = window.counts(for: size, output: output.image, includesPadding: includesPadding)
    return (0..<operands[0].channels).flatMap { channel in
      seen.indices.map { place in
        let sum = seen[place].reduce(0) { $0 + input[channel * size.count + $1] }
        return rounded(Float(sum) * (operands[0].scale.scale / Float(counts[place])))
      }
    }
  }
}
