// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors

/// How far the gradients of an engine, in Float, are from those of the reference in Double.
///
/// Rounding can move a value across the kink of a relu, which then changes a gradient by about a
/// thousandth without being wrong. So several batches are compared and each parameter is judged by the
/// best of them: what is wrong is wrong in all.
struct EngineComparison {
  /// Norm of the difference over the norm, by parameter.
  private(set) var errors: [ParameterPath: Double] = [:]

  private static let batches = 3

  /// Runs both plans on the same batches; their gradients are replaced, running statistics may move.
  init(
    _ tested: any TrainingPlan, with reference: ReferenceTrainingPlan<Double>,
    check: GradientDiagnosis, channels: Int, size: Extent2D
  ) throws {
    for batch in 1...EngineComparison.batches {
      let images = check.images(batch, channels, size)
      let step = StepIdentity(seed: check.seed, step: batch)
      reference.clearGradients()
      let loss = crossEntropy(
        try reference.forward(scalars: images, step: step), samples: check.batch)
      reference.backward(scalars: loss.gradient)
      try EngineComparison.pass(tested, images, step, samples: check.batch)
      compare(tested, reference)
    }
  }

  /// One pass of the tested plan, with the gradient of its own logits.
  private static func pass(
    _ plan: any TrainingPlan, _ images: [Double], _ step: StepIdentity, samples: Int
  ) throws {
    let count = samples * plan.outputShape.count / plan.outputShape[0]
    var logits = [Float](repeating: 0, count: count)
    plan.clearGradients()
    try logits.withUnsafeMutableBufferPointer { output in
      try images.map(Float.init).withUnsafeBufferPointer {
        try plan.forward($0, step: step, into: output)
      }
    }
    let loss = crossEntropy(logits.map(Double.init), samples: samples)
    try loss.gradient.map(Float.init).withUnsafeBufferPointer { try plan.backward($0) }
  }

  private mutating func compare(
    _ tested: any TrainingPlan, _ reference: ReferenceTrainingPlan<Double>
  ) {
    var norms: [(path: ParameterPath, difference: Double, norm: Double)] = []
    reference.withTrainableScalars { description, _, expected in
      let actual = tested.gradient(of: description.path)?.elements ?? []
      var (difference, square) = (0.0, 0.0)
      for (index, value) in expected.enumerated() {
        let error = (index < actual.count ? Double(actual[index]) : .infinity) - value
        difference += error * error
        square += value * value
      }
      norms.append((description.path, difference.squareRoot(), square.squareRoot()))
    }
    // A bias in front of batch statistics has no gradient but rounding.
    let floor = (norms.map(\.norm).max() ?? 0) * 1e-3
    for (path, difference, norm) in norms {
      let error = difference / max(norm, floor, .leastNormalMagnitude)
      let known = errors[path] ?? .infinity
      errors[path] = error.isNaN ? known : min(known, error)
    }
  }
}
