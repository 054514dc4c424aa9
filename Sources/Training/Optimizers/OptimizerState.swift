// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork
import ThawTensors

/// What an optimizer remembers between steps, by parameter path and in PyTorch's layout: it fits any
/// engine and any plan that trains the same parameters.
package struct OptimizerState: Sendable, Equatable {
  /// Steps each parameter has made.
  package var steps: [ParameterPath: Int]
  /// The arrays of each slot of the rule (`momentum`; `mean` and `square`; ...), shaped like their
  /// parameters.
  package var slots: [String: Parameters]

  /// A state, by default that of an optimizer that has made no step.
  package init(steps: [ParameterPath: Int] = [:], slots: [String: Parameters] = [:]) {
    self.steps = steps
    self.slots = slots
  }
}

extension Optimizer {
  /// Everything the optimizer remembers of the trainable parameters of `plan`, as values.
  ///
  /// Its arrays lie in the order of the plan's parameters, which is PyTorch's.
  package func exportState(from plan: any TrainingPlan) -> OptimizerState {
    var state = OptimizerState()
    for name in configuration.rule.slotNames { state.slots[name] = Parameters() }
    for parameter in plan.trainable {
      let memory = memory(of: parameter.path, count: parameter.shape.count)
      state.steps[parameter.path] = memory.step
      for (slot, name) in configuration.rule.slotNames.enumerated() {
        state.slots[name]?[parameter.path] = Tensor(shape: parameter.shape) {
          _ = $0.update(fromContentsOf: memory.slots[slot].elements)
        }
      }
    }
    return state
  }

  /// Continues from what an optimizer of the same configuration exported.
  ///
  /// - Parameter allowingNew: parameters that the state does not know start afresh, and what the
  ///   state knows beyond the plan's is dropped: the way from one freeze plan to another. Otherwise
  ///   the state must be that of exactly these parameters: the way to resume.
  /// - Throws: ``TrainingError/incompatibleState(_:)`` naming the parameter; nothing has changed then.
  package func importState(
    _ state: OptimizerState, into plan: any TrainingPlan, allowingNew: Bool = false
  ) throws {
    let state = allowingNew ? completed(state, for: plan) : state
    try check(state, for: plan)
    var imported: [ParameterPath: ParameterMemory] = [:]
    for parameter in plan.trainable {
      let memory = ParameterMemory(
        slots: configuration.rule.slotNames.count, elements: parameter.shape.count)
      memory.step = state.steps[parameter.path] ?? 0
      for (slot, name) in configuration.rule.slotNames.enumerated() {
        state.slots[name]?[parameter.path]?.withUnsafeElements {
          _ = memory.slots[slot].elements.update(fromContentsOf: $0)
        }
      }
      imported[parameter.path] = memory
    }
    memories = imported
  }

  /// The state of exactly the parameters of `plan`: zeros for those it does not know in their shape.
  private func completed(_ state: OptimizerState, for plan: any TrainingPlan) -> OptimizerState {
    let names = configuration.rule.slotNames
    var result = OptimizerState()
    for name in names { result.slots[name] = Parameters() }
    for parameter in plan.trainable {
      let path = parameter.path
      let known =
        state.steps[path] != nil
        && names.allSatisfy { state.slots[$0]?[path]?.shape == parameter.shape }
      result.steps[path] = known ? state.steps[path] : 0
      for name in names {
        result.slots[name]?[path] =
          known ? state.slots[name]?[path] : Tensor(zeros: parameter.shape)
      }
    }
    return result
  }

  private func check(_ state: OptimizerState, for plan: any TrainingPlan) throws {
    let names = configuration.rule.slotNames
    let paths = plan.trainable.map(\.path).sorted()
    guard state.steps.keys.sorted() == paths else {
      let difference = Set(paths).symmetricDifference(state.steps.keys).sorted()
      throw TrainingError.incompatibleState(
        "it was trained with other layers frozen: '\(difference.first ?? "")' is the first of"
          + " \(difference.count) differences")
    }
    guard state.slots.keys.sorted() == names.sorted() else {
      throw TrainingError.incompatibleState(
        "the optimizer needs the arrays \(names.sorted()), the state has"
          + " \(state.slots.keys.sorted())")
    }
    for name in names {
      for parameter in plan.trainable {
        let shape = state.slots[name]?[parameter.path]?.shape
        guard shape == parameter.shape else {
          throw TrainingError.incompatibleState(
            "the optimizer's array '\(name)' of '\(parameter.path)' is"
              + " \(shape.map { "\($0)" } ?? "missing"), expected \(parameter.shape)")
        }
      }
    }
  }
}
