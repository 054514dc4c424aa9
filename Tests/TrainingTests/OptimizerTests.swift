// SPDX-License-Identifier: Apache-2.0

import Network
import TestSupport
import Testing
import Training

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
private struct TwoParameters {
  var weight: [Float]
  var bias: [Float]

  mutating func step(_ optimizer: Optimizer, _ gradient: ArraySlice<Float>, momentum: Double? = nil)
  {
    optimizer.beginStep()
    var slopes = Array(gradient)
    slopes.withUnsafeMutableBufferPointer { slopes in
      weight.withUnsafeMutableBufferPointer {
        optimizer.update(
          0, role: .weight, values: $0,
          gradient: UnsafeMutableBufferPointer(rebasing: slopes[..<6]),
          rate: 0.01, momentum: momentum)
      }
      bias.withUnsafeMutableBufferPointer {
        optimizer.update(
          1, role: .bias, values: $0, gradient: UnsafeMutableBufferPointer(rebasing: slopes[6...]),
          rate: 0.03, momentum: momentum)
      }
    }
  }
}

@Suite struct OptimizerTests {
  /// PyTorch 2.15 `torch.optim`, Float32, ten steps, two parameter groups.
  @Test func tenStepsAgreeWithPyTorch() throws {
    let cases = try golden("optimizers", as: [OptimizerCase].self)
    #expect(cases.count == 14)
    for test in cases {
      var parameters = TwoParameters(weight: Array(test.start[..<6]), bias: Array(test.start[6...]))
      let optimizer = Optimizer(test.configuration)
      for step in 0..<10 { parameters.step(optimizer, test.gradients[step * 9..<step * 9 + 9]) }
      expectClose(
        parameters.weight + parameters.bias, test.end, relative: 1e-6, absolute: 1e-6,
        "\(test.name), decay \(test.decay)")
    }
  }

  @Test(arguments: ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "rmsprop-momentum"])
  func exportedStateContinuesToTheSameBits(name: String) throws {
    let cases = try golden("optimizers", as: [OptimizerCase].self)
    let test = try #require(cases.first { $0.name == name && $0.decay > 0 })
    var whole = TwoParameters(weight: Array(test.start[..<6]), bias: Array(test.start[6...]))
    let optimizer = Optimizer(test.configuration)
    var (resumed, second) = (whole, Optimizer(test.configuration))
    for step in 0..<10 {
      if step == 4 {
        resumed = whole
        second = Optimizer(test.configuration)
        try second.importState(optimizer.exportState(), parameterCount: 2)
      }
      let gradient = test.gradients[step * 9..<step * 9 + 9]
      whole.step(optimizer, gradient)
      resumed.step(second, gradient)
    }
    #expect(resumed.weight == whole.weight)
    #expect(resumed.bias == whole.bias)
    #expect(second.exportState() == optimizer.exportState())
  }

  @Test func biasesAndNormsDecayOnlyWhenAsked() {
    for (all, role, decays) in [
      (false, ParameterRole.weight, true), (false, .bias, false), (false, .normScale, false),
      (false, .normShift, false), (true, .bias, true),
    ] {
      let optimizer = Optimizer(
        OptimizerConfiguration(
          rule: .sgd(), weightDecay: .decoupled(0.5), decaysBiasesAndNorms: all))
      var (values, gradient): ([Float], [Float]) = ([2], [0])
      optimizer.beginStep()
      values.withUnsafeMutableBufferPointer { values in
        gradient.withUnsafeMutableBufferPointer {
          optimizer.update(
            0, role: role, values: values, gradient: $0, rate: 0.1, momentum: nil)
        }
      }
      #expect(values == [decays ? 1.9 : 2])
    }
  }

  @Test func scheduledMomentumReplacesTheRule() {
    var scheduled = TwoParameters(weight: [1, 2, 3, 4, 5, 6], bias: [1, 2, 3])
    var plain = scheduled
    let first = Optimizer(OptimizerConfiguration(rule: .sgd(momentum: 0.9)))
    let second = Optimizer(OptimizerConfiguration(rule: .sgd(momentum: 0.5)))
    let gradient = ArraySlice<Float>(repeating: 1, count: 9)
    for _ in 0..<3 {
      scheduled.step(first, gradient, momentum: 0.5)
      plain.step(second, gradient)
    }
    #expect(scheduled.weight == plain.weight)
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

  @Test func stateOfAnotherOptimizerIsRefused() throws {
    let plan = DensePlan(inputs: 2, classes: 2, batch: 1)
    let sgd = Optimizer(OptimizerConfiguration())
    sgd.update(plan, rates: [1, 1])
    #expect(throws: TrainingError.self) {
      try Optimizer(.adamW()).importState(sgd.exportState(), parameterCount: 2)
    }
  }
}
