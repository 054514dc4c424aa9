// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawTensors
import ThawTestSupport

/// One geometry of a convolution test.
struct OneDNNConvolutionCase: Sendable, CustomTestStringConvertible {
  var inputs = 16
  var outputs = 24
  var kernel = 3
  var stride = 1
  var dilation = 1
  var groups = 1
  var padding = Padding.explicit(EdgeInsets(1))
  var size = Extent2D(9)
  var images = 3

  var testDescription: String {
    "\(inputs)->\(outputs) k\(kernel) s\(stride) d\(dilation) g\(groups) \(size) n\(images)"
  }

  var layer: Convolution2D {
    Convolution2D(
      inputs: inputs, outputs: outputs,
      window: Window2D(kernel: kernel, stride: stride, dilation: dilation, padding: padding),
      groups: groups, hasBias: true)
  }

  static let all = [
    OneDNNConvolutionCase(),
    OneDNNConvolutionCase(images: 1),
    OneDNNConvolutionCase(inputs: 3, outputs: 32, stride: 2, padding: .same, size: Extent2D(32)),
    OneDNNConvolutionCase(inputs: 5, outputs: 7, size: Extent2D(height: 7, width: 11)),
    OneDNNConvolutionCase(
      kernel: 3, stride: 2,
      padding: .explicit(EdgeInsets(top: 0, left: 2, bottom: 1, right: 0))),
    OneDNNConvolutionCase(kernel: 3, stride: 2, padding: .same, size: Extent2D(10)),
    OneDNNConvolutionCase(kernel: 3, dilation: 2, padding: .explicit(EdgeInsets(2))),
    OneDNNConvolutionCase(inputs: 24, outputs: 144, kernel: 1, padding: .explicit(EdgeInsets(0))),
    OneDNNConvolutionCase(inputs: 40, outputs: 13, kernel: 1, padding: .explicit(EdgeInsets(0))),
    OneDNNConvolutionCase(
      inputs: 16, outputs: 32, kernel: 1, stride: 2, padding: .explicit(EdgeInsets(0))),
    OneDNNConvolutionCase(inputs: 24, outputs: 24, groups: 24),
    OneDNNConvolutionCase(inputs: 10, outputs: 10, stride: 2, groups: 10, padding: .same),
    OneDNNConvolutionCase(
      inputs: 96, outputs: 96, stride: 2, groups: 96, padding: .same, size: Extent2D(8)),
    OneDNNConvolutionCase(inputs: 40, outputs: 40, kernel: 5, groups: 40, padding: .same),
    OneDNNConvolutionCase(
      inputs: 40, outputs: 40, kernel: 5, stride: 2, groups: 40, padding: .same,
      size: Extent2D(height: 12, width: 7)),
    OneDNNConvolutionCase(
      inputs: 20, outputs: 20, dilation: 2, groups: 20, padding: .same, size: Extent2D(11)),
    OneDNNConvolutionCase(inputs: 12, outputs: 18, groups: 3),
    OneDNNConvolutionCase(inputs: 64, outputs: 64, groups: 2),
    OneDNNConvolutionCase(inputs: 8, outputs: 16, groups: 8),
    OneDNNConvolutionCase(
      inputs: 16, outputs: 16, kernel: 7, stride: 2, padding: .explicit(EdgeInsets(3)),
      size: Extent2D(17)),
    OneDNNConvolutionCase(
      inputs: 1, outputs: 1, padding: .explicit(EdgeInsets(1)), size: Extent2D(1)),
  ]
}

/// Every kind of step against plain loops in Double.
@Suite struct OneDNNOperationTests {
  private static func expectAgreement(
    _ graph: Graph, size: Extent2D, images: Int = 3, absolute: Double = 2e-5,
    _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let parameters = SampleNetworks.parameters(of: graph)
    let input = SampleNetworks.noise([images, graph.inputChannels, size.height, size.width])
    let plan = try OneDNNEngine.plan(graph, parameters: parameters, size: size)
    let expected = try NaiveNetwork.run(graph, parameters, input)
    let actual = try plan.run(input).elements.map(Double.init)
    expectClose(
      actual, expected, relative: 2e-5, absolute: absolute, "\(graph.name) \(what)",
      sourceLocation: sourceLocation)
  }

  private static func build(
    _ name: String, channels: Int, _ body: (inout GraphBuilder) -> Void
  ) -> Graph {
    var builder = GraphBuilder(name: name, inputChannels: channels)
    body(&builder)
    return builder.build()
  }

  @Test(arguments: OneDNNConvolutionCase.all)
  func convolutionAgreesWithPlainLoops(_ example: OneDNNConvolutionCase) throws {
    let graph = Self.build("bare", channels: example.inputs) {
      $0.add("conv", .convolution(example.layer))
    }
    try Self.expectAgreement(graph, size: example.size, images: example.images)
  }

  @Test(arguments: OneDNNConvolutionCase.all)
  func foldedBatchNormAndActivationAgreeWithPlainLoops(_ example: OneDNNConvolutionCase) throws {
    let graph = Self.build("fused", channels: example.inputs) {
      $0.add("conv", .convolution(example.layer))
      $0.add("bn", .batchNormalization(BatchNormalization(channels: example.outputs)))
      $0.add("act", .activation(.silu))
      $0.add("next", .pooling(.maximum, Window2D(kernel: 1)))
    }
    try Self.expectAgreement(graph, size: example.size, images: example.images)
  }

  @Test(
    arguments: Activation.allCases, [true, false])
  func activationsAgreeWithPlainLoops(_ function: Activation, _ isFused: Bool) throws {
    let graph = Self.build("\(function)", channels: 20) {
      $0.add(
        "conv", .convolution(Convolution2D(inputs: 20, outputs: 20, window: Window2D(kernel: 3))))
      // Pooling in between keeps the function from being fused.
      if !isFused { $0.add("pool", .pooling(.maximum, Window2D(kernel: 2))) }
      $0.add("act", .activation(function))
    }
    // Inputs up to 30 reach relu6's bound and the flat ends of the sigmoid.
    let input = SampleNetworks.noise([2, 20, 6, 5])
    let wide = Tensor(input.elements.map { $0 * 30 }, shape: input.shape)
    let parameters = SampleNetworks.parameters(of: graph)
    let size = Extent2D(height: 6, width: 5)
    let plan = try OneDNNEngine.plan(graph, parameters: parameters, size: size)
    expectClose(
      try plan.run(wide).elements.map(Double.init),
      try NaiveNetwork.run(graph, parameters, wide), relative: 3e-5, absolute: 1e-4)
  }

  @Test(arguments: [1, 2, 3, 4, 5, 6])
  func residualAdditionsAgreeWithPlainLoops(_ form: Int) throws {
    let layer = Convolution2D(
      inputs: 24, outputs: 24, window: Window2D(kernel: 3, padding: .same), hasBias: true)
    let graph = Self.build("residual \(form)", channels: 24) {
      let base = $0.add("base", .convolution(layer))
      let first = form == 2 ? base : $0.add("middle", .convolution(layer))
      let second = $0.add("last", .convolution(layer), [first])
      if form == 3 { $0.add("inner", .activation(.relu)) }
      // 1: in place; 2: the lead reads it too; 4: it is used again later; 5: the plan's own input.
      let sum = $0.add("add", .add, [$0.last, form == 5 ? $0.input : base])
      $0.add("act", .activation(.relu))
      if form == 4 { $0.add("again", .add, [$0.last, base]) }
      if form == 6 { $0.add("double", .add, [$0.last, $0.last]) }
      _ = (second, sum)
    }
    try Self.expectAgreement(graph, size: Extent2D(6), absolute: 5e-5)
  }

  @Test(
    arguments: [
      PoolingKind.maximum, .average(includesPadding: true), .average(includesPadding: false),
    ],
    [
      Window2D(kernel: 2, stride: 2), Window2D(kernel: 3, stride: 2, padding: .same),
      Window2D(kernel: 3, stride: 2, padding: .explicit(EdgeInsets(1))),
      Window2D(kernel: 3, stride: 2, roundsUp: true),
      Window2D(kernel: 3, stride: 2, padding: .explicit(EdgeInsets(1)), roundsUp: true),
      Window2D(kernel: 3, stride: 1, dilation: 2, padding: .explicit(EdgeInsets(1))),
    ])
  func poolingAgreesWithPlainLoops(_ kind: PoolingKind, _ window: Window2D) throws {
    for (channels, size) in [
      (20, Extent2D(8)), (3, Extent2D(height: 9, width: 6)), (16, Extent2D(5)), (24, Extent2D(3)),
    ] {
      let plain = Self.build("pool", channels: channels) { $0.add("pool", .pooling(kind, window)) }
      try Self.expectAgreement(plain, size: size, "\(kind) \(window)")
      let inner = Self.build("conv and pool", channels: channels) {
        $0.convolve("conv", channels, channels, kernel: 3, activation: nil)
        $0.add("pool", .pooling(kind, window))
      }
      try Self.expectAgreement(inner, size: size, "\(kind) \(window)")
    }
  }

  @Test(arguments: [Operation.globalAveragePooling, .globalMaximumPooling], [16, 21])
  func globalPoolingFlattenDenseAgreeWithPlainLoops(_ pooling: Operation, _ channels: Int) throws {
    let graph = Self.build("head", channels: 8) {
      $0.convolve("conv", 8, channels, kernel: 3, activation: .relu)
      $0.add("pool", pooling)
      $0.add("flatten", .flatten)
      $0.add("drop", .dropout(probability: 0.5))
      $0.add("hidden", .dense(Dense(inputs: channels, outputs: 33)))
      $0.add("act", .activation(.relu))
      $0.add("norm", .batchNormalization(BatchNormalization(channels: 33)))
      $0.add("fc", .dense(Dense(inputs: 33, outputs: 5, hasBias: false)))
    }
    try Self.expectAgreement(graph, size: Extent2D(height: 7, width: 5), images: 5)
  }

  @Test func flattenOfAnImageIsChannelMajor() throws {
    let graph = Self.build("flatten", channels: 3) {
      $0.convolve("conv", 3, 18, kernel: 3, activation: .relu)
      $0.add("flatten", .flatten)
      $0.add("fc", .dense(Dense(inputs: 18 * 20, outputs: 4)))
    }
    try Self.expectAgreement(graph, size: Extent2D(height: 4, width: 5))
  }

  @Test func standaloneBatchNormAgreesWithPlainLoops() throws {
    for (hasScale, hasShift) in [(true, true), (false, true), (true, false), (false, false)] {
      let norm = BatchNormalization(channels: 21, hasScale: hasScale, hasShift: hasShift)
      let graph = Self.build("norm", channels: 21) {
        $0.add("first", .batchNormalization(norm))
        $0.add("act", .activation(.relu))
        $0.convolve("conv", 21, 21, kernel: 3, activation: .relu)
        $0.add("second", .batchNormalization(norm))
      }
      try Self.expectAgreement(graph, size: Extent2D(5))
    }
  }

  @Test(arguments: [3, 16, 21, 48])
  func preActivationAgreesWithPlainLoops(_ channels: Int) throws {
    let graph = Self.build("pre", channels: channels) {
      let stem = $0.convolve("stem", channels, channels, kernel: 3, activation: .relu)
      $0.add("norm", .batchNormalization(BatchNormalization(channels: channels)))
      $0.add("relu", .activation(.relu))
      $0.convolve("conv", channels, channels, kernel: 3, activation: .relu)
      $0.add("cat", .concatenate, [stem, $0.last])
      $0.add("norm2", .batchNormalization(BatchNormalization(channels: 2 * channels)))
      $0.add("relu2", .activation(.silu))
    }
    #expect(graph.fusedOperations.count == 5)
    try Self.expectAgreement(graph, size: Extent2D(height: 7, width: 5))
  }

  @Test(arguments: [true, false])
  func gatesAgreeWithPlainLoops(_ fromItself: Bool) throws {
    try Self.expectAgreement(
      TrainingNetworks.gated(fromItself: fromItself), size: Extent2D(height: 7, width: 6))
  }

  @Test func layerNormNetworkAgreesWithPlainLoops() throws {
    let graph = TrainingNetworks.modern(stochasticDepth: 0.3)
    try Self.expectAgreement(graph, size: Extent2D(16), absolute: 1e-4)
    // The scale is folded, stochastic depth vanishes, and the addition is part of the convolution.
    let step = try #require(graph.fusedOperations.first { $0.lead.path == "0.fc2" })
    #expect(step.nodes.count == 4 && step.affine.map(\.path) == ["0"])
  }

  @Test(arguments: SmallTransformer.all)
  func transformerAgreesWithPlainLoops(_ transformer: SmallTransformer) throws {
    try Self.expectAgreement(transformer.graph, size: transformer.size, absolute: 1e-4)
  }

  @Test(arguments: [5, 16, 20], [Extent2D(1), Extent2D(3), Extent2D(height: 6, width: 4)])
  func adaptivePoolingAgreesWithPlainLoops(_ channels: Int, _ outputs: Extent2D) throws {
    for size in [Extent2D(height: 9, width: 8), Extent2D(5), Extent2D(12)] {
      let graph = Self.build("adaptive", channels: channels) {
        $0.convolve("conv", channels, channels, kernel: 3, activation: .relu)
        $0.add("pool", .adaptiveAveragePooling(outputs))
        $0.add("flatten", .flatten)
        $0.add("fc", .dense(Dense(inputs: channels * outputs.height * outputs.width, outputs: 4)))
      }
      try Self.expectAgreement(graph, size: size)
    }
  }

  @Test func concatenationAgreesWithPlainLoops() throws {
    for widths in [[16, 32], [5, 16, 7], [1, 1]] {
      let graph = Self.build("concatenate \(widths)", channels: 6) { builder in
        let branches = widths.enumerated().map { index, width in
          builder.convolve(
            "branch\(index)", 6, width, kernel: 3, activation: .relu, from: builder.input)
        }
        builder.add("cat", .concatenate, branches)
        builder.convolve("after", widths.reduce(0, +), 8, kernel: 1, activation: nil)
      }
      try Self.expectAgreement(graph, size: Extent2D(6))
    }
  }

  @Test func wholeNetworkAgreesWithPlainLoops() throws {
    // Measured: worst difference 3e-5 of values up to 6 after 50 layers.
    try Self.expectAgreement(
      SampleNetworks.efficientNetLite0(), size: Extent2D(32), images: 2, absolute: 2e-4)
  }
}
