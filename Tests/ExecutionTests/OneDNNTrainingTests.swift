// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawTensors
import ThawTestSupport

/// Forward and gradients of every operation against the reference engine in Double.
@Suite(.serialized) struct OneDNNTrainingTests {
  /// conv -> the operation -> conv: gradients pass through the operation in both roles.
  private func around(
    _ operation: ThawNetwork.Operation, channels: Int = 20, outputs: Int? = nil, flat: Bool = false
  ) -> Graph {
    var builder = GraphBuilder(name: "around", inputChannels: 3)
    builder.add(
      "before",
      .convolution(
        Convolution2D(inputs: 3, outputs: channels, window: Window2D(kernel: 1), hasBias: true)))
    builder.add("layer", operation)
    builder.add(
      "after",
      .convolution(
        Convolution2D(
          inputs: outputs ?? channels, outputs: 18, window: Window2D(kernel: 1), hasBias: true)))
    builder.add("flatten", .flatten)
    return builder.build()
  }

  @Test(arguments: OneDNNConvolutionCase.all)
  func convolution(_ example: OneDNNConvolutionCase) throws {
    let graph = around(
      .convolution(example.layer), channels: example.inputs, outputs: example.outputs)
    let pair = try TrainingPair(
      graph, freezing: everything(in: graph), batch: 3, size: example.size)
    try pair.expectAgreement(images: example.images)
  }

  @Test(arguments: OneDNNConvolutionCase.all, [Activation.relu6, .silu])
  func convolutionWithFrozenBatchNorm(_ example: OneDNNConvolutionCase, _ function: Activation)
    throws
  {
    var builder = GraphBuilder(name: "folded", inputChannels: example.inputs)
    builder.add("conv", .convolution(example.layer))
    builder.add("bn", .batchNormalization(BatchNormalization(channels: example.outputs)))
    builder.add("act", .activation(function))
    builder.add("flatten", .flatten)
    let graph = builder.build()
    let pair = try TrainingPair(
      graph, freezing: everything(in: graph), batch: 3, size: example.size)
    try pair.expectAgreement(images: example.images)
  }

  @Test(arguments: PoolingCase.all)
  func pooling(_ example: PoolingCase) throws {
    let graph = around(.pooling(example.kind, example.window))
    let pair = try TrainingPair(
      graph, freezing: everything(in: graph), batch: 3, size: Extent2D(height: 9, width: 8))
    try pair.expectAgreement(images: 3)
  }

  @Test(arguments: [
    ThawNetwork.Operation.globalAveragePooling, .globalMaximumPooling, .activation(.relu),
    .activation(.relu6), .activation(.silu), .activation(.sigmoid), .activation(.gelu),
    .activation(.geluTanh), .activation(.quickGELU), .activation(.hardSigmoid),
    .activation(.hardSwish),
    .dropout(probability: 0.4), .dropout(probability: 0), .stochasticDepth(probability: 0.6),
    .adaptiveAveragePooling(Extent2D(height: 3, width: 2)),
    .adaptiveAveragePooling(Extent2D(height: 5, width: 9)),
    .layerNormalization(LayerNormalization(channels: 20)),
    .channelScale(ChannelScale(channels: 20)),
    .responseNormalization(ResponseNormalization(channels: 20)),
  ])
  func operation(_ operation: ThawNetwork.Operation) throws {
    let graph = around(operation)
    let pair = try TrainingPair(
      graph, freezing: everything(in: graph), batch: 3, size: Extent2D(height: 7, width: 6))
    try pair.expectAgreement(images: 3)
  }

  /// Squeeze and excitation, with the gates from the gated value itself and from elsewhere.
  @Test(arguments: [true, false], [[0, 1], [0], [1]])
  func gatedNetwork(fromItself: Bool, trainable: [Int]) throws {
    let graph = TrainingNetworks.gated(fromItself: fromItself)
    let pair = try TrainingPair(
      graph, freezing: FreezePlan(trainable: trainable), batch: 4,
      size: Extent2D(height: 7, width: 6))
    for count in [4, 3] { try pair.expectAgreement(images: count) }
  }

  /// Blocks of layer norm, gelu and channel scales; frozen scales are folded, trainable ones are not.
  @Test(arguments: [[0, 1, 2], [1, 2], [0], [2]], [0.0, 0.5])
  func modernNetwork(trainable: [Int], stochasticDepth: Double) throws {
    let graph = TrainingNetworks.modern(stochasticDepth: stochasticDepth)
    let pair = try TrainingPair(
      graph, freezing: FreezePlan(trainable: trainable), batch: 5, size: Extent2D(16))
    for count in [5, 2] { try pair.expectAgreement(images: count) }
  }

  /// Tokens, attention and what picks tokens, whole and with frozen parts.
  @Test(arguments: SmallTransformer.all, [[0, 1, 2], [1, 2], [0], [2]])
  func transformer(_ transformer: SmallTransformer, trainable: [Int]) throws {
    let graph = transformer.graph
    let pair = try TrainingPair(
      graph, freezing: FreezePlan(trainable: trainable), batch: 4, size: transformer.size)
    for count in [4, 3] { try pair.expectAgreement(images: count) }
  }

  @Test(arguments: BatchNormMode.allCases, [true, false])
  func batchNormalization(_ mode: BatchNormMode, hasAffine: Bool) throws {
    let layer = BatchNormalization(
      channels: 20, epsilon: 1e-3, hasScale: hasAffine, hasShift: hasAffine)
    let graph = around(.batchNormalization(layer))
    let pair = try TrainingPair(
      graph, freezing: everything(in: graph, mode), batch: 5, size: Extent2D(height: 7, width: 6))
    for count in [5, 3] { try pair.expectAgreement(images: count) }
    expectSameStatistics(pair)
  }

  @Test(arguments: BatchNormMode.allCases)
  func residualNetwork(_ mode: BatchNormMode) throws {
    let graph = ParityNetworks.residual
    let pair = try TrainingPair(
      graph, freezing: everything(in: graph, mode), batch: 4, size: Extent2D(height: 15, width: 17))
    for count in [4, 3] { try pair.expectAgreement(images: count) }
    expectSameStatistics(pair)
  }

  @Test(arguments: BatchNormMode.allCases)
  func inceptionNetwork(_ mode: BatchNormMode) throws {
    let graph = ParityNetworks.inception
    let pair = try TrainingPair(
      graph, freezing: everything(in: graph, mode), batch: 3, size: Extent2D(height: 11, width: 12))
    try pair.expectAgreement(images: 3)
    expectSameStatistics(pair)
  }

  @Test(arguments: BatchNormMode.allCases)
  func mobileNetwork(_ mode: BatchNormMode) throws {
    let graph = TrainingNetworks.mobile
    let pair = try TrainingPair(
      graph, freezing: everything(in: graph, mode), batch: 5, size: Extent2D(22))
    for count in [5, 2] { try pair.expectAgreement(images: count) }
    expectSameStatistics(pair)
  }

  @Test(arguments: BatchNormMode.allCases)
  func bottleneckNetwork(_ mode: BatchNormMode) throws {
    let graph = TrainingNetworks.bottlenecks
    let pair = try TrainingPair(
      graph, freezing: everything(in: graph, mode), batch: 4, size: Extent2D(18))
    try pair.expectAgreement(images: 4)
    expectSameStatistics(pair)
  }

  /// Layers with more weights than pixels, which lanes take several images at a time.
  @Test(arguments: [1, 4, 5, 9, 16])
  func severalImagesAPass(_ count: Int) throws {
    var builder = GraphBuilder(name: "wide", inputChannels: 3)
    builder.convolve("stem", 3, 16, kernel: 3, activation: .relu)
    builder.convolve("down", 16, 64, kernel: 3, stride: 2, activation: .relu)
    builder.bottleneck("l0", 64, 32, stride: 2)
    builder.invertedResidual("l1", 128, 128, kernel: 5, stride: 1, expansion: 2)
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("fc", .dense(Dense(inputs: 128, outputs: 3)))
    let graph = builder.build()
    for mode in [BatchNormMode.inference, .training] {
      let pair = try TrainingPair(
        graph, freezing: everything(in: graph, mode), batch: 16, size: Extent2D(12))
      try pair.expectAgreement(images: count, "wide")
      try pair.expectAgreement(images: 16 - count / 2, "wide")
    }
  }

  /// The kernels of every instruction set, each in a process of its own.
  @Test func everyInstructionSetComputesTheSame() async throws {
    await #expect(processExitsWith: .success) { try expectAgreementWithKernels(of: .plain) }
    await #expect(processExitsWith: .success) { try expectAgreementWithKernels(of: .avx2) }
    await #expect(processExitsWith: .success) { try expectAgreementWithKernels(of: .avx512) }
  }

  @Test(arguments: 1...6)
  func residualForms(_ form: Int) throws {
    let graph = TrainingNetworks.residualForm(form)
    for mode in [BatchNormMode.inference, .training] {
      let pair = try TrainingPair(
        graph, freezing: everything(in: graph, mode), batch: 3, size: Extent2D(6))
      try pair.expectAgreement(images: 3)
    }
  }

  @Test func frozenLowerGroupsGetNothingAndLeaveTheUpperGradientsRight() throws {
    let graph = ParityNetworks.residual
    let freezing = FreezePlan.freezing(
      to: 2, of: graph, frozenBatchNorm: .batchStatistics, trainableBatchNorm: .training)
    let pair = try TrainingPair(
      graph, freezing: freezing, batch: 4, size: Extent2D(height: 15, width: 17))
    try pair.expectAgreement(images: 4)
    for node in graph.nodes where node.group < 2 {
      for parameter in node.parameters { #expect(pair.plan.gradient(of: parameter.path) == nil) }
    }
  }

  @Test func frozenUpperGroupsPassTheGradientOn() throws {
    let graph = TrainingNetworks.mobile
    let freezing = FreezePlan(trainable: [0])
    let pair = try TrainingPair(graph, freezing: freezing, batch: 3, size: Extent2D(22))
    try pair.expectAgreement(images: 3)
    #expect(pair.plan.trainable.allSatisfy { $0.path.description.hasPrefix("stem") })
  }

  private func expectSameStatistics(
    _ pair: TrainingPair, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let (own, expected) = (pair.plan.exportParameters(), pair.reference.exportParameters())
    for path in expected.paths {
      expectClose(
        own[path]?.elements.map(Double.init) ?? [],
        expected[path]?.elements.map(Double.init) ?? [], relative: 1e-4, absolute: 1e-5,
        "\(path)", sourceLocation: sourceLocation)
    }
  }
}

/// Networks that use all kernels, on `instructions` or what the processor has below them.
private func expectAgreementWithKernels(of instructions: KernelInstructions) throws {
  instructions.limit()
  #expect(KernelInstructions.current.rawValue <= instructions.rawValue)
  for graph in [
    TrainingNetworks.mobile, TrainingNetworks.bottlenecks, ParityNetworks.inception,
    TrainingNetworks.modern(), TrainingNetworks.gated(fromItself: true),
    SmallTransformer.odd.graph, SmallTransformer.turned.graph,
  ] {
    // In the last one batch statistics divide by the spread of nearly equal rows: 1e-4 by rounding.
    let modes: [BatchNormMode] = graph.name == "inception" ? [.inference] : [.inference, .training]
    for mode in modes {
      let pair = try TrainingPair(
        graph, freezing: everything(in: graph, mode), batch: 4,
        size: Extent2D(height: 11, width: 12))
      try pair.expectAgreement(images: 4)
    }
  }
  for example in OneDNNConvolutionCase.all where example.groups == example.inputs {
    let graph = singleLayer(.convolution(example.layer), channels: example.inputs)
    let pair = try TrainingPair(
      graph, freezing: everything(in: graph), batch: 3, size: example.size)
    try pair.expectAgreement(images: example.images)
  }
}

/// Small networks with the forms of the real ones.
enum TrainingNetworks {
  /// EfficientNet-Lite in small: stem, inverted residuals with 3x3 and 5x5, stride 2 with "same"
  /// padding, a head with dropout.
  static var mobile: Graph {
    var builder = GraphBuilder(name: "mobile", inputChannels: 3)
    builder.convolve("stem", 3, 16, kernel: 3, stride: 2, activation: .relu6)
    builder.beginGroup("blocks")
    builder.invertedResidual("b0", 16, 16, kernel: 3, stride: 1, expansion: 1)
    builder.invertedResidual("b1", 16, 24, kernel: 5, stride: 2, expansion: 3)
    builder.invertedResidual("b2", 24, 24, kernel: 5, stride: 1, expansion: 3)
    builder.beginGroup("head")
    builder.convolve("last", 24, 40, kernel: 1, activation: .silu)
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("dropout", .dropout(probability: 0.2))
    builder.add("fc", .dense(Dense(inputs: 40, outputs: 7)))
    return builder.build()
  }

  /// ResNet in small: max pooling, bottlenecks with and without a projection.
  static var bottlenecks: Graph {
    var builder = GraphBuilder(name: "bottlenecks", inputChannels: 3)
    builder.convolve("stem", 3, 8, kernel: 3, activation: .relu)
    builder.add(
      "maxpool",
      .pooling(.maximum, Window2D(kernel: 3, stride: 2, padding: .explicit(EdgeInsets(1)))))
    builder.bottleneck("l0", 8, 8, stride: 1)
    builder.bottleneck("l1", 32, 8, stride: 1)
    builder.bottleneck("l2", 32, 12, stride: 2)
    builder.beginGroup("head")
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("fc", .dense(Dense(inputs: 48, outputs: 5)))
    return builder.build()
  }

  /// Additions in every position.
  static func residualForm(_ form: Int, channels: Int = 16) -> Graph {
    let layer = Convolution2D(
      inputs: channels, outputs: channels, window: Window2D(kernel: 3, padding: .same),
      hasBias: true)
    let depthwise = Convolution2D(
      inputs: channels, outputs: channels, window: Window2D(kernel: 3, padding: .same),
      groups: channels)
    let norm = ThawNetwork.Operation.batchNormalization(BatchNormalization(channels: channels))
    var builder = GraphBuilder(name: "residual \(form)", inputChannels: channels)
    let base = builder.add("base", .convolution(layer))
    switch form {
    case 1:  // The convolution's own input is added.
      builder.add("conv", .convolution(layer))
      builder.add("add", .add, [builder.last, base])
      builder.add("act", .activation(.relu))
    case 2:  // A value plus itself.
      builder.add("add", .add, [base, base])
    case 3:  // The same in a depthwise convolution.
      builder.add("conv", .convolution(depthwise))
      builder.add("add", .add, [builder.last, base])
      builder.add("act", .activation(.relu6))
    case 4:  // A batch norm plus its own input.
      builder.add("bn", norm)
      builder.add("add", .add, [builder.last, base])
      builder.add("act", .activation(.relu))
    case 5:  // Two additions of one value, one before and one behind an activation.
      let first = builder.add("conv", .convolution(layer))
      let sum = builder.add("add", .add, [first, base])
      let act = builder.add("act", .activation(.silu))
      builder.add("again", .add, [act, sum])
      builder.add("more", .add, [builder.last, base])
    default:  // Both operands made elsewhere, one of them used again.
      let left = builder.add("left", .convolution(layer), [base])
      let right = builder.add("right", .convolution(depthwise), [base])
      let sum = builder.add("add", .add, [left, right])
      builder.add("cat", .concatenate, [sum, left, base])
    }
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    return builder.build()
  }
}
