// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawNetwork
import ThawTensors
import ThawTestSupport
import ThawTraining

private struct OptimizerCase: Decodable {
  let name: String
  let decay: Double
  let start: [Float]
  let gradients: [Float]
  let end: [Float]

  var configuration: OptimizerConfiguration {
    let decay: WeightDecay = name == "adamw" ? .decoupled(decay) : .l2(decay)
    let rule: UpdateRule =
      switch name {
      case "sgd": .sgd(momentum: 0)
      case "momentum": .sgd()
      case "nesterov": .sgd(nesterov: true)
      case "rmsprop": .rmsProp()
      case "rmsprop-momentum": .rmsProp(momentum: 0.9)
      default: .adam()
      }
    return OptimizerConfiguration(rule: rule, weightDecay: decay)
  }
}

/// A weight of 6 and a bias of 3, trained at 0.01 and 0.03.
private func makePlan(_ start: [Float]) -> DensePlan {
  let plan = DensePlan(inputs: 2, classes: 3, batch: 1)
  var rest = start[...]
  plan.withTrainable { _, values, _ in
    _ = values.update(fromContentsOf: rest.prefix(values.count))
    rest = rest.dropFirst(values.count)
  }
  return plan
}

extension DensePlan {
  /// One step along the next 9 elements of `gradient`.
  fileprivate func step(
    _ optimizer: Optimizer, _ gradient: ArraySlice<Float>, momentum: Double? = nil
  ) {
    var rest = gradient
    withTrainable { _, _, slope in
      _ = slope.update(fromContentsOf: rest.prefix(slope.count))
      rest = rest.dropFirst(slope.count)
    }
    optimizer.update(self, rates: [0.01, 0.03], momentum: momentum)
  }

  /// Weight and bias, one after the other.
  fileprivate var elements: [Float] {
    let parameters = exportParameters()
    return trainable.flatMap { parameters[$0.path]?.elements ?? [] }
  }
}

@Suite struct OptimizerTests {
  /// PyTorch 2.15 `torch.optim`, Float32, ten steps, two parameter groups.
  @Test func tenStepsAgreeWithPyTorch() throws {
    let cases = try golden("optimizers", as: [OptimizerCase].self)
    #expect(cases.count == 14)
    for test in cases {
      let plan = makePlan(test.start)
      let optimizer = Optimizer(test.configuration)
      for step in 0..<10 { plan.step(optimizer, test.gradients[step * 9..<step * 9 + 9]) }
      expectClose(
        plan.elements, test.end, relative: 1e-6, absolute: 1e-6,
        "\(test.name), decay \(test.decay)")
    }
  }

  @Test(arguments: ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "rmsprop-momentum"])
  func exportedStateContinuesToTheSameBits(name: String) throws {
    let cases = try golden("optimizers", as: [OptimizerCase].self)
    let test = try #require(cases.first { $0.name == name && $0.decay > 0 })
    let (whole, optimizer) = (makePlan(test.start), Optimizer(test.configuration))
    var (resumed, second) = (whole, optimizer)
    for step in 0..<10 {
      if step == 4 {
        resumed = makePlan(whole.elements)
        second = Optimizer(test.configuration)
        try second.importState(optimizer.exportState(from: whole), into: resumed)
      }
      let gradient = test.gradients[step * 9..<step * 9 + 9]
      whole.step(optimizer, gradient)
      if step >= 4 { resumed.step(second, gradient) }
    }
    #expect(resumed.elements == whole.elements)
    #expect(second.exportState(from: resumed) == optimizer.exportState(from: whole))
    #expect(second.exportState(from: resumed).steps == ["fc.weight": 10, "fc.bias": 10])
  }

  @Test func biasesAndNormsDecayOnlyWhenAsked() throws {
    var builder = GraphBuilder(name: "roles", inputChannels: 1)
    builder.add("fc", .dense(Dense(inputs: 1, outputs: 1)))
    builder.add("bn", .batchNormalization(BatchNormalization(channels: 1)))
    let parameters = builder.build().parameters
    for (all, role, decays) in [
      (false, ParameterRole.weight, true), (false, .bias, false), (false, .normScale, false),
      (false, .normShift, false), (true, .bias, true),
    ] {
      let optimizer = Optimizer(
        OptimizerConfiguration(
          rule: .sgd(), weightDecay: .decoupled(0.5), decaysBiasesAndNorms: all))
      var (values, gradient): ([Float], [Float]) = ([2], [0])
      let parameter = try #require(parameters.first { $0.role == role })
      values.withUnsafeMutableBufferPointer { values in
        gradient.withUnsafeMutableBufferPointer {
          optimizer.update(parameter, values: values, gradient: $0, rate: 0.1)
        }
      }
      #expect(values == [decays ? 1.9 : 2])
    }
  }

  @Test func scheduledMomentumReplacesTheRule() {
    let start: [Float] = [1, 2, 3, 4, 5, 6, 1, 2, 3]
    let (scheduled, plain) = (makePlan(start), makePlan(start))
    let first = Optimizer(OptimizerConfiguration(rule: .sgd(momentum: 0.9)))
    let second = Optimizer(OptimizerConfiguration(rule: .sgd(momentum: 0.5)))
    let gradient = ArraySlice<Float>(repeating: 1, count: 9)
    for _ in 0..<3 {
      scheduled.step(first, gradient, momentum: 0.5)
      plain.step(second, gradient)
    }
    #expect(scheduled.elements == plain.elements)
  }

  @Test func gradientsAreClippedToTheirJointNorm() throws {
    let plan = DensePlan(inputs: 2, classes: 2, batch: 1)
    plan.withTrainable { _, _, gradient in gradient.update(repeating: 3) }
    // Six elements of 3 have the norm sqrt(54); clipped to 1 each is 3 / sqrt(54).
    Optimizer(OptimizerConfiguration(rule: .sgd(momentum: 0), maximumGradientNorm: 1))
      .update(plan, rates: [1, 1])
    expectClose(
      try plan.exportParameters().tensor("fc.weight").elements,
      [Float](repeating: -0.40824829, count: 4))
  }

  @Test func stateOfAnotherOptimizerOrPlanIsRefused() throws {
    let plan = makePlan([1, 2, 3, 4, 5, 6, 7, 8, 9])
    let sgd = Optimizer(OptimizerConfiguration())
    sgd.update(plan, rates: [1, 1])
    let state = sgd.exportState(from: plan)
    #expect(throws: TrainingError.self) { try Optimizer(.adamW()).importState(state, into: plan) }
    let changes: [(String, (inout OptimizerState) -> Void)] = [
      ("fc.bias", { $0.steps["fc.bias"] = nil }), ("other", { $0.steps["other"] = 1 }),
      ("missing", { $0.slots["momentum"]?["fc.weight"] = nil }),
      ("[6]", { $0.slots["momentum"]?["fc.weight"] = Tensor(zeros: [6]) }),
      ("surprise", { $0.slots["surprise"] = Parameters() }),
    ]
    for (word, change) in changes {
      var damaged = state
      change(&damaged)
      let error = #expect(throws: TrainingError.self) {
        try Optimizer(sgd.configuration).importState(damaged, into: plan)
      }
      #expect(error?.description.contains(word) == true, "\(word)")
      #expect(plan.elements == makePlan(plan.elements).elements)
    }
  }

  @Test func stateMovesToAnotherPlanByPath() throws {
    let plan = makePlan([1, 2, 3, 4, 5, 6, 7, 8, 9])
    let optimizer = Optimizer(.adamW())
    for _ in 0..<3 { plan.step(optimizer, ArraySlice<Float>(repeating: 1, count: 9)) }
    var state = optimizer.exportState(from: plan)
    state.steps["fc.bias"] = nil
    state.steps["gone.weight"] = 5
    let before = plan.elements
    let moved = Optimizer(.adamW())
    try moved.importState(state, into: plan, allowingNew: true)
    #expect(plan.elements == before)
    let after = moved.exportState(from: plan)
    #expect(after.steps == ["fc.weight": 3, "fc.bias": 0])
    #expect(after.slots["mean"]?["fc.weight"] == state.slots["mean"]?["fc.weight"])
    #expect(after.slots["mean"]?["fc.bias"] == Tensor(zeros: [3]))
    #expect(plan.elements == before)
  }

  /// Where an element lies in its chunk of eight, or in the shorter one at the end, changes no bit.
  @Test(arguments: [UpdateRule.adam(), .rmsProp(), .rmsProp(momentum: 0.9)])
  func positionInAChunkDoesNotMatter(rule: UpdateRule) {
    func values(_ count: Int) -> [Float] {
      var values = [Float](repeating: 0.7, count: count)
      var gradient = [Float](repeating: 0, count: count)
      let optimizer = Optimizer(OptimizerConfiguration(rule: rule, weightDecay: .l2(0.01)))
      let parameter = DensePlan.graph(inputs: count, classes: 1).parameters[0]
      for step in 1...4 {
        gradient = gradient.map { _ in 0.3 / Float(step) - 0.1 }
        values.withUnsafeMutableBufferPointer { values in
          gradient.withUnsafeMutableBufferPointer {
            optimizer.update(parameter, values: values, gradient: $0, rate: 0.01)
          }
        }
      }
      return values
    }
    let single = values(1)
    #expect(single != [0.7])
    for count in [7, 8, 9, 23] {
      #expect(values(count) == [Float](repeating: single[0], count: count))
    }
  }
}
