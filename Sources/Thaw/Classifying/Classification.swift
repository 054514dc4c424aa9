// SPDX-License-Identifier: Apache-2.0

import ThawTraining

/// What a classifier says about one photo.
public struct Classification: Sendable, Hashable {
  /// A class and how probable it is.
  public struct Candidate: Sendable, Hashable {
    /// The class's name.
    public let label: String
    /// In 0...1.
    public let probability: Float
  }

  /// How unlike the photos of the model's training a photo is.
  public struct Likeness: Sendable, Hashable {
    /// Unitless, at least 0: a squared distance from the nearest class, about 1 for photos like those of
    /// the training.
    public let score: Float
    /// Above it a photo is unlike anything the model was trained on: 19 of 20 of its validation photos
    /// are below.
    public let threshold: Float
    /// Whether the photo is unlike anything the model was trained on.
    public var isUnknown: Bool { score > threshold }
  }

  /// The names of all classes, in the order of ``probabilities`` and ``logits``.
  public let classNames: [String]
  /// One a class, in 0...1, combined over the classifier's views: the softmax of the logits, summing to
  /// 1 but for rounding, calibrated where the model says how, so that of answers with a probability of 0.8
  /// about four of five are right; of a model that ``allowsSeveralLabels`` the sigmoid of each.
  public let probabilities: [Float]
  /// One a class, of the first view (the photo's centre), without a unit: what the network computes
  /// in front of the softmax or the sigmoids. Those of a network with one output x are 0 and x.
  public let logits: [Float]
  /// Whether a photo may have several labels, or none; otherwise it has exactly one.
  public let allowsSeveralLabels: Bool
  /// The positions of the classes that the photo has, the most probable first: those whose probability
  /// reaches the class's threshold in the model, perhaps none. Of a model that gives one label a photo
  /// it is ``index`` alone, or none when the photo ``isUndecided``.
  public let labelIndices: [Int]

  /// How unlike the photos of the training this one is; nil for a model that does not know.
  public let likeness: Likeness?
  /// What sets of labels go by; nil for a model that has none.
  private let sets: ConformalSets?

  /// The position of the answer: the most probable class, of equals the first, or the one that the model's
  /// thresholds decide for.
  public let index: Int

  /// Whether the model, which gives one label a photo, has thresholds that no class reaches: its
  /// ``label`` is then ``undecidedLabel``, and ``index`` the most probable class.
  public var isUndecided: Bool { !allowsSeveralLabels && labelIndices.isEmpty }

  /// What a photo is called for which no class reaches what the model asks of it.
  public static let undecidedLabel = "undecided"

  /// The labels among which the right one is with a probability of `coverage`, the most probable first; at
  /// least one.
  ///
  /// It holds on average over photos like the validation photos of the training.
  ///
  /// - Parameters:
  ///   - coverage: above 0 and below 1.
  ///   - perClass: whether it is to hold for the photos of each class, of those that had enough validation photos;
  ///     models of earlier versions know no difference.
  /// - Returns: nil for a model that has no such sets: one of several labels, or trained elsewhere or
  ///   without validation photos. All labels when the validation photos were too few to promise so much.
  public func set(coverage: Double, perClass: Bool = false) -> [Candidate]? {
    precondition(
      coverage > 0 && coverage < 1, "A coverage is above 0 and below 1, not \(coverage).")
    return sets?.set(of: probabilities, coverage: coverage, perClass: perClass).map {
      Candidate(label: classNames[$0], probability: probabilities[$0])
    }
  }

  /// The answer: the most probable class, or what the model's thresholds decide for, which may be
  /// ``undecidedLabel``.
  public var label: String { isUndecided ? Self.undecidedLabel : classNames[index] }

  /// The probability of the class at ``index``, in 0...1.
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
    allowsSeveralLabels: Bool, sets: ConformalSets? = nil, likeness: Likeness? = nil
  ) {
    self.sets = sets
    self.likeness = likeness
    self.labelIndices = labelIndices
    self.allowsSeveralLabels = allowsSeveralLabels
    self.classNames = classNames
    self.probabilities = probabilities
    self.logits = logits
    let mostProbable = probabilities.indices.max {
      (probabilities[$0], $1) < (probabilities[$1], $0)
    }
    index = (allowsSeveralLabels ? nil : labelIndices.first) ?? mostProbable ?? 0
  }
}
