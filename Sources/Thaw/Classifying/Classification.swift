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
  /// One a class, in 0...1, combined over the classifier's views: the softmax of the logits, summing to
  /// 1 but for rounding; of a model that ``allowsSeveralLabels`` the sigmoid of each.
  public let probabilities: [Float]
  /// One a class, of the first view (the photo's centre), without a unit: what the network computes
  /// in front of the softmax or the sigmoids. Those of a network with one output x are 0 and x.
  public let logits: [Float]
  /// Whether a photo may have several labels, or none; otherwise it has exactly one.
  public let allowsSeveralLabels: Bool
  /// The positions of the classes that the photo has, the most probable first: those whose probability
  /// reaches the class's threshold in the model, perhaps none. Of a model that gives one label a photo
  /// it is ``index`` alone.
  public let labelIndices: [Int]

  /// The position of the most probable class; of equals the first.
  public let index: Int

  /// The most probable class; of equals the first.
  public var label: String { classNames[index] }

  /// The probability of ``label``, in 0...1.
  public var probability: Float { probabilities[index] }

  /// The classes that the photo has, see ``labelIndices``.
  public var labels: [Candidate] {
    labelIndices.map { Candidate(label: classNames[$0], probability: probabilities[$0]) }
  }

  /// The `count` most probable classes, the best first; all of them when there are fewer. Equal ones
  /// keep the order of the classes.
  public func top(_ count: Int) -> [Candidate] {
    let order = probabilities.indices.sorted { (probabilities[$1], $0) < (probabilities[$0], $1) }
    return order.prefix(max(count, 0)).map {
      Candidate(label: classNames[$0], probability: probabilities[$0])
    }
  }

  /// Collects them; one number a class, at least one class.
  init(
    classNames: [String], probabilities: [Float], logits: [Float], labelIndices: [Int],
    allowsSeveralLabels: Bool
  ) {
    self.labelIndices = labelIndices
    self.allowsSeveralLabels = allowsSeveralLabels
    self.classNames = classNames
    self.probabilities = probabilities
    self.logits = logits
    index = probabilities.indices.max { probabilities[$0] < probabilities[$1] } ?? 0
  }
}
