// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawTensors

extension Evaluation {
  /// Judges the probabilities of samples that may have several labels.
  ///
  /// Unknown labels are left out of every number. A class whose labels are all unknown has zeros, and
  /// neither average precision nor AUC.
  ///
  /// - Parameters:
  ///   - probabilities: [n, classes], each of its own.
  ///   - thresholds: from which probability on a sample gets each class.
  /// - Throws: ``TrainingError/noSamples(split:)``, ``TrainingError/nonFinite(what:sample:)``.
  package init(
    split: String, classNames: [String], probabilities: Tensor<Float>, targets: TargetRows,
    thresholds: [Float]
  ) throws {
    try Evaluation.check(
      probabilities, targets.count, classNames, split: split, what: "the probabilities")
    var (sum, known) = (0.0, 0)
    for index in targets.elements.indices where !targets.elements[index].isNaN {
      let yes = Double(probabilities[index])
      let right = targets.elements[index] >= 0.5 ? yes : 1 - yes
      sum -= log(max(right, Evaluation.smallestProbability))
      known += 1
    }
    self.init(
      split: split, classNames, probabilities, targets, thresholds,
      loss: max(sum, 0) / Double(max(known, 1)))
  }

  /// Judges logits: the loss is computed from them exactly, whatever their size.
  package init(
    split: String, classNames: [String], logits: Tensor<Float>, targets: TargetRows,
    thresholds: [Float]
  ) throws {
    try Evaluation.check(logits, targets.count, classNames, split: split, what: "the logits")
    let loss = logits.withUnsafeElements { elements in
      targets.elements.withUnsafeBufferPointer {
        SigmoidCrossEntropy().evaluate(
          elements, classes: classNames.count, targets: .probabilities($0), divisor: 1,
          gradient: nil)
      }
    }
    self.init(
      split: split, classNames, Probabilities.sigmoid(logits), targets, thresholds,
      loss: loss.mean)
  }

  /// Judges the logits of samples with either kind of labels; of several every threshold is a half.
  ///
  /// - Throws: as the others.
  package init(
    split: String, classNames: [String], logits: Tensor<Float>, labels: SampleLabels
  ) throws {
    switch labels {
    case .single(let labels):
      try self.init(split: split, classNames: classNames, logits: logits, labels: labels)
    case .several(let rows):
      try self.init(
        split: split, classNames: classNames, logits: logits, targets: rows,
        thresholds: [Float](repeating: LabelThresholds.ordinary, count: classNames.count))
    }
  }

  private init(
    split: String, _ names: [String], _ scores: Tensor<Float>, _ targets: TargetRows,
    _ thresholds: [Float], loss: Double
  ) {
    precondition(
      thresholds.count == names.count,
      "\(thresholds.count) thresholds do not fit \(names.count) classes.")
    let perClass = names.indices.map { column -> ClassResult in
      let (own, isPositive) = targets.known(column, scores)
      let counts = BinaryCounts(
        scores: own, isPositive: isPositive, threshold: thresholds[column])
      return ClassResult(
        name: names[column], count: counts.positives, precision: counts.precision ?? 0,
        recall: counts.recall ?? 0, f1: counts.f1 ?? 0,
        averagePrecision: RankingMetrics.averagePrecision(scores: own, isPositive: isPositive),
        auc: RankingMetrics.areaUnderCurve(scores: own, isPositive: isPositive),
        threshold: thresholds[column], counts: counts)
    }
    let exact = (0..<targets.count).count { row in
      names.indices.allSatisfy { column in
        let answer = scores[row * names.count + column] >= thresholds[column]
        return targets.label(row, column).map { $0 == answer } ?? true
      }
    }
    var all = BinaryCounts()
    for result in perClass { if let counts = result.counts { all += counts } }
    self.init(
      split: split, count: targets.count, accuracy: Double(exact) / Double(targets.count),
      loss: loss, macroF1: Evaluation.mean(perClass.compactMap { $0.counts?.f1 }) ?? 0,
      auc: Evaluation.mean(perClass.compactMap(\.auc)), perClass: perClass)
    meanAveragePrecision = Evaluation.mean(perClass.compactMap(\.averagePrecision))
    microF1 = all.f1 ?? 0
    coOccurrence = targets.coOccurrence
  }

  private static func mean(_ values: [Double]) -> Double? {
    values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
  }
}

extension TargetRows {
  /// How many samples have both of two classes, [class][class].
  package var coOccurrence: [[Int]] {
    var counts = [[Int]](repeating: [Int](repeating: 0, count: classes), count: classes)
    for row in 0..<count {
      let own = (0..<classes).filter { label(row, $0) == true }
      for one in own { for other in own { counts[one][other] += 1 } }
    }
    return counts
  }
}
