// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors
import ThawTraining

/// Compares the gradients of one batch with the slopes of its loss, parameter by parameter.
struct ParameterProbing {
  /// What was found for one parameter.
  struct Finding {
    var probes = 0
    var kinks = 0
    var relativeError: Double?
  }

  private let plan: ReferenceTrainingPlan<Double>
  private let check: GradientDiagnosis
  private let probe: SlopeProbe
  private let elements: Int
  /// Of each trainable parameter, as the backward pass gave it.
  private var gradients: [[Double]] = []
  /// The largest norm and the largest element of all gradients.
  private var largestNorm = 0.0
  private var largestElement = 0.0

  /// Below this part of the network's largest gradient only rounding is compared.
  private static let floor = 1e-3

  /// Makes the pass that is probed.
  init(
    _ plan: ReferenceTrainingPlan<Double>, check: GradientDiagnosis, images: [Double],
    elements: Int
  ) throws {
    self.plan = plan
    self.check = check
    self.elements = elements
    let samples = check.batch
    let loss: SlopeProbe.Loss = { crossEntropy($0, samples: samples) }
    probe = SlopeProbe(plan, loss: loss)
    plan.clearGradients()
    let logits = try plan.forward(scalars: images, step: StepIdentity(seed: check.seed, step: 0))
    plan.backward(scalars: loss(logits).gradient)
    plan.withTrainableScalars { description, _, gradient in
      check.falsify?(description.path, gradient)
      gradients.append(Array(gradient))
      largestNorm = max(largestNorm, gradient.norm)
      largestElement = gradient.reduce(largestElement) { max($0, abs($1)) }
    }
  }

  /// Probes trainable parameter `index`; call it in the order of the backward pass.
  func finding(ofTrainable index: Int) -> Finding {
    var finding = Finding()
    let gradient = gradients[index]
    var position = 0
    plan.withTrainableScalars { _, values, _ in
      defer { position += 1 }
      guard position == index else { return }
      let unit = max(values.norm / Double(values.count).squareRoot(), 1e-3)
      for direction in directions(index, gradient) {
        let isSingle = direction.count < gradient.count
        // One element alone moves the network little, so rounding allows and asks for longer steps.
        let slope = probe.slope(
          ofTrainable: index, values, along: direction, unit: isSingle ? 100 * unit : unit,
          expected: direction.reduce(0) { $0 + gradient[$1.element] * $1.amount },
          scale: scale(gradient, ofElement: isSingle))
        guard let slope else {
          finding.kinks += 1
          continue
        }
        finding.probes += 1
        finding.relativeError = max(finding.relativeError ?? 0, slope.relativeError)
      }
    }
    return finding
  }

  /// All elements at once, along the gradient itself and by a random sign each, and some elements
  /// alone.
  private func directions(
    _ index: Int, _ gradient: [Double]
  ) -> [[(element: Int, amount: Double)]] {
    var stream = RandomStream(seed: check.seed, purpose: .procedural, epoch: 2, sample: index)
    var result = [gradient.indices.map { ($0, stream.next() & 1 == 0 ? 1.0 : -1.0) }]
    guard gradient.count > 1 else { return result }
    let mean = gradient.norm / Double(gradient.count).squareRoot()
    if mean > 0 { result.insert(gradient.indices.map { ($0, gradient[$0] / mean) }, at: 0) }
    guard elements > 0 else { return result }
    var chosen = [gradient.indices.max { abs(gradient[$0]) < abs(gradient[$1]) } ?? 0]
    for _ in 1..<max(elements, 1) { chosen.append(stream.index(below: gradient.count)) }
    for element in chosen { result.append([(element, 1)]) }
    return result
  }

  /// What the error of a slope is relative to: the size that such a slope typically has.
  private func scale(_ gradient: [Double], ofElement isSingle: Bool) -> Double {
    let scale =
      isSingle
      ? max(gradient.reduce(0) { max($0, abs($1)) }, largestElement * ParameterProbing.floor)
      : max(gradient.norm, largestNorm * ParameterProbing.floor)
    return max(scale, .leastNormalMagnitude)
  }
}

extension Sequence<Double> {
  /// The Euclidean norm.
  fileprivate var norm: Double { reduce(0) { $0 + $1 * $1 }.squareRoot() }
}

/// e to the power of `x`.
func exponential(_ x: Double) -> Double { exp(x) }
/// The natural logarithm of `x`.
func logarithm(_ x: Double) -> Double { log(x) }
