// SPDX-License-Identifier: Apache-2.0

/// What a classifier says about one photo.
public struct Classification: Sendable, Hashable {
  /// A class and how probable it is.
  public struct Candidate: Sendable, Hashable {
    /// The class's name.
    public let label: String
    /// In 0...1.
    public let probability: Float
  }

  /// The names of all classes, in the order of ``probabilities`` and ``logits``.
  public let classNames: [String]
  /// One a class, in 0...1, summing to 1 but for rounding: the softmax of the logits, combined over
  /// the classifier's views.
  public let probabilities: [Float]
  /// One a class, of the first view (the photo's centre), without a unit: what the network computes
  /// in front of the softmax.
  public let logits: [Float]

  /// The position of the most probable class; of equals the first.
  public let index: Int

  /// The most probable class; of equals the first.
  public var label: String { classNames[index] }

  /// The probability of ``label``, in 0...1.
  public var probability: Float { probabilities[index] }

  /// The `count` most probable classes, the best first; all of them when there are fewer. Equal ones
  /// keep the order of the classes.
  public func top(_ count: Int) -> [Candidate] {
    let order = probabilities.indices.sorted { (probabilities[$1], $0) < (probabilities[$0], $1) }
    return order.prefix(max(count, 0)).map {
      Candidate(label: classNames[$0], probability: probabilities[$0])
    }
  }

  /// Collects them; one number a class, at least one class.
  init(classNames: [String], probabilities: [Float], logits: [Float]) {
    self.classNames = classNames
    self.probabilities = probabilities
    self.logits = logits
    index = probabilities.indices.max { probabilities[$0] < probabilities[$1] } ?? 0
  }
}
