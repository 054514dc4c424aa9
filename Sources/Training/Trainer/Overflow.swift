// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork

/// Where NaN or infinity was met first.
package enum Overflow: Sendable, Equatable, CustomStringConvertible {
  /// In what the plan was given: the sample's index in the training source.
  case input(sample: Int)
  /// In the result of a layer, of finite inputs.
  case activation(ParameterPath)
  /// In the values of a parameter or of a running statistic.
  case weight(ParameterPath)
  /// In a parameter's gradient, all weights being finite.
  case gradient(ParameterPath)

  /// Half a sentence.
  package var description: String {
    switch self {
    case .input(let sample): "the input of training sample \(sample) is not finite"
    case .activation(let layer): "the result of layer '\(layer)' overflowed first"
    case .weight(let path): "the values of '\(path)' overflowed first"
    case .gradient(let path): "the gradient of '\(path)' overflowed first"
    }
  }
}

/// Looks for what overflowed, after the fact.
package enum OverflowProbe {
  /// The parameter of `plan` that overflowed first; nil when all values, gradients and running
  /// statistics are finite.
  ///
  /// Bad values come first, in order of computation. A bad gradient spreads from the output towards
  /// the input, so of those it is the last in order of computation.
  package static func firstParameter(of plan: any TrainingPlan) -> Overflow? {
    if let weight = firstWeight(of: plan) { return weight }
    var gradient: ParameterPath?
    plan.withTrainable { description, _, slope in
      if !slope.areFinite { gradient = description.path }
    }
    return firstStatistic(of: plan).map(Overflow.weight) ?? gradient.map(Overflow.gradient)
  }

  /// The first parameter that trains and has a bad value; nil when there is none.
  static func firstWeight(of plan: any TrainingPlan) -> Overflow? {
    var weight: ParameterPath?
    plan.withTrainable { description, values, _ in
      if weight == nil, !values.areFinite { weight = description.path }
    }
    return weight.map(Overflow.weight)
  }

  private static func firstStatistic(of plan: any TrainingPlan) -> ParameterPath? {
    let all = plan.exportParameters()
    return all.paths.first { path in
      all[path]?.withUnsafeElements { $0.contains { !$0.isFinite } } ?? false
    }
  }

  /// Whether every value that the optimizer changes is finite.
  static func valuesAreFinite(_ plan: any TrainingPlan) -> Bool {
    var result = true
    plan.withTrainable { _, values, _ in result = result && values.areFinite }
    return result
  }

  /// Whether the accumulated gradient of every parameter is finite.
  static func gradientsAreFinite(_ plan: any TrainingPlan) -> Bool {
    var result = true
    plan.withTrainable { _, _, gradient in result = result && gradient.areFinite }
    return result
  }

  /// The first of `samples` whose features are not all finite.
  static func firstSample(
    _ samples: ArraySlice<Int>, features: UnsafeMutableBufferPointer<Float>
  ) -> Overflow? {
    guard !samples.isEmpty, !features.areFinite else { return nil }
    let bad = features.firstIndex { !$0.isFinite } ?? 0
    return .input(sample: samples[samples.startIndex + bad / (features.count / samples.count)])
  }
}
