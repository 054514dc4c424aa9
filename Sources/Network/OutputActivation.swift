// SPDX-License-Identifier: Apache-2.0

/// What turns a network's outputs, its logits, into probabilities of classes.
///
/// It is a property of the weights, as the preprocessing is: the same numbers mean something else under
/// another one. Model files say which it is; those that say nothing were trained with ``softmax``.
package enum OutputActivation: String, Sendable, Hashable, Codable, CaseIterable {
  /// One output a class, of which exactly one is right: exp(x[c]) / sum over k of exp(x[k]).
  case softmax
  /// One output a class, each a question of its own: 1 / (1 + exp(-x[c])). A photo may have several
  /// labels, or none.
  case independentSigmoids = "independent_sigmoids"
  /// One output for two classes: 1 / (1 + exp(-x)) is the probability of the second.
  case singleSigmoid = "single_sigmoid"

  /// Whether a photo may have several labels, or none.
  package var allowsSeveralLabels: Bool { self == .independentSigmoids }

  /// How many outputs a network for `classes` classes has.
  package func outputs(classes: Int) -> Int { self == .singleSigmoid ? 1 : classes }

  /// How many classes a network with `outputs` outputs tells apart.
  package func classes(outputs: Int) -> Int { self == .singleSigmoid ? 2 * outputs : outputs }

  /// Whether there is a network of this kind for `classes` classes.
  package func fits(classes: Int) -> Bool { self == .singleSigmoid ? classes == 2 : classes > 0 }

  /// For people: what the outputs are.
  package var summary: String {
    switch self {
    case .softmax: "a softmax over the classes"
    case .independentSigmoids: "one sigmoid a class: a photo may have several labels"
    case .singleSigmoid: "one sigmoid for two classes"
    }
  }
}
