// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors
import ThawTestSupport

@Suite struct GradientTests {
  /// conv -> the operation -> flatten: the convolution's gradient passes through the operation.
  private func behindConvolution(
    _ operation: ThawNetwork.Operation, channels: Int = 4,
    size: Extent2D = Extent2D(height: 7, width: 6)
  ) throws -> (graph: Graph, input: Tensor<Float>) {
    var builder = GraphBuilder(name: "behind", inputChannels: 3)
    builder.add(
      "before",
      .convolution(
        Convolution2D(inputs: 3, outputs: channels, window: Window2D(kernel: 1), hasBias: true)))
    builder.add("layer", operation)
    builder.add("flatten", .flatten)
    let input = Tensor<Float>.procedural(
      "image", shape: [3, 3, size.height, size.width], spread: 2)
    return (builder.build(), input)
  }

  private func expectGradients(
    _ graph: Graph, _ input: Tensor<Float>, _ plan: FreezePlan? = nil,
    within tolerance: Double = 1e-7,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let findings = try GradientCheck().run(
      graph, parameters: .procedural(for: graph), freezing: plan ?? everything(in: graph),
      input: input, loss: { weightedSum($0.map { $0 + $0 * $0 / 4 }, of: $0) })
    let expected = Set((plan ?? everything(in: graph)).trainableParameters(of: graph).map(\.path))
    #expect(Set(findings.map(\.path)) == expected, sourceLocation: sourceLocation)
    for finding in findings {
      #expect(
        finding.relativeError < tolerance, "\(finding)", sourceLocation: sourceLocation)
    }
  }

  /// The weighted sum of x + x^2 / 4 over the logits, so that the loss is not linear in them.
  private func weightedSum(
    _ curved: [Double], of logits: [Double]
  ) -> (value: Double, gradient: [Double]) {
    let weights = Tensor<Float>.procedural("loss", shape: [logits.count]).elements.map(Double.init)
    return (
      zip(curved, weights).reduce(0) { $0 + $1.0 * $1.1 },
      zip(logits, weights).map { (1 + $0 / 2) * $1 }
    )
  }

  @Test(arguments: ConvolutionCase.all)
  func convolution(_ convolution: ConvolutionCase) throws {
    for size in [Extent2D(height: 7, width: 6), Extent2D(height: 8, width: 5)] {
      let (graph, input) = try behindConvolution(.convolution(convolution.layer), size: size)
      try expectGradients(graph, input)
    }
  }

  @Test(arguments: PoolingCase.all)
  func pooling(_ pooling: PoolingCase) throws {
    let (graph, input) = try behindConvolution(.pooling(pooling.kind, pooling.window))
    try expectGradients(graph, input)
  }

  @Test(arguments: [
    ThawNetwork.Operation.globalAveragePooling, .globalMaximumPooling, .activation(.relu),
    .activation(.relu6), .activation(.silu), .activation(.sigmoid), .activation(.gelu),
    .activation(.geluTanh), .activation(.quickGELU), .activation(.hardSigmoid),
    .activation(.hardSwish),
    .dropout(probability: 0.4), .dropout(probability: 0), .stochasticDepth(probability: 0.6),
    .adaptiveAveragePooling(Extent2D(height: 3, width: 2)),
    .adaptiveAveragePooling(Extent2D(height: 5, width: 9)),
    .layerNormalization(LayerNormalization(channels: 4)),
    .channelScale(ChannelScale(channels: 4)),
    .responseNormalization(ResponseNormalization(channels: 4)),
  ])
  func operation(_ operation: ThawNetwork.Operation) throws {
    let (graph, input) = try behindConvolution(operation)
    try expectGradients(graph, input)
  }

  @Test(arguments: BatchNormMode.allCases, [true, false])
  func batchNormalization(_ mode: BatchNormMode, hasAffine: Bool) throws {
    let layer = BatchNormalization(
      channels: 4, epsilon: 1e-3, hasScale: hasAffine, hasShift: hasAffine)
    let (graph, input) = try behindConvolution(.batchNormalization(layer))
    try expectGradients(graph, input, everything(in: graph, mode))
  }

  @Test(arguments: BatchNormMode.allCases)
  func residualNetwork(_ mode: BatchNormMode) throws {
    let graph = ParityNetworks.residual
    let input = Tensor<Float>.procedural("image", shape: [4, 3, 15, 17])
    try expectGradients(graph, input, everything(in: graph, mode), within: 1e-6)
  }

  @Test(arguments: BatchNormMode.allCases)
  func inceptionNetwork(_ mode: BatchNormMode) throws {
    let graph = ParityNetworks.inception
    let input = Tensor<Float>.procedural("image", shape: [3, 3, 11, 12])
    try expectGradients(graph, input, everything(in: graph, mode), within: 1e-6)
  }

  @Test(arguments: [true, false])
  func gatedNetwork(fromItself: Bool) throws {
    let graph = TrainingNetworks.gated(fromItself: fromItself)
    try expectGradients(graph, .procedural("image", shape: [2, 3, 5, 4]), within: 1e-6)
  }

  @Test func modernNetwork() throws {
    let graph = TrainingNetworks.modern(stochasticDepth: 0.5)
    try expectGradients(graph, .procedural("image", shape: [3, 3, 16, 16]), within: 1e-6)
  }

  @Test(arguments: SmallTransformer.all)
  func transformer(_ transformer: SmallTransformer) throws {
    let (size, graph) = (transformer.size, transformer.graph)
    try expectGradients(
      graph, .procedural("image", shape: [2, 3, size.height, size.width]), within: 1e-6)
  }

  @Test func frozenLowerGroupsLeaveTheUpperGradientsRight() throws {
    let graph = ParityNetworks.residual
    let input = Tensor<Float>.procedural("image", shape: [4, 3, 15, 17])
    try expectGradients(
      graph, input, .freezing(to: 2, of: graph, frozenBatchNorm: .batchStatistics), within: 1e-6)
  }

  @Test func aGradientThatIsOneInAThousandOffIsFound() throws {
    let (graph, input) = try behindConvolution(.activation(.silu))
    let findings = try GradientCheck().run(
      graph, parameters: .procedural(for: graph), freezing: everything(in: graph), input: input,
      loss: { logits in
        let right = weightedSum(logits, of: logits.map { _ in 0 })
        return (right.value, right.gradient.map { $0 * 1.001 })
      })
    #expect(findings.count == 2)
    #expect(findings.allSatisfy { $0.relativeError > 5e-4 })
  }

  @Test(arguments: [
    ThawNetwork.Operation.globalMaximumPooling, .pooling(.maximum, Window2D(kernel: 2)),
    .pooling(.maximum, Window2D(kernel: 4, padding: .explicit(EdgeInsets(1)))),
  ])
  func equalMaximaGiveTheGradientToTheFirst(_ pooling: ThawNetwork.Operation) throws {
    var builder = GraphBuilder(name: "ties", inputChannels: 1)
    builder.add(
      "zero", .convolution(Convolution2D(inputs: 1, outputs: 1, window: Window2D(kernel: 1))))
    builder.add("pool", pooling)
    builder.add("flatten", .flatten)
    let graph = builder.build()
    let plan: ReferenceTrainingPlan<Double> = try trainingPlan(
      graph, freezing: everything(in: graph), batch: 1, size: Extent2D(2))
    // With a weight of 0 all four are equal, and the weight's gradient is the winner's pixel.
    try plan.importParameters(Parameters(["zero.weight": Tensor([0], shape: [1, 1, 1, 1])]))
    _ = try plan.forward(scalars: [3, 5, 7, 11], step: StepIdentity(seed: 0, step: 0))
    plan.backward(scalars: [1])
    #expect(plan.gradient(of: "zero.weight")?.elements == [3])
  }

  private static let kinks: [(Activation, [Double], [Double])] = [
    (.relu, [0, 1], [0, 1]), (.relu6, [0, 1, 6], [0, 1, 0]),
    (.hardSigmoid, [-3, 0, 3], [0, 1 / 6.0, 0]),
    (.hardSwish, [-4, -3, 0, 3, 4], [0, 0, 0.5, 1, 1]),
  ]

  /// The slopes that PyTorch has at the kinks, on both engines.
  @Test(arguments: kinks)
  func slopesAtKinksAreThoseOfPyTorch(
    _ function: Activation, _ inputs: [Double], _ slopes: [Double]
  ) throws {
    for (value, slope) in zip(inputs, slopes) {
      var builder = GraphBuilder(name: "kink", inputChannels: 1)
      builder.add(
        "conv", .convolution(Convolution2D(inputs: 1, outputs: 1, window: Window2D(kernel: 1))))
      builder.add("act", .activation(function))
      builder.add("flatten", .flatten)
      let graph = builder.build()
      // Of an input of 1 the weight is what the activation sees, to the bit.
      let parameters = Parameters(["conv.weight": Tensor([Float(value)], shape: [1, 1, 1, 1])])
      let plan: ReferenceTrainingPlan<Double> = try trainingPlan(
        graph, freezing: everything(in: graph), batch: 2, size: Extent2D(1))
      try plan.importParameters(parameters)
      _ = try plan.forward(scalars: [1, 1], step: StepIdentity(seed: 0, step: 0))
      plan.backward(scalars: [1, 1])
      let found = try #require(plan.gradient(of: "conv.weight")?.elements[0])
      #expect(abs(Double(found) - 2 * slope) < 1e-6, "\(function) at \(value)")
      let fast = try OneDNNEngine(training: ReferenceEngine<Float>()).compileTraining(
        graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
        parameters: parameters, freezing: everything(in: graph), batch: 2, size: Extent2D(1))
      var output: [Float] = [0, 0]
      try output.withUnsafeMutableBufferPointer { result in
        try [Float(1), 1].withUnsafeBufferPointer {
          try fast.forward($0, step: StepIdentity(seed: 0, step: 0), into: result)
        }
      }
      try [Float(1), 1].withUnsafeBufferPointer { try fast.backward($0) }
      let own = try #require(fast.gradient(of: "conv.weight")?.elements[0])
      #expect(abs(Double(own) - 2 * slope) < 1e-6, "\(function) at \(value) on oneDNN")
    }
  }
}
