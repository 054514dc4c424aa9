// SPDX-License-Identifier: Apache-2.0

import ThawNetwork

/// The networks of `Tools/parity_network.py`, node for node.
enum ParityNetworks {
  private static func convolution(
    _ inputs: Int, _ outputs: Int, _ window: Window2D, groups: Int = 1, bias: Bool = false
  ) -> ThawNetwork.Operation {
    .convolution(
      Convolution2D(inputs: inputs, outputs: outputs, window: window, groups: groups, hasBias: bias)
    )
  }

  private static func norm(_ channels: Int) -> ThawNetwork.Operation {
    .batchNormalization(BatchNormalization(channels: channels, epsilon: 1e-3, momentum: 0.2))
  }

  /// Stem with "same" padding, a depthwise residual block, a strided block with a projection, and a
  /// head with a batch norm on [N, C]. Input [N, 3, 15, 17], 5 classes.
  static var residual: Graph {
    var builder = GraphBuilder(name: "residual", inputChannels: 3)
    builder.add("stem.conv", convolution(3, 8, Window2D(kernel: 3, stride: 2, padding: .same)))
    builder.add("stem.bn", norm(8))
    let stem = builder.add("stem.act", .activation(.relu6))
    builder.beginGroup("middle")
    builder.add(
      "block1.dw", convolution(8, 8, Window2D(kernel: 3, padding: .same), groups: 8))
    builder.add("block1.bn1", norm(8))
    builder.add("block1.act", .activation(.relu6))
    builder.add("block1.pw", convolution(8, 8, Window2D(kernel: 1)))
    let branch = builder.add("block1.bn2", norm(8))
    let first = builder.add("block1.add", .add, [stem, branch])
    builder.beginGroup("late")
    let padded = Window2D(kernel: 3, stride: 2, padding: .explicit(EdgeInsets(1)))
    builder.add("block2.conv", convolution(8, 12, padded, groups: 4, bias: true))
    builder.add("block2.bn", norm(12))
    let second = builder.add("block2.act", .activation(.silu))
    builder.add("block2.down", convolution(8, 12, Window2D(kernel: 1, stride: 2)), [first])
    let projected = builder.add("block2.down_bn", norm(12))
    builder.add("block2.add", .add, [second, projected])
    builder.add("block2.out", .activation(.relu))
    var ceiling = padded
    ceiling.roundsUp = true
    builder.add("pool", .pooling(.maximum, ceiling))
    builder.beginGroup("head")
    builder.add("gap", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("fc1", .dense(Dense(inputs: 12, outputs: 10)))
    builder.add("bn", norm(10))
    builder.add("fc1_act", .activation(.relu))
    builder.add("fc", .dense(Dense(inputs: 10, outputs: 5)))
    return builder.build()
  }

  /// Asymmetric padding, dilation, two averages, concatenation and both global poolings.
  /// Input [N, 3, 11, 12], 4 classes.
  static var inception: Graph {
    var builder = GraphBuilder(name: "inception", inputChannels: 3)
    var wide = Window2D(
      kernel: 3, dilation: 2,
      padding: .explicit(EdgeInsets(top: 1, left: 2, bottom: 3, right: 0)))
    wide.stride = Extent2D(height: 1, width: 2)
    builder.add("conv", convolution(3, 6, wide, bias: true))
    builder.add("bn", norm(6))
    let stem = builder.add("act", .activation(.relu))
    builder.beginGroup("branches")
    builder.add("a.conv", convolution(6, 4, Window2D(kernel: 1), bias: true), [stem])
    let a = builder.add("a.act", .activation(.sigmoid))
    let around = Window2D(kernel: 3, padding: .explicit(EdgeInsets(1)))
    builder.add("b.pool", .pooling(.average(includesPadding: false), around), [stem])
    let b = builder.add("b.conv", convolution(6, 4, Window2D(kernel: 1)))
    builder.add("c.pool", .pooling(.average(includesPadding: true), around), [stem])
    let c = builder.add("c.conv", convolution(6, 3, Window2D(kernel: 3, padding: .same)))
    builder.add("join", .concatenate, [a, b, c])
    let joined = builder.add("join_bn", norm(11))
    builder.beginGroup("head")
    let largest = builder.add("max", .globalMaximumPooling, [joined])
    let mean = builder.add("mean", .globalAveragePooling, [joined])
    builder.add("pools", .concatenate, [largest, mean])
    builder.add("flatten", .flatten)
    builder.add("head_bn", norm(22))
    builder.add("fc", .dense(Dense(inputs: 22, outputs: 4, hasBias: false)))
    return builder.build()
  }
}
