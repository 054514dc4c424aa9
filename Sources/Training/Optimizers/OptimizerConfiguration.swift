// SPDX-License-Identifier: Apache-2.0

/// Which update is made from a gradient.
package enum UpdateRule: Sendable, Equatable, Codable {
  /// b = momentum * b + g (b starts as g); p -= rate * b, or rate * (g + momentum * b) with Nesterov.
  ///
  /// - Source: PyTorch `SGD`, dampening 0.
  case sgd(momentum: Double = 0.9, nesterov: Bool = false)
  /// p -= rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).
  ///
  /// - Source: Kingma and Ba 2015, arXiv:1412.6980; PyTorch `Adam`.
  case adam(beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8)
  /// v = alpha * v + (1 - alpha) * g^2; step g / (sqrt(v) + epsilon), with momentum b = momentum * b + step.
  ///
  /// - Source: PyTorch `RMSprop`, not centred.
  case rmsProp(alpha: Double = 0.99, epsilon: Double = 1e-8, momentum: Double = 0)
}

/// How weights are pulled towards zero.
package enum WeightDecay: Sendable, Equatable, Codable {
  /// Not at all.
  case none
  /// g += decay * p before the rule sees the gradient.
  case l2(Double)
  /// p *= 1 - rate * decay, apart from the gradient.
  ///
  /// - Source: Loshchilov and Hutter 2019, arXiv:1711.05101.
  case decoupled(Double)
}

/// Everything about an optimizer but the learning rate.
package struct OptimizerConfiguration: Sendable, Equatable, Codable {
  /// The update.
  package var rule: UpdateRule
  /// The pull towards zero.
  package var weightDecay: WeightDecay
  /// Whether biases and the scales and shifts of norms decay too.
  package var decaysBiasesAndNorms: Bool
  /// Gradients are scaled down together when their joint Euclidean norm is above this; nil for never.
  package var maximumGradientNorm: Double?

  /// A configuration; by default SGD with momentum 0.9 and no decay.
  package init(
    rule: UpdateRule = .sgd(), weightDecay: WeightDecay = .none, decaysBiasesAndNorms: Bool = false,
    maximumGradientNorm: Double? = nil
  ) {
    self.rule = rule
    self.weightDecay = weightDecay
    self.decaysBiasesAndNorms = decaysBiasesAndNorms
    self.maximumGradientNorm = maximumGradientNorm
  }

  /// Adam with decoupled weight decay; the defaults are PyTorch's.
  package static func adamW(
    beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 0.01
  ) -> OptimizerConfiguration {
    OptimizerConfiguration(
      rule: .adam(beta1: beta1, beta2: beta2, epsilon: epsilon),
      weightDecay: .decoupled(weightDecay))
  }
}

extension OptimizerConfiguration {
  /// What is wrong with the numbers, as a sentence for whoever wrote the recipe; nil when nothing is.
  package var problem: String? {
    let shares: [(String, Double)]
    switch rule {
    case .sgd(let momentum, _): shares = [("momentum", momentum)]
    case .adam(let beta1, let beta2, _): shares = [("beta1", beta1), ("beta2", beta2)]
    case .rmsProp(let alpha, _, let momentum): shares = [("alpha", alpha), ("momentum", momentum)]
    }
    for (name, share) in shares where !(share >= 0 && share < 1) {
      return "\(name) must be at least 0 and below 1, got \(share)."
    }
    switch rule {
    case .adam(_, _, let epsilon) where !(epsilon > 0),
      .rmsProp(_, let epsilon, _) where !(epsilon > 0):
      return "epsilon must be above 0, got \(epsilon)."
    default: break
    }
    switch weightDecay {
    case .l2(let decay) where !(decay >= 0 && decay.isFinite),
      .decoupled(let decay) where !(decay >= 0 && decay.isFinite):
      return "weight decay must be at least 0, got \(decay)."
    default: break
    }
    if let limit = maximumGradientNorm, !(limit > 0) {
      return "the maximum gradient norm must be above 0, got \(limit)."
    }
    return nil
  }
}
