// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawConsole
import ThawDiagnosis
import ThawTraining

/// Whether the numbers of an evaluation suggest that the classes stand in another order than the
/// network's outputs.
///
/// Two signs: another assignment of names to outputs is right on most photos and better than any
/// of 99 draws; or fewer photos are right than would be if labels and predictions had nothing to do
/// with each other.
struct ClassOrderRemarks {
  /// How the order was assumed, as a sentence; nil when it is known.
  let assumption: String?
  /// What speaks against the order, for people, each with a way out.
  let findings: [String]

  /// - Parameter assumed: how the order of the classes was assumed; nil when it is known.
  init(_ evaluation: Evaluation, assumed: String?) {
    var sentences: [String] = []
    assumption = assumed.map {
      "The order of the classes is assumed (\($0)); the file does not say it."
    }
    // Of several labels a photo there is no confusion to look at.
    guard !evaluation.severalLabels else {
      findings = []
      return
    }
    let (labels, predictions) = ClassOrderRemarks.samples(evaluation)
    let names = evaluation.perClass.map(\.name)
    if let best = LabelAssignment.clear(labels: labels, predictions: [predictions], seed: 0),
      !ClassOrderRemarks.isUnsure(evaluation)
    {
      let moved = best.moved.sorted { $0.key < $1.key }.prefix(6).map {
        "'\(names[$0.key])' is predicted as '\(names[$0.value])'"
      }
      sentences.append(
        "The classes seem to stand in another order than the outputs: with names exchanged"
          + " \(Format.percent(best.accuracy)) are right instead of"
          + " \(Format.percent(best.accuracyByName)) (\(moved.joined(separator: ", "))). Give the"
          + " outputs' order with --class-names FILE.")
    } else if ClassOrderRemarks.isBelowChance(evaluation) {
      sentences.append(
        "Fewer photos are right (\(Format.percent(evaluation.accuracy))) than by chance"
          + " (\(Format.percent(ClassOrderRemarks.chance(evaluation)))): the order of the classes or"
          + " the preprocessing is wrong. See: thaw diagnose batchnorm")
    }
    findings = sentences
  }

  /// Whether a network of two or three classes is no surer of anything than one that guesses: its head
  /// was hardly trained, and has the classes on the wrong sides by accident.
  ///
  /// Sure answers under other names cost much more than guessing.
  private static func isUnsure(_ evaluation: Evaluation) -> Bool {
    let shares = evaluation.perClass.map { Double($0.count) / Double(evaluation.count) }
      .filter { $0 > 0 }
    let guessing = shares.reduce(0) { $0 - $1 * log($1) }
    return shares.count <= 3 && abs(evaluation.loss - guessing) < 0.1 * guessing
  }

  /// The confusion matrix as samples.
  private static func samples(_ evaluation: Evaluation) -> (labels: [Int], predictions: [Int]) {
    var (labels, predictions): ([Int], [Int]) = ([], [])
    for (label, row) in evaluation.confusion.enumerated() {
      for (prediction, count) in row.enumerated() where count > 0 {
        labels += [Int](repeating: label, count: count)
        predictions += [Int](repeating: prediction, count: count)
      }
    }
    return (labels, predictions)
  }

  /// Share of right predictions if labels and predictions had nothing to do with each other.
  private static func chance(_ evaluation: Evaluation) -> Double {
    let matrix = evaluation.confusion
    let total = Double(evaluation.count)
    return matrix.indices.reduce(0) { sum, index in
      let labels = matrix[index].reduce(0, +)
      let predictions = matrix.reduce(0) { $0 + $1[index] }
      return sum + Double(labels) / total * Double(predictions) / total
    }
  }

  /// Three standard deviations below, with twenty photos or more.
  private static func isBelowChance(_ evaluation: Evaluation) -> Bool {
    let (chance, count) = (chance(evaluation), Double(evaluation.count))
    guard count >= 20, chance > 0, chance < 1 else { return false }
    let deviation = (chance * (1 - chance) / count).squareRoot()
    return evaluation.accuracy < chance - 3 * deviation
  }
}
