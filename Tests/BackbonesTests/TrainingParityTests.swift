// SPDX-License-Identifier: Apache-2.0

import Backbones
import Execution
import Foundation
import Network
import Tensors
import Testing

/// What `Tools/training_parity.py` recorded of whole architectures in PyTorch.
private struct TrainingParity: Decodable {
  struct Mode: Decodable {
    let losses: [Double]
    /// Of the first step: the norm, and the projections.
    let gradients: [String: [Double]]
  }
  struct Record: Decodable {
    let size: Int
    /// Scales whose names end with this are multiplied by that.
    let suffix: String
    let factor: Float
    let learningRate: Float
    let modes: [String: Mode]
  }
  let batch: Int
  let momentum: Float
  let networks: [String: Record]

  static let fixture = Result {
    let folder = try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures")
    return try JSONDecoder().decode(
      TrainingParity.self,
      from: Data(contentsOf: folder.appendingPathComponent("training_parity.json")))
  }
}

/// ResNets train as in PyTorch: frozen and trainable groups, all modes, both
/// engines, every gradient and ten steps' losses.
@Suite struct TrainingParityTests {
  private static let classes = 5

  @Test(
    arguments: ["resnet18", "resnet50"], BatchNormMode.allCases)
  func oneDNNTrainsAsPyTorchDoes(_ name: String, _ mode: BatchNormMode) throws {
    try expectParity(name, mode, OneDNNEngine(training: ReferenceEngine<Float>()), steps: 10)
  }

  /// ResNet-50 would take a minute here: its layers are those of ResNet-18 and 1x1 convolutions.
  @Test(arguments: BatchNormMode.allCases)
  func theReferenceTrainsAsPyTorchDoes(_ mode: BatchNormMode) throws {
    try expectParity("resnet18", mode, ReferenceEngine<Float>(), steps: 10)
  }

  private func expectParity(
    _ name: String, _ mode: BatchNormMode, _ engine: some Engine, steps: Int
  ) throws {
    let fixture = try TrainingParity.fixture.get()
    let record = try #require(fixture.networks[name])
    let expected = try #require(record.modes[mode.rawValue])
    let graph = try Architecture(named: name).graph(Head(classes: TrainingParityTests.classes))
    let freezing = FreezePlan.freezing(
      to: 1, of: graph, frozenBatchNorm: mode, trainableBatchNorm: mode)
    let plan = try engine.compileTraining(
      graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
      parameters: parameters(graph, record), freezing: freezing,
      batch: fixture.batch, size: Extent2D(record.size))
    #expect(Set(plan.trainable.map(\.path.description)) == Set(expected.gradients.keys))
    var velocities = plan.trainable.map { [Float](repeating: 0, count: $0.shape.count) }
    for step in 0..<steps {
      let loss = try self.step(plan, step, batch: fixture.batch, size: record.size)
      let known = expected.losses[step]
      #expect(abs(loss - known) < 1e-4 * max(1, known), "step \(step): \(loss), \(known)")
      if step == 0 { expectGradients(plan, expected.gradients) }
      var index = 0
      plan.withTrainable { _, values, gradient in
        for element in values.indices {
          velocities[index][element] =
            fixture.momentum * velocities[index][element] + gradient[element]
          values[element] -= record.learningRate * velocities[index][element]
        }
        index += 1
      }
    }
  }

  private func parameters(_ graph: Graph, _ record: TrainingParity.Record) -> Parameters {
    var result = Parameters.procedural(for: graph)
    for path in result.paths {
      let name = path.description
      guard name.hasSuffix(record.suffix), name.split(separator: ".").count > 2,
        let tensor = result[path]
      else { continue }
      result[path] = Tensor(tensor.elements.map { $0 * record.factor }, shape: tensor.shape)
    }
    return result
  }

  /// Forward and backward; returns the loss.
  private func step(
    _ plan: any TrainingPlan, _ number: Int, batch: Int, size: Int
  ) throws -> Double {
    let classes = TrainingParityTests.classes
    let input = Tensor<Float>.procedural(
      ParameterPath("input.\(number)"), shape: [batch, 3, size, size], spread: 1.5)
    var logits = [Float](repeating: 0, count: batch * classes)
    plan.clearGradients()
    try logits.withUnsafeMutableBufferPointer { output in
      try input.withUnsafeElements {
        try plan.forward($0, step: StepIdentity(seed: 0, step: number), into: output)
      }
    }
    var (loss, gradient) = (0.0, [Float](repeating: 0, count: logits.count))
    for sample in 0..<batch {
      let row = logits[sample * classes..<(sample + 1) * classes].map(Double.init)
      let largest = row.max() ?? 0
      let sum = row.reduce(0) { $0 + exp($1 - largest) }
      let label = (number + sample) % classes
      loss += (largest + log(sum) - row[label]) / Double(batch)
      for index in 0..<classes {
        let probability = exp(row[index] - largest) / sum
        gradient[sample * classes + index] =
          Float((probability - (index == label ? 1 : 0)) / Double(batch))
      }
    }
    try gradient.withUnsafeBufferPointer { try plan.backward($0) }
    return loss
  }

  /// Norms and projections within 1e-4 of the norm. A projection's vector has elements of mean square
  /// 1/3, so a gradient that is wrong by more shows in one of the four.
  private func expectGradients(_ plan: any TrainingPlan, _ expected: [String: [Double]]) {
    let steps = [2.0, 3, 5, 7].map { $0.squareRoot() }
    // In front of batch statistics a bias has no gradient but rounding.
    let floor = 1e-3 * (expected.values.map { $0[0] }.max() ?? 0)
    var worst = (error: 0.0, path: "")
    plan.withTrainable { description, _, gradient in
      let path = description.path.description
      guard let known = expected[path], known.count == 5 else { return }
      var sums = [0.0, 0, 0, 0, 0]
      for (index, value) in gradient.enumerated() {
        let element = Double(value)
        sums[0] += element * element
        for probe in 0..<4 {
          let part = Double(index + 1) * steps[probe]
          sums[probe + 1] += element * (2 * (part - part.rounded(.down)) - 1)
        }
      }
      sums[0] = sums[0].squareRoot()
      for (sum, value) in zip(sums, known) {
        let error = abs(sum - value) / max(known[0], floor)
        if !(error <= worst.error) { worst = (error, path) }
      }
    }
    #expect(worst.error < 1e-4, "gradient of \(worst.path) is \(worst.error) off")
  }
}
