// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawDiagnosis
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors

/// Stem, an inverted residual with a depthwise convolution, a maximum, a head with dropout.
private let graph: Graph = {
  var builder = GraphBuilder(name: "small", inputChannels: 3)
  func convolve(_ name: String, _ from: Int, _ to: Int, kernel: Int, groups: Int = 1) {
    let layer = Convolution2D(
      inputs: from, outputs: to, window: Window2D(kernel: kernel, padding: .same), groups: groups)
    builder.add("\(name).conv", .convolution(layer))
    builder.add("\(name).bn", .batchNormalization(BatchNormalization(channels: to)))
  }
  convolve("stem", 3, 8, kernel: 3)
  let stem = builder.add("stem.act", .activation(.relu6))
  builder.beginGroup("block")
  convolve("expand", 8, 16, kernel: 1)
  builder.add("expand.act", .activation(.relu6))
  convolve("depthwise", 16, 16, kernel: 3, groups: 16)
  builder.add("depthwise.act", .activation(.relu))
  convolve("project", 16, 8, kernel: 1)
  builder.add("add", .add, [builder.last, stem])
  builder.add("maximum", .pooling(.maximum, Window2D(kernel: 2, stride: 2)))
  builder.beginGroup("head")
  builder.add("pool", .globalAveragePooling)
  builder.add("flatten", .flatten)
  builder.add("dropout", .dropout(probability: 0.2))
  builder.add("fc", .dense(Dense(inputs: 8, outputs: 5)))
  return builder.build()
}()

private func plan(_ mode: BatchNormMode = .training) -> FreezePlan {
  FreezePlan(trainable: 0..<3, frozenBatchNorm: mode, trainableBatchNorm: mode)
}

@Suite struct GradientDiagnosisTests {
  private let size = Extent2D(32)

  private func report(
    _ check: GradientDiagnosis = GradientDiagnosis(size: 12), _ freezing: FreezePlan = plan(),
    engine: (any Engine)? = OneDNNEngine(training: ReferenceEngine<Float>())
  ) throws -> GradientReport {
    try check.run(
      graph, parameters: .procedural(for: graph), freezing: freezing, comparing: engine, size: size)
  }

  @Test(arguments: BatchNormMode.allCases)
  func rightGradientsAreRightInEveryMode(_ mode: BatchNormMode) throws {
    let report = try report(GradientDiagnosis(size: 12), plan(mode))
    #expect(report.verdict == .right, "\(report.recommendation)")
    #expect(report.firstWrongLayer == nil)
    #expect(try #require(report.worstRelativeError) < 1e-6)
    #expect(try #require(report.worstEngineError) < 1e-4)
    #expect(report.layers.allSatisfy { $0.relativeError != nil && $0.probes > 0 })
    // From the output to the input, every trainable parameter once.
    let expected = plan(mode).trainableParameters(of: graph).map(\.path.description)
    #expect(report.layers.map { "\($0.path).\($0.parameter)" } == expected.reversed())
    #expect(report.layers[0].path == "fc")
  }

  @Test func onlyWhatTrainsIsChecked() throws {
    let frozen = FreezePlan(trainable: [2])
    let report = try report(GradientDiagnosis(size: 12), frozen)
    #expect(report.layers.map(\.parameter) == ["bias", "weight"])
    #expect(report.verdict == .right)
  }

  /// One in a thousand, in one parameter at a time: each is found and named.
  @Test(arguments: ["fc.bias", "project.bn.weight", "depthwise.conv.weight", "stem.conv.weight"])
  func aSlightlyWrongGradientIsNamed(_ name: String) throws {
    var check = GradientDiagnosis(size: 12, elements: 0)
    check.falsify = { path, gradient in
      guard path.description == name else { return }
      for index in gradient.indices { gradient[index] *= 1.001 }
    }
    let report = try report(check, engine: nil)
    #expect(report.verdict == .wrong)
    let wrong = report.layers.filter(\.isWrong)
    #expect(wrong.map { "\($0.path).\($0.parameter)" } == [name])
    #expect(report.firstWrongLayer == wrong.first?.path)
  }

  /// A layer that passes back a wrong gradient spoils everything before it: the first wrong one in the
  /// direction of the backward pass is where to look, and the last right one is named too.
  @Test func theFirstWrongLayerInTheDirectionOfTheBackwardPassIsNamed() throws {
    var check = GradientDiagnosis(size: 12)
    check.falsify = { path, gradient in
      guard ["stem", "expand"].contains(where: path.description.hasPrefix) else { return }
      for index in gradient.indices { gradient[index] *= -1 }
    }
    let report = try report(check, engine: nil)
    #expect(report.firstWrongLayer == "expand.bn")
    #expect(report.recommendation.contains("'depthwise.conv'"))
  }

  @Test func aSingleWrongElementIsFound() throws {
    var check = GradientDiagnosis(size: 12)
    check.falsify = { path, gradient in
      if path == "expand.conv.weight" { gradient[77] += 0.05 }
    }
    #expect(try report(check, engine: nil).firstWrongLayer == "expand.conv")
  }

  @Test(arguments: ["fc.weight", "depthwise.conv.weight", "stem.bn.bias"])
  func anEngineWithAWrongGradientIsNamed(_ name: String) throws {
    let report = try report(engine: CorruptEngine(path: ParameterPath(name)))
    #expect(report.verdict == .wrong)
    #expect(name.hasPrefix(try #require(report.firstWrongLayer)))
    #expect(report.layers.filter(\.isWrong).count == 1)
    #expect(try #require(report.worstRelativeError) < 1e-6)
    #expect(report.recommendation.contains("--engine reference"))
  }

  @Test func probesAtAKinkAreLeftOutAndCounted() throws {
    var builder = GraphBuilder(name: "kink", inputChannels: 1)
    builder.add(
      "conv",
      .convolution(Convolution2D(inputs: 1, outputs: 1, window: Window2D(kernel: 1), hasBias: true))
    )
    builder.add("act", .activation(.relu))
    builder.add("flatten", .flatten)
    builder.add("fc", .dense(Dense(inputs: 144, outputs: 3)))
    let kinked = builder.build()
    var parameters = Parameters.procedural(for: kinked)
    // Every result of the convolution is exactly 0.
    parameters["conv.weight"] = Tensor(zeros: [1, 1, 1, 1])
    parameters["conv.bias"] = Tensor(zeros: [1])
    let report = try GradientDiagnosis(size: 12).run(
      kinked, parameters: parameters, freezing: FreezePlan(trainable: [0]), size: size)
    let conv = report.layers.filter { $0.path == "conv" }
    #expect(conv.count == 2)
    #expect(conv.allSatisfy { $0.kinks > 0 && $0.probes == 0 && $0.relativeError == nil })
    #expect(report.verdict == .right)
    #expect(report.recommendation.contains("began at a kink"))
  }

  @Test func theSmallestSizeThatFitsIsChosen() throws {
    let report = try GradientDiagnosis().run(
      graph, parameters: .procedural(for: graph), freezing: plan(), size: Extent2D(224))
    #expect(report.size == 32)
    #expect(try self.report(GradientDiagnosis()).size == 32)
  }

  @Test func equalChecksGiveEqualReports() throws {
    #expect(try report() == report())
  }
}

/// The fast engine, with one gradient half a percent off.
private struct CorruptEngine: Engine {
  let path: ParameterPath
  var name: String { "corrupt" }

  func compileInference(
    _ graph: Graph, operations: [FusedOperation], from source: NodeID, parameters: Parameters,
    microBatch: Int, size: Extent2D
  ) throws -> any InferencePlan {
    try ReferenceEngine<Float>().compileInference(
      graph, operations: operations, from: source, parameters: parameters, microBatch: microBatch,
      size: size)
  }

  func compileTraining(
    _ graph: Graph, nodes: [Node], from source: NodeID, parameters: Parameters,
    freezing plan: FreezePlan, batch: Int, size: Extent2D
  ) throws -> any TrainingPlan {
    CorruptPlan(
      try OneDNNEngine(training: ReferenceEngine<Float>()).compileTraining(
        graph, nodes: nodes, from: source, parameters: parameters, freezing: plan, batch: batch,
        size: size), path: path)
  }
}

/// Passes everything on, but changes the gradient of one parameter.
private final class CorruptPlan: TrainingPlan {
  private let plan: any TrainingPlan
  private let path: ParameterPath

  init(_ plan: any TrainingPlan, path: ParameterPath) {
    self.plan = plan
    self.path = path
  }

  var engineName: String { plan.engineName }
  var refusal: ExecutionError? {
    get { plan.refusal }
    set { plan.refusal = newValue }
  }
  var inputShape: Shape { plan.inputShape }
  var outputShape: Shape { plan.outputShape }
  var trainable: [ParameterDescription] { plan.trainable }

  func forward(
    _ input: UnsafeBufferPointer<Float>, step: StepIdentity,
    into output: UnsafeMutableBufferPointer<Float>
  ) throws { try plan.forward(input, step: step, into: output) }

  func backward(_ gradient: UnsafeBufferPointer<Float>) throws {
    try plan.backward(gradient)
    plan.withTrainable { description, _, gradient in
      guard description.path == path else { return }
      for index in gradient.indices { gradient[index] *= 1.005 }
    }
  }

  func clearGradients() { plan.clearGradients() }

  func withTrainable(
    _ body: (
      ParameterDescription, UnsafeMutableBufferPointer<Float>, UnsafeMutableBufferPointer<Float>
    ) throws -> Void
  ) rethrows { try plan.withTrainable(body) }

  func evaluate(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>
  ) throws { try plan.evaluate(input, into: output) }

  func exportParameters() -> Parameters { plan.exportParameters() }
  func importParameters(_ parameters: Parameters) throws { try plan.importParameters(parameters) }
  func gradient(of path: ParameterPath) -> Tensor<Float>? { plan.gradient(of: path) }
}
