// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawExecution
import ThawNetwork
import ThawReference
import ThawTensors
import ThawTestSupport

/// What `Tools/parity_network.py` recorded of one network in PyTorch.
struct ParityFixture {
  /// One batch-norm mode.
  struct Mode: Decodable {
    let losses: [Double]
    /// Offset and count of each array in the .f32 file.
    let arrays: [String: [Int]]
  }
  private struct Record: Decodable {
    let input: [Int]
    let learningRate: Double
    let modes: [String: Mode]
  }

  let input: Shape
  let learningRate: Double
  let modes: [String: Mode]
  private let values: [Float]

  init(_ name: String) throws {
    func data(_ suffix: String) throws -> Data {
      let folder = try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures")
      return try Data(contentsOf: folder.appendingPathComponent("parity_\(name).\(suffix)"))
    }
    let record = try JSONDecoder().decode(Record.self, from: try data("json"))
    input = Shape(record.input)
    learningRate = record.learningRate
    modes = record.modes
    values = try data("f32").withUnsafeBytes { bytes in
      stride(from: 0, to: bytes.count, by: 4).map {
        Float(
          bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: UInt32.self))
        )
      }
    }
  }

  /// The array called `key` of one mode.
  func array(_ key: String, _ mode: Mode) throws -> [Float] {
    let place = try #require(mode.arrays[key], "the fixture has no '\(key)'")
    return Array(values[place[0]..<(place[0] + place[1])])
  }
}

@Suite struct ReferenceParityTests {
  private func network(_ name: String) -> Graph {
    name == "residual" ? ParityNetworks.residual : ParityNetworks.inception
  }

  @Test(arguments: ["residual", "inception"], BatchNormMode.allCases)
  func floatAgreesWithPyTorch(_ name: String, _ mode: BatchNormMode) throws {
    try expectParity(name, mode, Float.self, relative: 1e-5, losses: 1e-5)
  }

  @Test(arguments: ["residual", "inception"], BatchNormMode.allCases)
  func doubleAgreesWithPyTorch(_ name: String, _ mode: BatchNormMode) throws {
    try expectParity(name, mode, Double.self, relative: 1e-7, losses: 1e-12)
  }

  /// Logits, every gradient tensor, ten SGD steps' losses and the statistics after them.
  private func expectParity<Scalar: BLASScalar>(
    _ name: String, _ mode: BatchNormMode, _ type: Scalar.Type, relative: Double, losses: Double
  ) throws {
    let fixture = try ParityFixture(name)
    let record = try #require(fixture.modes[mode.rawValue])
    let graph = network(name)
    let size = Extent2D(height: fixture.input[2], width: fixture.input[3])
    let plan: ReferenceTrainingPlan<Scalar> = try trainingPlan(
      graph, freezing: everything(in: graph, mode), batch: fixture.input[0], size: size)
    var actual: [Double] = []
    for step in record.losses.indices {
      let (loss, logits) = try train(plan, fixture, step: step)
      actual.append(loss)
      if step == 0 {
        try expectArray(logits, "logits", fixture, record, relative)
        for parameter in plan.trainable {
          let gradient = try #require(plan.gradient(of: parameter.path)).elements
          try expectArray(gradient, "gradient \(parameter.path)", fixture, record, relative)
        }
        let gradients = record.arrays.keys.filter { $0.hasPrefix("gradient ") }
        #expect(gradients.count == plan.trainable.count)
      }
      plan.withTrainableScalars { _, values, gradient in
        for index in values.indices {
          values[index] -= Scalar(fixture.learningRate) * gradient[index]
        }
      }
    }
    expectClose(actual, record.losses, relative: losses, absolute: 0, "losses")
    let parameters = plan.exportParameters()
    for key in record.arrays.keys where key.hasPrefix("after ") {
      let tensor = try parameters.tensor(ParameterPath(String(key.dropFirst(6))))
      try expectArray(tensor.elements, key, fixture, record, relative * 10)
    }
  }

  /// Forward and backward of one step; the plan's gradients are those of this step afterwards.
  private func train<Scalar: BLASScalar>(
    _ plan: ReferenceTrainingPlan<Scalar>, _ fixture: ParityFixture, step: Int
  ) throws -> (loss: Double, logits: [Float]) {
    let input = Tensor<Float>.procedural(
      ParameterPath("input.\(step)"), shape: fixture.input)
    let logits = try plan.forward(
      scalars: input.elements.map { Scalar($0) }, step: StepIdentity(seed: 0, step: step))
    let classes = plan.outputShape[1]
    let labels = (0..<fixture.input[0]).map { (step + $0) % classes }
    let loss = crossEntropy(logits.map { Double($0) }, labels: labels)
    plan.clearGradients()
    plan.backward(scalars: loss.gradient.map { Scalar($0) })
    return (loss.value, logits.map { Float($0) })
  }

  /// Agreement relative to the largest element of the array.
  private func expectArray(
    _ actual: [Float], _ key: String, _ fixture: ParityFixture, _ mode: ParityFixture.Mode,
    _ relative: Double
  ) throws {
    let expected = try fixture.array(key, mode)
    let largest = Double(expected.map(abs).max() ?? 0)
    // A bias before batch statistics has no gradient at all, only rounding: compare it with order 1.
    expectClose(
      actual, expected, relative: 0, absolute: relative * max(largest, 0.1), key)
  }
}
