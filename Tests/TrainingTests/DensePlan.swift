// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors
import ThawTraining

/// Input dropout and one dense layer, written plainly: a training plan to test trainers with.
class DensePlan: TrainingPlan {
  let engineName = "plain"
  var refusal: ExecutionError?
  var inputShape: Shape { [batch, inputs] }
  let outputShape: Shape
  let trainable: [ParameterDescription]
  let dropout: Double
  private(set) var largestBatch = 0
  private(set) var backwardCount = 0
  /// Of every forward pass.
  private(set) var identities: [StepIdentity] = []

  private let batch: Int
  private let inputs: Int
  private let classes: Int
  private var values: [[Float]]
  private var gradients: [[Float]]
  private var seen: [Float] = []

  static func graph(inputs: Int, classes: Int) -> Graph {
    var builder = GraphBuilder(name: "dense", inputChannels: inputs, firstGroup: "body")
    builder.beginGroup("head")
    builder.add("fc", .dense(Dense(inputs: inputs, outputs: classes)))
    return builder.build()
  }

  init(inputs: Int, classes: Int, batch: Int, dropout: Double = 0) {
    self.batch = batch
    self.inputs = inputs
    self.classes = classes
    self.dropout = dropout
    outputShape = [batch, classes]
    trainable = DensePlan.graph(inputs: inputs, classes: classes).parameters
    values = [
      [Float](repeating: 0, count: inputs * classes), [Float](repeating: 0, count: classes),
    ]
    gradients = values
  }

  func forward(
    _ input: UnsafeBufferPointer<Float>, step: StepIdentity,
    into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    precondition(input.count <= inputShape.count, "The batch exceeds the plan's.")
    largestBatch = max(largestBatch, input.count / inputs)
    identities.append(step)
    var stream = RandomStream(
      seed: step.seed, purpose: .dropout, epoch: step.step | step.part << 20)
    let scale = Float(1 / (1 - dropout))
    seen = input.map { value in
      dropout == 0 ? value : (Double(stream.uniform()) < dropout ? 0 : value * scale)
    }
    seen.withUnsafeBufferPointer { multiply($0, into: output) }
  }

  func evaluate(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    multiply(input, into: output)
  }

  func backward(_ gradient: UnsafeBufferPointer<Float>) throws {
    backwardCount += 1
    for sample in 0..<gradient.count / classes {
      for row in 0..<classes {
        let slope = gradient[sample * classes + row]
        gradients[1][row] += slope
        for column in 0..<inputs {
          gradients[0][row * inputs + column] += slope * seen[sample * inputs + column]
        }
      }
    }
  }

  func clearGradients() {
    for index in gradients.indices {
      gradients[index] = [Float](repeating: 0, count: gradients[index].count)
    }
  }

  func withTrainable(
    _ body: (
      ParameterDescription, UnsafeMutableBufferPointer<Float>, UnsafeMutableBufferPointer<Float>
    ) throws -> Void
  ) rethrows {
    for index in trainable.indices {
      try values[index].withUnsafeMutableBufferPointer { values in
        try gradients[index].withUnsafeMutableBufferPointer { gradient in
          try body(trainable[index], values, gradient)
        }
      }
    }
  }

  func exportParameters() -> Parameters {
    var result = Parameters()
    for (index, parameter) in trainable.enumerated() {
      result[parameter.path] = Tensor(values[index], shape: parameter.shape)
    }
    return result
  }

  func importParameters(_ parameters: Parameters) throws {
    for (index, parameter) in trainable.enumerated() {
      values[index] = try parameters.tensor(parameter.path).elements
    }
  }

  func gradient(of path: ParameterPath) -> Tensor<Float>? {
    trainable.firstIndex { $0.path == path }.map {
      Tensor(gradients[$0], shape: trainable[$0].shape)
    }
  }

  private func multiply(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>
  ) {
    for sample in 0..<input.count / inputs {
      for row in 0..<classes {
        var sum = values[1][row]
        for column in 0..<inputs {
          sum += values[0][row * inputs + column] * input[sample * inputs + column]
        }
        output[sample * classes + row] = sum
      }
    }
  }
}

/// Overlapping Gaussian clouds, one a class.
func clouds(
  _ count: Int, inputs: Int, classes: Int, seed: UInt64, spread: Double = 1
) -> InMemoryFeatures {
  var centers = RandomStream(seed: 7, purpose: .procedural)
  let means = (0..<classes * inputs).map { _ in centers.normal() }
  var stream = RandomStream(seed: seed, purpose: .procedural)
  let labels = (0..<count).map { $0 % classes }
  let features = labels.flatMap { label in
    (0..<inputs).map { Float(means[label * inputs + $0] + spread * stream.normal()) }
  }
  return InMemoryFeatures(Tensor(features, shape: [count, inputs]), labels: labels)
}
