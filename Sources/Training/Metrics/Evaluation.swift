// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawTensors

/// How good predictions are: the document `evaluate` prints.
///
/// Keys in JSON: `split, count, accuracy, loss, macro_f1, auc, per_class[{name, count, precision,
/// recall, f1}], confusion`. `auc` is null when no class has both positives and negatives.
///
/// Where photos may have several labels there is no confusion of one class with another. In its place
/// stand `mean_average_precision, micro_f1, co_occurrence`, for each class `average_precision, auc,
/// threshold, counts`; `accuracy` is the share of photos with exactly the right labels.
///
/// `precision_recall` are the curves of the classes, `thresholds` and `decisions` what thresholds make of
/// the samples, `costs` what the mistakes cost.
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
    /// See ``RankingMetrics/averagePrecision(scores:isPositive:)``; only where samples may have several
    /// labels, and nil without positives.
    package var averagePrecision: Double?
    /// Chance that a sample of the class scores above one of the others; only there, nil without either.
    package var auc: Double?
    /// From which probability on a sample gets the class; only there.
    package var threshold: Float?
    /// How often it was answered rightly, of the samples whose label is known; only there.
    package var counts: BinaryCounts?

    private enum CodingKeys: String, CodingKey {
      case name, count, precision, recall, f1, auc, threshold, counts
      case averagePrecision = "average_precision"
    }
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
  /// [true][predicted] counts; empty where samples may have several labels.
  package let confusion: [[Int]]
  /// Mean of the classes' average precision; only where samples may have several labels, nil when no class
  /// has a sample.
  package internal(set) var meanAveragePrecision: Double?
  /// F1 of all labels of all classes taken together; only there.
  package internal(set) var microF1: Double?
  /// How many samples have both of two classes, [class][class]; only there. The diagonal is how many have
  /// the class.
  package internal(set) var coOccurrence: [[Int]]?
  /// How many of the samples say something of their own: several photos of one picture count once. Nil
  /// where nobody knows.
  package var independent: Int?
  /// What speaks against the numbers, or was assumed to get them, as sentences.
  package var remarks: [String] = []
  /// What new heads make of photos they have not seen; nil where nobody has tried.
  package var crossValidation: HeldOut?
  /// How well the probabilities say how often answers are right, before and after calibration, and what
  /// sets of labels keep of their promise; nil for a model that is not calibrated.
  package var calibration: CalibrationResult?
  /// Precision against recall of each class that some samples have and others not; empty with many classes,
  /// and until ``drawCurves(_:_:)``.
  package private(set) var curves: [PrecisionRecallCurve] = []
  /// What thresholds make of the samples, where each has one label and the model has thresholds; everything
  /// else is of the most probable class.
  package var decisions: DecisionResult?
  /// The thresholds that were applied: how they were chosen.
  package var thresholds: [ChosenThreshold]?
  /// What the mistakes cost; nil when nobody said what costs how much.
  package var costs: CostResult?

  /// How many samples were judged, each by something that had not seen it.
  package struct HeldOut: Sendable, Equatable, Codable {
    /// All of them.
    package let count: Int
    /// Those that were predicted right.
    package let correct: Int
    /// How many of them say something of their own: several photos of one picture count once. Nil where
    /// nobody knows.
    package var independent: Int?

    /// Where the accuracy lies with 95 % confidence, as ``Evaluation/accuracyInterval``.
    package var interval: ClosedRange<Double> {
      let trials = Double(independent ?? count)
      return WilsonInterval.interval(
        share: Double(correct) / Double(max(count, 1)), trials: trials)
    }

    /// Counts.
    package init(count: Int, correct: Int, independent: Int? = nil) {
      precondition(
        count > 0 && (0...count).contains(correct), "\(correct) of \(count) is no share.")
      (self.count, self.correct, self.independent) = (count, correct, independent)
    }
  }

  private enum CodingKeys: String, CodingKey {
    case split, count, accuracy, loss, auc, confusion, independent, remarks, calibration
    case decisions, thresholds, costs
    case curves = "precision_recall"
    case macroF1 = "macro_f1"
    case perClass = "per_class"
    case crossValidation = "cross_validation"
    case meanAveragePrecision = "mean_average_precision"
    case microF1 = "micro_f1"
    case coOccurrence = "co_occurrence"
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
      probabilities, labels.count, classNames, split: split, what: "the probabilities")
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
    try Evaluation.check(logits, labels.count, classNames, split: split, what: "the logits")
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

  init(
    split: String, count: Int, accuracy: Double, loss: Double, macroF1: Double, auc: Double?,
    perClass: [ClassResult]
  ) {
    self.split = split
    self.count = count
    self.accuracy = accuracy
    self.loss = loss
    self.macroF1 = macroF1
    self.auc = auc
    self.perClass = perClass
    confusion = []
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

  /// Adds the curves of the classes, which sort all samples once for each.
  ///
  /// - Parameter probabilities: [n, classes], of the samples that were judged.
  package mutating func drawCurves(_ probabilities: Tensor<Float>, _ labels: SampleLabels) {
    let names = perClass.map(\.name)
    switch labels {
    case .single(let labels):
      curves = PrecisionRecallCurve.all(probabilities, labels: labels, classNames: names)
    case .several(let rows):
      curves = PrecisionRecallCurve.all(probabilities, rows, classNames: names)
    }
  }

  /// Whether samples may have several labels.
  package var severalLabels: Bool { coOccurrence != nil }

  /// What was taken for what: says which of the classes' zeros are undefined. Nil where samples may have
  /// several labels.
  package var matrix: ConfusionMatrix? {
    severalLabels ? nil : ConfusionMatrix(classNames: perClass.map(\.name), counts: confusion)
  }

  /// The numbers of each class, nil where undefined.
  package var classMetrics: [ConfusionMatrix.ClassMetrics] {
    matrix?.classMetrics
      ?? perClass.map {
        ConfusionMatrix.ClassMetrics(
          name: $0.name, count: $0.count, precision: $0.counts?.precision,
          recall: $0.counts?.recall, f1: $0.counts?.f1)
      }
  }

  /// Number of right predictions; where samples may have several labels, all of which must be right.
  package var correct: Int {
    matrix?.correct ?? Int((accuracy * Double(count)).rounded())
  }

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
    coOccurrence = try container.decodeIfPresent([[Int]].self, forKey: .coOccurrence)
    meanAveragePrecision = try container.decodeIfPresent(
      Double.self, forKey: .meanAveragePrecision)
    microF1 = try container.decodeIfPresent(Double.self, forKey: .microF1)
    confusion =
      coOccurrence == nil ? try container.decode([[Int]].self, forKey: .confusion) : []
    independent = try container.decodeIfPresent(Int.self, forKey: .independent)
    remarks = try container.decodeIfPresent([String].self, forKey: .remarks) ?? []
    crossValidation = try container.decodeIfPresent(HeldOut.self, forKey: .crossValidation)
    calibration = try container.decodeIfPresent(CalibrationResult.self, forKey: .calibration)
    curves = try container.decodeIfPresent([PrecisionRecallCurve].self, forKey: .curves) ?? []
    decisions = try container.decodeIfPresent(DecisionResult.self, forKey: .decisions)
    thresholds = try container.decodeIfPresent([ChosenThreshold].self, forKey: .thresholds)
    costs = try container.decodeIfPresent(CostResult.self, forKey: .costs)
    if let coOccurrence {
      guard count > 0, !perClass.isEmpty, independent.map({ $0 > 0 }) ?? true,
        (0...1).contains(accuracy), perClass.allSatisfy({ $0.counts != nil }),
        ConfusionMatrix.isPossible(coOccurrence, classes: perClass.count)
      else {
        throw DecodingError.dataCorruptedError(
          forKey: .coOccurrence, in: container,
          debugDescription: "does not fit \(perClass.count) classes and \(count) samples")
      }
      return
    }
    guard count > 0, !perClass.isEmpty,
      independent.map({ $0 > 0 }) ?? true,
      crossValidation.map({ $0.count > 0 && (0...$0.count).contains($0.correct) }) ?? true,
      ConfusionMatrix.isPossible(confusion, classes: perClass.count),
      confusion.allSatisfy({ $0.allSatisfy { $0 <= count } }), matrix?.total == count
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
    if severalLabels {
      try container.encode(meanAveragePrecision, forKey: .meanAveragePrecision)
      try container.encode(microF1, forKey: .microF1)
      try container.encode(coOccurrence, forKey: .coOccurrence)
    } else {
      try container.encode(confusion, forKey: .confusion)
    }
    try container.encodeIfPresent(independent, forKey: .independent)
    if !remarks.isEmpty { try container.encode(remarks, forKey: .remarks) }
    try container.encodeIfPresent(crossValidation, forKey: .crossValidation)
    try container.encodeIfPresent(calibration, forKey: .calibration)
    if !curves.isEmpty { try container.encode(curves, forKey: .curves) }
    try container.encodeIfPresent(thresholds, forKey: .thresholds)
    try container.encodeIfPresent(decisions, forKey: .decisions)
    try container.encodeIfPresent(costs, forKey: .costs)
  }

  static func check(
    _ scores: Tensor<Float>, _ labels: Int, _ names: [String], split: String, what: String
  ) throws {
    precondition(
      scores.shape == [labels, names.count],
      "\(what) are \(scores.shape), expected [\(labels), \(names.count)].")
    guard labels > 0 else { throw TrainingError.noSamples(split: split) }
    let bad = scores.withUnsafeElements { $0.firstIndex { !$0.isFinite } }
    if let bad { throw TrainingError.nonFinite(what: what, sample: bad / names.count) }
  }
}
