// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawBackbones
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors

/// What `Tools/parity_training.py` recorded of whole architectures in PyTorch, in Double.
struct TrainingParity: Decodable {
  struct Mode: Decodable {
    struct Error: Decodable {
      let losses: Double
      let gradients: Double
    }
    /// What scales are multiplied by, and what is added to shifts: subtracted in every eighth channel.
    let scale: Float
    let shift: Float
    let learningRate: Double
    let losses: [Double]
    /// How far PyTorch's own single precision is from its Double.
    let singlePrecision: Error
    /// Of the first step: the norm, and the projections.
    let gradients: [String: [Double]]
    /// The same of the running statistics after the last step.
    let statistics: [String: [Double]]
  }
  struct Record: Decodable {
    let size: Int
    /// Scales whose names end with this are multiplied by that.
    let suffix: String
    let factor: Float
    let modes: [String: Mode]
  }
  let batch: Int
  let momentum: Double
  let networks: [String: Record]

  static let classes = 5

  static let fixture = Result {
    let folder = try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures")
    return try JSONDecoder().decode(
      TrainingParity.self,
      from: Data(contentsOf: folder.appendingPathComponent("training_parity.json")))
  }
}

/// Whole architectures train as in PyTorch, frozen and trainable groups, in all modes: every
/// gradient, ten steps' losses, the running statistics after them.
@Suite struct TrainingParityTests {
  /// In Double there is nothing that rounding could hide or excuse.
  @Test(arguments: ["efficientnet_lite0", "resnet18"], BatchNormMode.allCases)
  func theReferenceAgreesInDouble(_ name: String, _ mode: BatchNormMode) throws {
    let setting = try Setting(name, mode)
    let plan = try ReferenceEngine<Double>().trainingPlan(
      setting.graph, nodes: Array(setting.graph.nodes.dropFirst()),
      from: setting.graph.nodes[0].id, parameters: setting.parameters,
      freezing: setting.freezing, batch: setting.batch, size: Extent2D(setting.size))
    #expect(Set(plan.trainable.map(\.path.description)) == Set(setting.expected.gradients.keys))
    var optimizer = Momentum<Double>(plan.trainable, setting)
    for step in 0..<setting.expected.losses.count {
      let identity = StepIdentity(seed: 0, step: step)
      let logits = try plan.forward(
        scalars: setting.input(step).elements.map(Double.init), step: identity)
      let (loss, gradient) = setting.loss(logits, step)
      plan.clearGradients()
      plan.backward(scalars: gradient)
      #expect(abs(loss - setting.expected.losses[step]) < 1e-7, "step \(step): \(loss)")
      if step == 0 {
        plan.withTrainableScalars { description, _, gradient in
          let error = setting.error(description.path, gradient) ?? .infinity
          #expect(error < 1e-7, "gradient of \(description.path) is \(error) off")
        }
      }
      plan.withTrainableScalars { optimizer.update($0.path, $1, $2) }
    }
    let parameters = plan.exportParameters()
    for (path, known) in setting.expected.statistics {
      let values = try #require(parameters[ParameterPath(path)]).elements
      let error = worstError(summary(values), known, over: known[0])
      #expect(error < 1e-6, "\(path) is \(error) off")
    }
  }

  /// In single precision: within 1e-4, or four times as far as PyTorch's own is from its Double
  /// where that is more, which is where rounding decides on which side of zero a number lies. The
  /// gradients are asked for up to five times, see ``roundings``.
  @Test(arguments: ["efficientnet_lite0", "resnet18", "resnet50"], BatchNormMode.allCases)
  func oneDNNAgreesInSinglePrecision(_ name: String, _ mode: BatchNormMode) throws {
    let setting = try Setting(name, mode)
    let plan = try setting.oneDNNPlan()
    #expect(Set(plan.trainable.map(\.path.description)) == Set(setting.expected.gradients.keys))
    var optimizer = Momentum<Float>(plan.trainable, setting)
    for step in 0..<setting.expected.losses.count {
      let loss = try setting.differentiate(plan, setting.input(step), step)
      let known = setting.expected.losses[step]
      let own = step == 0 ? 0 : setting.expected.singlePrecision.losses
      #expect(abs(loss - known) < max(1e-4 * max(1, known), 4 * own), "step \(step): \(loss)")
      plan.withTrainable { optimizer.update($0.path, $1, $2) }
    }
    try expectGradients(setting)
  }

  /// The first step's gradients, of one of five inputs that are the same but for rounding.
  private func expectGradients(_ setting: Setting) throws {
    let tolerance = max(1e-4, 4 * setting.expected.singlePrecision.gradients)
    var wrong: [String] = []
    for ulps in roundings {
      let plan = try setting.oneDNNPlan()
      _ = try setting.differentiate(plan, setting.input(0).moved(ulps: ulps), 0)
      wrong = try plan.trainable.compactMap { description in
        let gradient = try #require(plan.gradient(of: description.path)).elements
        let error = try #require(setting.error(description.path, gradient))
        return error < tolerance ? nil : "gradient of \(description.path) is \(error) off"
      }
      if wrong.isEmpty { return }
    }
    Issue.record("\(wrong.joined(separator: "; "))")
  }

  /// Otherwise the tolerance above could be anything.
  @Test func pytorchItselfIsPreciseInMostModes() throws {
    let modes = try TrainingParity.fixture.get().networks.values.flatMap(\.modes.values)
    let precise = modes.count { $0.singlePrecision.gradients < 2e-5 }
    #expect(modes.count == 12 && precise >= 8)
  }
}

/// One architecture in one mode.
private struct Setting {
  let expected: TrainingParity.Mode
  let batch: Int
  let size: Int
  let learningRate: Double
  let momentum: Double
  let graph: Graph
  let parameters: Parameters
  let freezing: FreezePlan

  init(_ name: String, _ mode: BatchNormMode) throws {
    let fixture = try TrainingParity.fixture.get()
    let record = try #require(fixture.networks[name])
    expected = try #require(record.modes[mode.rawValue])
    batch = fixture.batch
    size = record.size
    learningRate = expected.learningRate
    momentum = fixture.momentum
    graph = try Architecture(named: name).graph(Head(classes: TrainingParity.classes))
    freezing = FreezePlan.freezing(
      to: 1, of: graph, frozenBatchNorm: mode, trainableBatchNorm: mode)
    parameters = Self.parameters(graph, record, expected)
  }

  private static func parameters(
    _ graph: Graph, _ record: TrainingParity.Record, _ mode: TrainingParity.Mode
  ) -> Parameters {
    var result = Parameters.procedural(for: graph)
    for path in result.paths {
      let name = path.description
      guard name.hasSuffix(".running_mean") else { continue }
      let layer = String(name.dropLast(".running_mean".count))
      let isLast = (layer + ".weight").hasSuffix(record.suffix) && layer.contains(".")
      result.map("\(layer).weight") { $1 * (isLast ? record.factor : 1) * mode.scale }
      result.map("\(layer).bias") { $1 + ($0.isMultiple(of: 8) ? -mode.shift : mode.shift) }
    }
    return result
  }

  /// The batch of a step.
  func input(_ step: Int) -> Tensor<Float> {
    .procedural(ParameterPath("input.\(step)"), shape: [batch, 3, size, size], spread: 1.5)
  }

  /// Mean cross-entropy and its gradient.
  func loss(_ logits: [Double], _ step: Int) -> (value: Double, gradient: [Double]) {
    let classes = TrainingParity.classes
    var (loss, gradient) = (0.0, logits)
    for sample in 0..<batch {
      let row = logits[sample * classes..<(sample + 1) * classes]
      let sum = row.reduce(0) { $0 + exp($1) }
      let label = (step + sample) % classes
      loss += (log(sum) - logits[sample * classes + label]) / Double(batch)
      for index in row.indices {
        let target = index == sample * classes + label ? 1.0 : 0
        gradient[index] = (exp(logits[index]) / sum - target) / Double(batch)
      }
    }
    return (loss, gradient)
  }

  /// Compiled for oneDNN.
  func oneDNNPlan() throws -> any TrainingPlan {
    try OneDNNEngine(training: ReferenceEngine<Float>()).compileTraining(
      graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id, parameters: parameters,
      freezing: freezing, batch: batch, size: Extent2D(size))
  }

  /// Leaves the gradients of a step's loss in the plan, and returns the loss.
  func differentiate(_ plan: any TrainingPlan, _ input: Tensor<Float>, _ step: Int) throws
    -> Double
  {
    var logits = [Float](repeating: 0, count: batch * TrainingParity.classes)
    plan.clearGradients()
    try logits.withUnsafeMutableBufferPointer { output in
      try input.withUnsafeElements {
        try plan.forward($0, step: StepIdentity(seed: 0, step: step), into: output)
      }
    }
    let (loss, outer) = loss(logits.map(Double.init), step)
    try outer.map { Float($0) }.withUnsafeBufferPointer { try plan.backward($0) }
    return loss
  }

  /// How far norm and projections are off, over the norm; nil for what has no gradient. A projection's
  /// vector has elements of mean square 1/3, so a gradient that is wrong by more shows in one of the
  /// four. In front of batch statistics a bias has no gradient but rounding.
  func error<Scalar: BinaryFloatingPoint>(
    _ path: ParameterPath, _ gradient: some Collection<Scalar>
  ) -> Double? {
    guard let known = expected.gradients[path.description] else { return nil }
    let floor = 1e-3 * (expected.gradients.values.map { $0[0] }.max() ?? 0)
    return worstError(summary(gradient), known, over: max(known[0], floor))
  }
}

extension Parameters {
  fileprivate mutating func map(_ path: String, _ change: (Int, Float) -> Float) {
    guard let tensor = self[ParameterPath(path)] else { return }
    self[ParameterPath(path)] = Tensor(
      tensor.elements.enumerated().map(change), shape: tensor.shape)
  }
}

/// SGD with momentum, in the plan's precision.
private struct Momentum<Scalar: BinaryFloatingPoint> {
  private var velocities: [ParameterPath: [Scalar]] = [:]
  private let rate: Scalar
  private let momentum: Scalar

  init(_ trainable: [ParameterDescription], _ setting: Setting) {
    (rate, momentum) = (Scalar(setting.learningRate), Scalar(setting.momentum))
    for parameter in trainable {
      velocities[parameter.path] = [Scalar](repeating: 0, count: parameter.shape.count)
    }
  }

  mutating func update(
    _ path: ParameterPath, _ values: UnsafeMutableBufferPointer<Scalar>,
    _ gradient: UnsafeMutableBufferPointer<Scalar>
  ) {
    guard var velocity = velocities.removeValue(forKey: path) else { return }
    for index in values.indices {
      velocity[index] = momentum * velocity[index] + gradient[index]
      values[index] -= rate * velocity[index]
    }
    velocities[path] = velocity
  }
}

/// The norm, and the projections onto the vectors 2 frac((i + 1) sqrt(p)) - 1 for p of 2, 3, 5, 7.
private func summary<Scalar: BinaryFloatingPoint>(_ values: some Collection<Scalar>) -> [Double] {
  let steps = [2.0, 3, 5, 7].map { $0.squareRoot() }
  var sums = [0.0, 0, 0, 0, 0]
  for (index, value) in values.enumerated() {
    let element = Double(value)
    sums[0] += element * element
    for probe in 0..<4 {
      let part = Double(index + 1) * steps[probe]
      sums[probe + 1] += element * (2 * (part - part.rounded(.down)) - 1)
    }
  }
  sums[0] = sums[0].squareRoot()
  return sums
}

private func worstError(_ sums: [Double], _ known: [Double], over norm: Double) -> Double {
  let errors = zip(sums, known).map { abs($0 - $1) / norm }
  guard known.count == 5, errors.allSatisfy(\.isFinite) else { return .infinity }
  return errors.max() ?? .infinity
}
