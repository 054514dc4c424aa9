// SPDX-License-Identifier: Apache-2.0

import ThawNetwork
import ThawTensors

extension TrainingNetworks {
  /// Squeeze and excitation in small. The gates come from the gated value itself, as everywhere, or from
  /// another branch, which is gated too and so is used twice.
  static func gated(fromItself: Bool) -> Graph {
    func point(_ inputs: Int, _ outputs: Int) -> ThawNetwork.Operation {
      .convolution(
        Convolution2D(inputs: inputs, outputs: outputs, window: Window2D(kernel: 1), hasBias: true))
    }
    var builder = GraphBuilder(name: "gated \(fromItself)", inputChannels: 3)
    let stem = builder.convolve("stem", 3, 20, kernel: 3, activation: .silu)
    builder.beginGroup("block")
    let wide = builder.convolve("wide", 20, 20, kernel: 3, groups: 20, activation: .silu)
    builder.add("squeeze", .globalAveragePooling, [fromItself ? wide : stem])
    builder.add("fc1", point(20, 5))
    builder.add("act", .activation(.silu))
    builder.add("fc2", point(5, 20))
    let gates = builder.add("gates", .activation(.sigmoid))
    let gated = builder.add("gate", .gate, [wide, gates])
    if !fromItself { builder.add("again", .gate, [stem, gates]) }
    builder.add("sum", .add, [gated, fromItself ? stem : builder.last])
    builder.convolve("last", 20, 9, kernel: 1, activation: nil)
    builder.add("flatten", .flatten)
    return builder.build()
  }

  /// ConvNeXt in small: patches, depthwise convolutions, layer norms, gelu, layer scales, a
  /// downsampling layer and a normalised head.
  static func modern(stochasticDepth: Double = 0) -> Graph {
    var builder = GraphBuilder(name: "modern", inputChannels: 3)
    let patches = Window2D(kernel: 2, stride: 2)
    builder.add(
      "stem",
      .convolution(Convolution2D(inputs: 3, outputs: 12, window: patches, hasBias: true)))
    builder.add("norm", .layerNormalization(LayerNormalization(channels: 12)))
    builder.modernBlock("0", 12, stochasticDepth)
    builder.beginGroup("late")
    builder.add("down.norm", .layerNormalization(LayerNormalization(channels: 12)))
    builder.add(
      "down.conv",
      .convolution(Convolution2D(inputs: 12, outputs: 20, window: patches, hasBias: true)))
    builder.modernBlock("1", 20, stochasticDepth)
    builder.beginGroup("head")
    builder.add("pool", .globalAveragePooling)
    builder.add("head.norm", .layerNormalization(LayerNormalization(channels: 20)))
    builder.add("flatten", .flatten)
    builder.add("fc", .dense(Dense(inputs: 20, outputs: 5)))
    builder.add("fc.norm", .layerNormalization(LayerNormalization(channels: 5, epsilon: 1e-3)))
    return builder.build()
  }
}

extension GraphBuilder {
  fileprivate mutating func modernBlock(
    _ name: String, _ channels: Int, _ stochasticDepth: Double
  ) {
    let source = last
    let window = Window2D(kernel: 7, padding: .explicit(EdgeInsets(3)))
    add(
      "\(name).dw",
      .convolution(
        Convolution2D(
          inputs: channels, outputs: channels, window: window, groups: channels, hasBias: true)))
    add("\(name).norm", .layerNormalization(LayerNormalization(channels: channels)))
    add("\(name).fc1", matrix(channels, 4 * channels))
    add("\(name).act", .activation(.gelu))
    add("\(name).fc2", matrix(4 * channels, channels))
    add(ParameterPath(name), .channelScale(ChannelScale(channels: channels, name: "layer_scale")))
    if stochasticDepth > 0 {
      add("\(name).depth", .stochasticDepth(probability: stochasticDepth))
    }
    add("\(name).add", .add, [last, source])
  }

  private func matrix(_ inputs: Int, _ outputs: Int) -> ThawNetwork.Operation {
    .convolution(
      Convolution2D(
        inputs: inputs, outputs: outputs, window: Window2D(kernel: 1), hasBias: true,
        storesMatrix: true))
  }
}
