// SPDX-License-Identifier: Apache-2.0

public import Execution
package import Network
public import Tensors

/// Changes parameters in place along their gradients and keeps what the rule remembers.
///
/// Element-wise, so the engine's element order does not matter as long as it stays the same. Not
/// thread-safe: it belongs to the thread that trains.
public final class Optimizer {
  /// How it updates.
  public let configuration: OptimizerConfiguration
  /// Number of steps made.
  public private(set) var step = 0
  /// What the rule remembers: for each parameter in order, its slots (none before the first step).
  private var slots: [[AlignedStorage<Float>]] = []

  /// An optimizer that has made no step.
  public init(_ configuration: OptimizerConfiguration) { self.configuration = configuration }

  /// Changes every trainable parameter of `plan` by one step.
  ///
  /// - Parameters:
  ///   - rates: the learning rate of each of ``TrainingPlan/trainable``, in that order.
  ///   - momentum: replaces the rule's momentum (Adam's beta1) in this step; nil keeps it.
  public func update(_ plan: any TrainingPlan, rates: [Double], momentum: Double? = nil) {
    let scale = gradientScale(of: plan)
    var index = 0
    step += 1
    plan.withTrainable { description, values, gradient in
      precondition(index < rates.count, "Every trainable parameter needs a learning rate.")
      update(
        index, role: description.role, values: values, gradient: gradient, rate: rates[index],
        momentum: momentum, gradientScale: scale)
      index += 1
    }
  }

  /// Changes one parameter; ``step`` has been counted up already.
  package func update(
    _ index: Int, role: ParameterRole, values: UnsafeMutableBufferPointer<Float>,
    gradient: UnsafeMutableBufferPointer<Float>, rate: Double, momentum: Double?,
    gradientScale: Float = 1
  ) {
    precondition(values.count == gradient.count, "A gradient has its parameter's element count.")
    let decays = configuration.decaysBiasesAndNorms || role == .weight
    let elements = ParameterElements(
      values: values, gradient: gradient, slots: slots(at: index, count: values.count),
      rate: rate, decay: decays ? configuration.weightDecay : .none, gradientScale: gradientScale)
    elements.decayDecoupled()
    switch configuration.rule {
    case .sgd(let own, let nesterov):
      elements.sgd(momentum: momentum ?? own, nesterov: nesterov)
    case .adam(let own, let beta2, let epsilon):
      elements.adam(beta1: momentum ?? own, beta2: beta2, epsilon: epsilon, step: step)
    case .rmsProp(let alpha, let epsilon, let own):
      elements.rmsProp(alpha: alpha, epsilon: epsilon, momentum: momentum ?? own)
    }
  }

  /// Counts up ``step``, for callers that update parameters one by one.
  package func beginStep() { step += 1 }

  private func slots(at index: Int, count: Int) -> [AlignedStorage<Float>] {
    while slots.count <= index { slots.append([]) }
    if slots[index].isEmpty {
      slots[index] = (0..<configuration.rule.slotNames.count).map { _ in
        AlignedStorage(count: count)
      }
    }
    precondition(
      slots[index].allSatisfy { $0.elements.count == count },
      "Parameter \(index) has changed its element count.")
    return slots[index]
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

extension Optimizer {
  /// Everything the optimizer remembers, as values.
  public func exportState() -> OptimizerState {
    let names = configuration.rule.slotNames
    var arrays: [String: Tensor<Float>] = [:]
    for (index, stored) in slots.enumerated() {
      for (name, slot) in zip(names, stored) {
        arrays["\(index).\(name)"] = Tensor(slot.elements, shape: [slot.elements.count])
      }
    }
    return OptimizerState(step: step, arrays: arrays)
  }

  /// Continues from what another optimizer of the same configuration and parameters exported.
  ///
  /// - Parameter parameterCount: number of trainable parameters.
  /// - Throws: ``TrainingError/incompatibleState(_:)`` when an array is missing or unknown.
  public func importState(_ state: OptimizerState, parameterCount: Int) throws {
    let names = configuration.rule.slotNames
    let expected = state.step == 0 ? 0 : parameterCount * names.count
    guard state.arrays.count == expected else {
      throw TrainingError.incompatibleState(
        "the optimizer needs \(expected) arrays, the state has \(state.arrays.count)")
    }
    slots = try (0..<(state.step == 0 ? 0 : parameterCount)).map { index in
      try names.map { name in
        guard let array = state.arrays["\(index).\(name)"] else {
          throw TrainingError.incompatibleState(
            "the optimizer's array '\(index).\(name)' is missing")
        }
        let slot = AlignedStorage<Float>(count: array.count)
        array.withUnsafeElements { _ = slot.elements.update(fromContentsOf: $0) }
        return slot
      }
    }
    step = state.step
  }
}

/// What an optimizer remembers between steps.
public struct OptimizerState: Sendable, Equatable {
  /// Number of steps made.
  public var step: Int
  /// By `parameter index.slot name`, each [elements] in the engine's order.
  public var arrays: [String: Tensor<Float>]

  /// A state, by default that of an optimizer that has made no step.
  public init(step: Int = 0, arrays: [String: Tensor<Float>] = [:]) {
    self.step = step
    self.arrays = arrays
  }
}
