// SPDX-License-Identifier: Apache-2.0

import ThawNetwork
import ThawTensors

/// Networks with random parameters for the engine's tests and measurements.
enum SampleNetworks {
  /// EfficientNet-Lite0 up to and including its global pooling.
  static func efficientNetLite0() -> Graph {
    var builder = GraphBuilder(name: "lite0", inputChannels: 3)
    builder.convolve("stem", 3, 32, kernel: 3, stride: 2, activation: .relu6)
    let stages:
      [(repeats: Int, kernel: Int, stride: Int, expansion: Int, inputs: Int, outputs: Int)] =
        [
          (1, 3, 1, 1, 32, 16), (2, 3, 2, 6, 16, 24), (2, 5, 2, 6, 24, 40), (3, 3, 2, 6, 40, 80),
          (3, 5, 1, 6, 80, 112), (4, 5, 2, 6, 112, 192), (1, 3, 1, 6, 192, 320),
        ]
    for (index, stage) in stages.enumerated() {
      for block in 0..<stage.repeats {
        builder.invertedResidual(
          "blocks.\(index).\(block)", block == 0 ? stage.inputs : stage.outputs, stage.outputs,
          kernel: stage.kernel, stride: block == 0 ? stage.stride : 1, expansion: stage.expansion)
      }
    }
    builder.convolve("head", 320, 1280, kernel: 1, activation: .relu6)
    builder.add("pool", .globalAveragePooling)
    return builder.build()
  }

  /// ResNet-50 up to and including its global pooling, strides on the 3x3 convolutions.
  static func resNet50() -> Graph {
    var builder = GraphBuilder(name: "resnet50", inputChannels: 3)
    let stem = Window2D(kernel: 7, stride: 2, padding: .explicit(EdgeInsets(3)))
    builder.convolve("stem", 3, 64, window: stem, activation: .relu)
    builder.add(
      "maxpool",
      .pooling(.maximum, Window2D(kernel: 3, stride: 2, padding: .explicit(EdgeInsets(1)))))
    var inputs = 64
    for (index, stage) in [(3, 64), (4, 128), (6, 256), (3, 512)].enumerated() {
      for block in 0..<stage.0 {
        builder.bottleneck(
          "layer\(index + 1).\(block)", inputs, stage.1, stride: block == 0 && index > 0 ? 2 : 1)
        inputs = stage.1 * 4
      }
    }
    builder.add("avgpool", .globalAveragePooling)
    return builder.build()
  }

  /// Parameters with the scale of a trained network: variance is kept from layer to layer.
  static func parameters(of graph: Graph, seed: UInt64 = 1) -> Parameters {
    var result = Parameters()
    for (index, parameter) in graph.parameters.enumerated() {
      var stream = RandomStream(seed: seed, purpose: .procedural, sample: index)
      let fan = max(parameter.shape.count / max(parameter.shape.extents.first ?? 1, 1), 1)
      result[parameter.path] = Tensor(
        (0..<parameter.shape.count).map { _ in
          switch parameter.role {
          case .weight: Float((2 * stream.uniform(in: 0...1) - 1) * (6 / Double(fan)).squareRoot())
          case .bias, .normShift, .runningMean: Float(stream.uniform(in: -0.2...0.2))
          case .normScale, .runningVariance: Float(stream.uniform(in: 0.5...1.5))
          }
        }, shape: parameter.shape)
    }
    return result
  }

  /// Values in -1..<1.
  static func noise(_ shape: Shape, seed: UInt64 = 7) -> Tensor<Float> {
    var stream = RandomStream(seed: seed, purpose: .procedural)
    return Tensor((0..<shape.count).map { _ in stream.uniform() * 2 - 1 }, shape: shape)
  }
}

extension GraphBuilder {
  /// Convolution, batch norm and, where given, activation; TensorFlow's "same" padding.
  @discardableResult
  mutating func convolve(
    _ name: String, _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, groups: Int = 1,
    activation: Activation?, from source: NodeID? = nil
  ) -> NodeID {
    convolve(
      name, inputs, outputs, window: Window2D(kernel: kernel, stride: stride, padding: .same),
      groups: groups, activation: activation, from: source)
  }

  @discardableResult
  mutating func convolve(
    _ name: String, _ inputs: Int, _ outputs: Int, window: Window2D, groups: Int = 1,
    activation: Activation?, from source: NodeID? = nil
  ) -> NodeID {
    let layer = Convolution2D(inputs: inputs, outputs: outputs, window: window, groups: groups)
    add(ParameterPath(name + ".conv"), .convolution(layer), source.map { [$0] })
    add(
      ParameterPath(name + ".bn"),
      .batchNormalization(BatchNormalization(channels: outputs, epsilon: 1e-3)))
    if let activation { add(ParameterPath(name + ".act"), .activation(activation)) }
    return last
  }

  mutating func invertedResidual(
    _ name: String, _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int, expansion: Int
  ) {
    let source = last
    let width = inputs * expansion
    if expansion > 1 { convolve(name + ".expand", inputs, width, kernel: 1, activation: .relu6) }
    convolve(
      name + ".depthwise", width, width, kernel: kernel, stride: stride, groups: width,
      activation: .relu6)
    convolve(name + ".project", width, outputs, kernel: 1, activation: nil)
    if stride == 1 && inputs == outputs { add(ParameterPath(name + ".add"), .add, [last, source]) }
  }

  mutating func bottleneck(_ name: String, _ inputs: Int, _ width: Int, stride: Int) {
    let source = last
    var shortcut = source
    if stride > 1 || inputs != width * 4 {
      let window = Window2D(kernel: 1, stride: stride)
      shortcut = convolve(name + ".downsample", inputs, width * 4, window: window, activation: nil)
    }
    let middle = Window2D(kernel: 3, stride: stride, padding: .explicit(EdgeInsets(1)))
    convolve(name + ".1", inputs, width, kernel: 1, activation: .relu, from: source)
    convolve(name + ".2", width, width, window: middle, activation: .relu)
    convolve(name + ".3", width, width * 4, kernel: 1, activation: nil)
    add(ParameterPath(name + ".add"), .add, [last, shortcut])
    add(ParameterPath(name + ".relu"), .activation(.relu))
  }
}
