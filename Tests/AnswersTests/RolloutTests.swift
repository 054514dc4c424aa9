// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawAnswers
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawImages
import ThawInference
import ThawNetwork
import ThawTensors
import ThawTestSupport

/// Attention rollout on a transformer of two blocks.
struct RolloutTests {
  private let context = StageContext(
    console: Console(isQuiet: true), threads: 1, pretrained: PretrainedStore(directory: "none"))
  private static let width = 8
  private static let grid = Extent2D(4)

  /// What the head reads, and how attention knows of positions.
  enum Kind: CaseIterable {
    case classToken, patches, both, rotary
    /// A query that is learned pools the patches.
    case queried

    var rotary: RotaryEmbedding? { self == .rotary ? RotaryEmbedding(prefix: 2) : nil }
  }

  private func model(_ kind: Kind, scale: Float = 0.6) -> StoredModel {
    let width = Self.width
    var builder = GraphBuilder(name: "small", inputChannels: 3)
    func dense(_ inputs: Int, _ outputs: Int) -> ThawNetwork.Operation {
      .convolution(
        Convolution2D(
          inputs: inputs, outputs: outputs, window: Window2D(kernel: 1), hasBias: true,
          storesMatrix: true))
    }
    builder.add(
      "patch_embed",
      .convolution(
        Convolution2D(
          inputs: 3, outputs: width, window: Window2D(kernel: 4, stride: 4), hasBias: true)))
    builder.add(
      "tokens",
      .tokens(
        TokenSequence(
          channels: width, grid: Self.grid, registers: 1, positioned: kind == .rotary ? 0 : 2,
          resampling: .cubic, hasPositions: kind != .rotary)))
    for index in 0..<2 {
      let entry = builder.last
      builder.add("blocks.\(index).qkv", dense(width, 3 * width))
      builder.add(
        "blocks.\(index).attn",
        .attention(Attention(channels: width, heads: 2, rotary: kind.rotary)))
      builder.add("blocks.\(index).proj", dense(width, width))
      builder.add("blocks.\(index).add", .add, [builder.last, entry])
    }
    let all = builder.last
    let token = ThawNetwork.Operation.selectTokens(TokenSelection(first: 0, count: 1))
    let patches = ThawNetwork.Operation.selectTokens(TokenSelection(first: 2))
    switch kind {
    case .classToken, .rotary: builder.add("token", token)
    case .patches:
      builder.add("patches", patches)
      builder.add("pool", .globalAveragePooling)
    case .queried:
      builder.add("patches", patches)
      builder.add("pool.kv", dense(width, 2 * width))
      builder.add(
        "pool",
        .attentionPooling(AttentionPooling(channels: width, heads: 2, hasProjection: false)))
    case .both:
      let first = builder.add("token", token, [all])
      builder.add("patches", patches, [all])
      let mean = builder.add("pool", .globalAveragePooling)
      builder.add("both", .concatenate, [first, mean])
    }
    builder.add("flatten", .flatten)
    builder.beginGroup("head")
    builder.add("fc", .dense(Dense(inputs: kind == .both ? 2 * width : width, outputs: 3)))
    let graph = builder.build()
    var parameters = Parameters.procedural(for: graph)
    // Attention that takes of all tokens alike, or of one alone, would hide what is wrong.
    if let query = parameters["pool.query"] {
      parameters["pool.query"] = Tensor(query.elements.map { $0 * 20 }, shape: query.shape)
    }
    for index in 0..<2 {
      let path = ParameterPath("blocks.\(index).qkv.weight")
      guard let tensor = parameters[path] else { continue }
      parameters[path] = Tensor(tensor.elements.map { $0 * scale }, shape: tensor.shape)
    }
    return SmallModel.stored(graph, parameters)
  }

  /// The weights of one attention, averaged over its heads, from the queries and keys that another engine
  /// computes: [tokens, tokens].
  private func weights(_ model: StoredModel, _ index: Int) throws -> [[Double]] {
    let graph = model.graph
    let size = Extent2D(SmallModel.side)
    let shapes = try graph.shapes(batch: 1, size: size)
    let node = try #require(graph.nodes.first { $0.path.description == "blocks.\(index).qkv" })
    let attention = try #require(
      graph.nodes.first { $0.path.description == "blocks.\(index).attn" })
    let (tokens, width, half) = (shapes[node.id.index][3], Self.width / 2, Self.width / 4)
    let plan = try context.compiler.compileInference(
      graph.ending(at: node.id), parameters: model.parameters, microBatch: 1, size: size)
    let values = AlignedStorage<Float>(count: 3 * Self.width * tokens)
    try plan.run(UnsafeBufferPointer(SmallModel.photo.elements), into: values.elements)
    let angles = graph.rotaryAngles(of: attention, shapes)
    func turned(_ start: Int, _ token: Int) -> [Double] {
      let x = (0..<width).map { Double(values.elements[(start + $0) * tokens + token]) }
      guard let angles, token >= 2 else { return x }
      return (0..<width).map { channel in
        let angle = angles[(token - 2) * half + channel % half]
        return channel < half
          ? x[channel] * cos(angle) - x[channel + half] * sin(angle)
          : x[channel] * cos(angle) + x[channel - half] * sin(angle)
      }
    }
    var result = [[Double]](repeating: [Double](repeating: 0, count: tokens), count: tokens)
    for head in 0..<2 {
      let keys = (0..<tokens).map { turned(Self.width + head * width, $0) }
      for from in 0..<tokens {
        let query = turned(head * width, from)
        let products = keys.map { key in
          zip(query, key).reduce(0) { $0 + $1.0 * $1.1 } / Double(width).squareRoot()
        }
        let scores = products.map { exp($0 - (products.max() ?? 0)) }
        let sum = scores.reduce(0, +)
        for to in 0..<tokens { result[from][to] += scores[to] / sum / 2 }
      }
    }
    return result
  }

  /// How the learned query weighs the patches, averaged over its heads, from the keys that another engine
  /// computes: [patches].
  private func poolingWeights(_ model: StoredModel) throws -> [Double] {
    let node = try #require(model.graph.nodes.first { $0.path.description == "pool.kv" })
    let patches = Self.grid.count
    let plan = try context.compiler.compileInference(
      model.graph.ending(at: node.id), parameters: model.parameters, microBatch: 1,
      size: Extent2D(SmallModel.side))
    let values = AlignedStorage<Float>(count: 2 * Self.width * patches)
    try plan.run(UnsafeBufferPointer(SmallModel.photo.elements), into: values.elements)
    let query = try model.parameters.tensor("pool.query").elements
    var result = [Double](repeating: 0, count: patches)
    for head in 0..<2 {
      let channels = head * Self.width / 2..<(head + 1) * Self.width / 2
      let scores = (0..<patches).map { patch in
        exp(
          channels.reduce(0.0) {
            $0 + Double(query[$1]) * Double(values.elements[$1 * patches + patch])
          } / Double(channels.count).squareRoot())
      }
      let sum = scores.reduce(0, +)
      for patch in 0..<patches { result[patch] += scores[patch] / sum / 2 }
    }
    return result
  }

  @Test(arguments: Kind.allCases)
  func theMapIsTheProductOfTheAttentions(_ kind: Kind) throws {
    let model = model(kind)
    let (first, second) = (try weights(model, 0), try weights(model, 1))
    let tokens = first.count
    func halved(_ weights: [[Double]], _ from: Int, _ to: Int) -> Double {
      (weights[from][to] + (from == to ? 1 : 0)) / 2
    }
    let rows = (0..<tokens).map { from in
      (0..<tokens).map { to in
        (0..<tokens).reduce(0.0) { $0 + halved(second, from, $1) * halved(first, $1, to) }
      }
    }
    let mean = (0..<tokens).map { to in
      (2..<tokens).reduce(0.0) { $0 + rows[$1][to] } / Double(tokens - 2)
    }
    let expected: [Double] =
      switch kind {
      case .classToken, .rotary: rows[0]
      case .patches: mean
      case .both: zip(rows[0], mean).map { ($0 + $1) / 2 }
      case .queried:
        try poolingWeights(model).enumerated().reduce([Double](repeating: 0, count: tokens)) {
          sums, patch in
          zip(sums, rows[2 + patch.offset]).map { $0 + patch.element * $1 }
        }
      }
    let rollout = try AttentionRollout(model, source: "small")
    let map = try rollout.map(UnsafeBufferPointer(SmallModel.photo.elements))
    #expect(rollout.height == 4 && rollout.width == 4 && tokens == 18)
    expectClose(map.values, expected[2...].map { Float($0) }, relative: 1e-3, absolute: 1e-6)
    // Not all patches alike.
    #expect((map.values.max() ?? 0) > 1.2 * (map.values.min() ?? 1), "\(map.values)")
    let classifier = try Classifier(
      [model], source: "small", compiler: context.compiler, threads: 1)
    let logits = try classifier.logits(UnsafeBufferPointer(SmallModel.photo.elements))
    expectClose(map.logits, logits.elements, relative: 1e-3, absolute: 1e-4)
  }

  /// Attention that takes of all tokens alike leaves nothing but the mean.
  @Test func anAttentionWithoutKeysSeesAllAlike() throws {
    let rollout = try AttentionRollout(model(.classToken, scale: 0), source: "small")
    let values = try rollout.map(UnsafeBufferPointer(SmallModel.photo.elements)).values
    // A class token keeps a quarter of itself and takes the rest of all 18 tokens.
    expectClose(values, [Float](repeating: 0.75 / 18, count: 16), relative: 1e-5, absolute: 1e-7)
  }

  @Test func aNetworkWithoutAttentionIsRefused() throws {
    var builder = GraphBuilder(name: "plain", inputChannels: 3)
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.beginGroup("head")
    builder.add("fc", .dense(Dense(inputs: 3, outputs: 3)))
    let graph = builder.build()
    let other = model(.classToken)
    let plain = StoredModel(
      graph: graph, parameters: Parameters.procedural(for: graph),
      preprocessing: other.preprocessing, record: other.record)
    #expect {
      try AttentionRollout(plain, source: "m")
    } throws: {
      "\($0)".contains("no attention between") && "\($0)".contains("--method occlusion")
    }
  }
}
