// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawTensors

/// How good predictions are: the document `evaluate` prints.
///
/// Keys in JSON: `split, count, accuracy, loss, macro_f1, auc, per_class[{name, count, precision,
/// recall, f1}], confusion`. `auc` is null when no class has both positives and negatives.
package struct Evaluation: Sendable, Equatable, Codable {
  /// The numbers of one class; 0 where ``ConfusionMatrix/ClassMetrics`` is undefined.
  package struct ClassResult: Sendable, Equatable, Codable {
    /// The class.
    package let name: String
    /// Its samples.
    package let count: Int
    /// Share of what was taken for it that is it.
    package let precision: Double
    /// Share of it that was found.
    package let recall: Double
    /// Harmonic mean of the two.
    package let f1: Double
  }

  /// Which samples, for example `valid`.
  package let split: String
  /// Number of samples, at least 1.
  package let count: Int
  /// Share of right predictions.
  package let accuracy: Double
  /// Mean of -log of the true class's probability.
  package let loss: Double
  /// See ``ConfusionMatrix/macroF1``.
  package let macroF1: Double
  /// See ``RankingMetrics/areaUnderCurve(probabilities:labels:)``.
  package let auc: Double?
  /// One entry a class, in the model's order.
  package let perClass: [ClassResult]
  /// [true][predicted] counts.
  package let confusion: [[Int]]
  /// How many of the samples say something of their own: several photos of one picture count once. Nil
  /// where nobody knows.
  package var independent: Int?
  /// What new heads make of photos they have not seen; nil where nobody has tried.
  package var crossValidation: HeldOut?

  /// How many samples were judged, each by something that had not seen it.
  package struct HeldOut: Sendable, Equatable, Codable {
    /// All of them.
    package let count: Int
    /// Those that were predicted right.
    package let correct: Int

    /// Counts.
    package init(count: Int, correct: Int) {
      precondition(
        count > 0 && (0...count).contains(correct), "\(correct) of \(count) is no share.")
      (self.count, self.correct) = (count, correct)
    }
  }

  private enum CodingKeys: String, CodingKey {
    case split, count, accuracy, loss, auc, confusion, independent
    case macroF1 = "macro_f1"
    case perClass = "per_class"
    case crossValidation = "cross_validation"
  }

  /// Probabilities below this count as this in the loss, so that one sure mistake cannot make it
  /// infinite: the loss of a sample is at most 27.6.
  package static let smallestProbability = 1e-12

  /// Judges probabilities; equal ones count as a prediction of the first class among them.
  ///
  /// - Parameters:
  ///   - classNames: in the order of the columns.
  ///   - probabilities: [n, classes], rows that sum to 1 (averages over views included).
  ///   - labels: the true classes; one outside the columns traps.
  /// - Throws: ``TrainingError/noSamples(split:)``, ``TrainingError/nonFinite(what:sample:)``.
  package init(
    split: String, classNames: [String], probabilities: Tensor<Float>, labels: [Int]
  ) throws {
    try Evaluation.check(
      probabilities, labels, classNames, split: split, what: "the probabilities")
    let classes = classNames.count
    let sum = labels.indices.reduce(0.0) { sum, sample in
      let probability = Double(probabilities[sample * classes + labels[sample]])
      return sum - log(max(probability, Evaluation.smallestProbability))
    }
    self.init(
      split: split, classNames: classNames, scores: probabilities, labels: labels,
      loss: max(sum / Double(labels.count), 0))
  }

  /// Judges logits: the loss is computed from them exactly, whatever their size.
  package init(split: String, classNames: [String], logits: Tensor<Float>, labels: [Int]) throws {
    try Evaluation.check(logits, labels, classNames, split: split, what: "the logits")
    let loss = logits.withUnsafeElements { elements in
      labels.map(Int32.init).withUnsafeBufferPointer {
        SoftmaxCrossEntropy().evaluate(
          elements, classes: classNames.count, targets: .labels($0), divisor: 1, gradient: nil)
      }
    }
    self.init(
      split: split, classNames: classNames, scores: Probabilities.softmax(logits), labels: labels,
      loss: loss.mean)
  }

  private init(
    split: String, classNames: [String], scores: Tensor<Float>, labels: [Int], loss: Double
  ) {
    let predictions = Probabilities.predictions(scores)
    let matrix = ConfusionMatrix(
      classNames: classNames, labels: labels, predictions: predictions)
    self.split = split
    count = labels.count
    accuracy = matrix.accuracy ?? 0
    self.loss = loss
    macroF1 = matrix.macroF1 ?? 0
    auc = RankingMetrics.areaUnderCurve(probabilities: scores, labels: labels)
    perClass = matrix.classMetrics.map {
      ClassResult(
        name: $0.name, count: $0.count, precision: $0.precision ?? 0, recall: $0.recall ?? 0,
        f1: $0.f1 ?? 0)
    }
    confusion = matrix.counts
  }

  /// What was taken for what: says which of the classes' zeros are undefined.
  package var matrix: ConfusionMatrix {
    ConfusionMatrix(classNames: perClass.map(\.name), counts: confusion)
  }

  /// Number of right predictions.
  package var correct: Int { matrix.correct }

  /// How many samples say something of their own, as far as anybody knows.
  package var independentCount: Int { min(independent ?? count, count) }

  /// Where the accuracy lies with 95 % confidence, see ``WilsonInterval``, going by as many samples as
  /// are independent.
  package var accuracyInterval: ClosedRange<Double> {
    WilsonInterval.interval(
      share: Double(correct) / Double(count), trials: Double(independentCount))
  }

  /// Reads a document and refuses one whose counts are no matrix of its classes.
  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    split = try container.decode(String.self, forKey: .split)
    count = try container.decode(Int.self, forKey: .count)
    accuracy = try container.decode(Double.self, forKey: .accuracy)
    loss = try container.decode(Double.self, forKey: .loss)
    macroF1 = try container.decode(Double.self, forKey: .macroF1)
    auc = try container.decodeIfPresent(Double.self, forKey: .auc)
    perClass = try container.decode([ClassResult].self, forKey: .perClass)
    confusion = try container.decode([[Int]].self, forKey: .confusion)
    independent = try container.decodeIfPresent(Int.self, forKey: .independent)
    crossValidation = try container.decodeIfPresent(HeldOut.self, forKey: .crossValidation)
    guard count > 0, !perClass.isEmpty,
      independent.map({ $0 > 0 }) ?? true,
      crossValidation.map({ $0.count > 0 && (0...$0.count).contains($0.correct) }) ?? true,
      ConfusionMatrix.isPossible(confusion, classes: perClass.count),
      confusion.allSatisfy({ $0.allSatisfy { $0 <= count } }), matrix.total == count
    else {
      throw DecodingError.dataCorruptedError(
        forKey: .confusion, in: container,
        debugDescription: "is no matrix of \(perClass.count) classes and \(count) samples")
    }
  }

  /// Writes every key, `auc` as null when there is none.
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(split, forKey: .split)
    try container.encode(count, forKey: .count)
    try container.encode(accuracy, forKey: .accuracy)
    try container.encode(loss, forKey: .loss)
    try container.encode(macroF1, forKey: .macroF1)
    try container.encode(auc, forKey: .auc)
    try container.encode(perClass, forKey: .perClass)
    try container.encode(confusion, forKey: .confusion)
    try container.encodeIfPresent(independent, forKey: .independent)
    try container.encodeIfPresent(crossValidation, forKey: .crossValidation)
  }

  private static func check(
    _ scores: Tensor<Float>, _ labels: [Int], _ names: [String], split: String, what: String
  ) throws {
    precondition(
      scores.shape == [labels.count, names.count],
      "\(what) are \(scores.shape), expected [\(labels.count), \(names.count)].")
    guard !labels.isEmpty else { throw TrainingError.noSamples(split: split) }
    let bad = scores.withUnsafeElements { $0.firstIndex { !$0.isFinite } }
    if let bad { throw TrainingError.nonFinite(what: what, sample: bad / names.count) }
  }
}
