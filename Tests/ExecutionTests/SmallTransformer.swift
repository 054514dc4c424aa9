// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawNetwork
import ThawTensors

/// A vision transformer of two blocks: patches of 2 pixels, widths that no vector divides.
struct SmallTransformer: Sendable, CustomTestStringConvertible {
  var name: String
  var size: Extent2D
  var tokens: TokenSequence
  var heads = 2
  var activation = Activation.gelu
  var hasLayerScale = false
  /// What the head reads.
  enum Pooling {
    case classToken
    /// The mean of the patches.
    case mean
    case attention(AttentionPooling)
  }
  var pooling = Pooling.classToken
  var rotary: RotaryEmbedding?
  /// Whether queries and values have biases of their own, else all have the dense layer's.
  var hasBiases = false
  /// Whether the first dense layer is a gated unit.
  var isGated = false

  var testDescription: String { name }

  private static let width = 20

  /// The learned grid is the image's.
  static let plain = SmallTransformer(
    name: "plain", size: Extent2D(height: 6, width: 8),
    tokens: TokenSequence(
      channels: width, grid: Extent2D(height: 3, width: 4), resampling: .antialiased))
  /// Registers, layer scales, and positions that are resampled.
  static let odd = SmallTransformer(
    name: "odd", size: Extent2D(height: 11, width: 12),
    tokens: TokenSequence(
      channels: width, grid: Extent2D(4), registers: 3, positioned: 1, resampling: .cubic),
    heads: 5, activation: .quickGELU, hasLayerScale: true)
  /// No token but the patches, more of them than one block of scores has rows.
  static let many = SmallTransformer(
    name: "many", size: Extent2D(height: 34, width: 36),
    tokens: TokenSequence(
      channels: width, grid: Extent2D(5), hasClassToken: false, positioned: 0,
      resampling: .alignedCorners),
    heads: 1, activation: .geluTanh, pooling: .mean)

  /// Turned queries and keys with biases, registers before the patches, gated units.
  static let turned = SmallTransformer(
    name: "turned", size: Extent2D(height: 7, width: 10),
    tokens: TokenSequence(
      channels: width, grid: Extent2D(4), registers: 2, positioned: 0, resampling: .antialiased,
      hasPositions: false),
    heads: 5, activation: .silu, hasLayerScale: true,
    rotary: RotaryEmbedding(prefix: 3), hasBiases: true, isGated: true)
  /// Turned ones in more than one block of scores, by rounded periods, and no class token.
  static let manyTurned = SmallTransformer(
    name: "many turned", size: Extent2D(height: 34, width: 36),
    tokens: TokenSequence(
      channels: width, grid: Extent2D(5), hasClassToken: false, positioned: 0,
      resampling: .antialiased, hasPositions: false),
    heads: 1, pooling: .mean, rotary: RotaryEmbedding(prefix: 0, base: 50, isRounded: true))

  /// Pooled by a query that is computed of a latent token, past a class token.
  static let queried = SmallTransformer(
    name: "queried", size: Extent2D(height: 11, width: 12),
    tokens: TokenSequence(channels: width, grid: Extent2D(4), resampling: .cubic),
    heads: 5, pooling: .attention(AttentionPooling(channels: width, heads: 5)))
  /// Pooled by a query that is a parameter.
  static let constant = SmallTransformer(
    name: "constant query", size: Extent2D(height: 34, width: 36),
    tokens: TokenSequence(
      channels: width, grid: Extent2D(5), hasClassToken: false, positioned: 0,
      resampling: .antialiased),
    pooling: .attention(AttentionPooling(channels: width, heads: 2, hasProjection: false)))

  static let all = [plain, odd, many, turned, manyTurned, queried, constant]

  var graph: Graph {
    let width = SmallTransformer.width
    var builder = GraphBuilder(name: name, inputChannels: 3)
    builder.add(
      "embed.proj",
      .convolution(
        Convolution2D(
          inputs: 3, outputs: width, window: Window2D(kernel: 2, stride: 2), hasBias: true)))
    builder.add("embed.tokens", .tokens(tokens))
    addBlock(&builder, "0", width)
    builder.beginGroup("late")
    addBlock(&builder, "1", width)
    builder.add("norm", .layerNormalization(LayerNormalization(channels: width)))
    switch pooling {
    case .classToken: builder.add("token", .selectTokens(TokenSelection(first: 0, count: 1)))
    case .mean:
      builder.add("patches", .selectTokens(TokenSelection(first: tokens.prefix)))
      builder.add("pool", .globalAveragePooling)
    case .attention(let pooling):
      if tokens.prefix > 0 {
        builder.add("patches", .selectTokens(TokenSelection(first: tokens.prefix)))
      }
      builder.add("pool.kv", matrix(width, 2 * width))
      builder.add("pool", .attentionPooling(pooling))
      builder.add("pool.proj", matrix(width, width))
    }
    builder.add("flatten", .flatten)
    builder.beginGroup("head")
    builder.add("head", .dense(Dense(inputs: width, outputs: 5)))
    return builder.build()
  }

  private func addBlock(_ builder: inout GraphBuilder, _ name: String, _ width: Int) {
    let entry = builder.last
    builder.add("\(name).norm1", .layerNormalization(LayerNormalization(channels: width)))
    builder.add("\(name).qkv", matrix(width, 3 * width, hasBias: !hasBiases))
    builder.add(
      "\(name).attention",
      .attention(
        Attention(channels: width, heads: heads, rotary: rotary, hasBiases: hasBiases)))
    builder.add("\(name).proj", matrix(width, width))
    if hasLayerScale {
      builder.add(
        "\(name).ls", .channelScale(ChannelScale(channels: width, name: "gamma", isVector: true)))
    }
    let middle = builder.add("\(name).add1", .add, [builder.last, entry])
    builder.add("\(name).fc1", matrix(width, 3 * width))
    let gates = builder.add("\(name).act", .activation(activation))
    if isGated {
      builder.add("\(name).fc1_x", matrix(width, 3 * width), [middle])
      builder.add("\(name).gate", .multiply, [gates, builder.last])
    }
    builder.add("\(name).fc2", matrix(3 * width, width))
    builder.add("\(name).add2", .add, [builder.last, middle])
  }

  private func matrix(
    _ inputs: Int, _ outputs: Int, hasBias: Bool = true
  ) -> ThawNetwork.Operation {
    .convolution(
      Convolution2D(
        inputs: inputs, outputs: outputs, window: Window2D(kernel: 1), hasBias: hasBias,
        storesMatrix: true))
  }
}
