// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork
import ThawTensors

/// Changes parameters in place along their gradients and keeps what the rule remembers.
///
/// Element-wise. What is remembered belongs to a parameter's path, its number of steps included, so it can move on to
/// another plan (``importState(_:into:allowingNew:)``). Not thread-safe: it belongs to the thread that
/// trains.
package final class Optimizer {
  /// How it updates.
  package let configuration: OptimizerConfiguration
  /// What the rule remembers of each parameter that has made a step.
  var memories: [ParameterPath: ParameterMemory] = [:]

  /// An optimizer that has made no step.
  package init(_ configuration: OptimizerConfiguration) { self.configuration = configuration }

  /// Changes every trainable parameter of `plan` by one step.
  ///
  /// - Parameters:
  ///   - rates: the learning rate of each of ``TrainingPlan/trainable``, in that order.
  ///   - momentum: replaces the rule's momentum (Adam's beta1) in this step; nil keeps it.
  package func update(_ plan: any TrainingPlan, rates: [Double], momentum: Double? = nil) {
    let scale = gradientScale(of: plan)
    var index = 0
    plan.withTrainable { description, values, gradient in
      precondition(index < rates.count, "Every trainable parameter needs a learning rate.")
      update(
        description, values: values, gradient: gradient, rate: rates[index], momentum: momentum,
        gradientScale: scale)
      index += 1
    }
  }

  /// Changes one parameter by one step.
  package func update(
    _ parameter: ParameterDescription, values: UnsafeMutableBufferPointer<Float>,
    gradient: UnsafeMutableBufferPointer<Float>, rate: Double, momentum: Double? = nil,
    gradientScale: Float = 1
  ) {
    precondition(values.count == gradient.count, "A gradient has its parameter's element count.")
    let decays = configuration.decaysBiasesAndNorms || parameter.role == .weight
    let memory = memory(of: parameter.path, count: values.count)
    memory.step += 1
    let elements = ParameterElements(
      values: values, gradient: gradient, slots: memory.slots, rate: rate,
      decay: decays ? configuration.weightDecay : .none, gradientScale: gradientScale)
    elements.decayDecoupled()
    switch configuration.rule {
    case .sgd(let own, let nesterov):
      elements.sgd(momentum: momentum ?? own, nesterov: nesterov)
    case .adam(let own, let beta2, let epsilon):
      elements.adam(beta1: momentum ?? own, beta2: beta2, epsilon: epsilon, step: memory.step)
    case .rmsProp(let alpha, let epsilon, let own):
      elements.rmsProp(alpha: alpha, epsilon: epsilon, momentum: momentum ?? own)
    }
  }

  /// What is remembered of a parameter; zeros at first.
  func memory(of path: ParameterPath, count: Int) -> ParameterMemory {
    guard let memory = memories[path] else {
      let memory = ParameterMemory(
        slots: configuration.rule.slotNames.count, elements: count)
      memories[path] = memory
      return memory
    }
    precondition(
      memory.slots.allSatisfy { $0.elements.count == count },
      "Parameter '\(path)' has changed its element count.")
    return memory
  }

  private func gradientScale(of plan: any TrainingPlan) -> Float {
    guard let limit = configuration.maximumGradientNorm else { return 1 }
    var squares = 0.0
    plan.withTrainable { _, _, gradient in
      for value in gradient { squares += Double(value) * Double(value) }
    }
    let norm = squares.squareRoot()
    return norm > limit ? Float(limit / norm) : 1
  }
}

extension UpdateRule {
  /// Names of the arrays the rule keeps for each parameter.
  package var slotNames: [String] {
    switch self {
    case .sgd(let momentum, _): momentum == 0 ? [] : ["momentum"]
    case .adam: ["mean", "square"]
    case .rmsProp(_, _, let momentum): momentum == 0 ? ["square"] : ["square", "momentum"]
    }
  }
}

/// What the rule remembers of one parameter.
final class ParameterMemory {
  /// Steps the parameter has made: Adam's bias correction counts them.
  var step = 0
  /// One block a slot of the rule, row major as the parameter.
  let slots: [AlignedStorage<Float>]

  /// Zeros.
  init(slots: Int, elements: Int) {
    self.slots = (0..<slots).map { _ in AlignedStorage(count: elements) }
  }
}
