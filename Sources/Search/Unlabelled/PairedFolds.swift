// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawInference
import ThawTensors
import ThawTraining

/// Two ways to train compared on the same held-out photos, where one of them has variants to choose from.
///
/// A variant that was chosen because it did best on the photos that judge it looks better than it is. So the photos of
/// a fold are judged under the variant that did best on those of the others.
package struct PairedFolds {
  /// Without help.
  package let without: UnlabelledResult.Judged
  /// With the variant that the other folds chose.
  package let with: UnlabelledResult.Judged
  /// Each variant by itself.
  package let candidates: [UnlabelledResult.Judged]
  /// The variant that did best on all.
  package let best: Int
  /// Mean of the differences of the losses, above 0 where help lowers them.
  package let gain: Double
  /// Its standard error; photos of one picture count as one.
  package let error: Double

  /// How many standard errors a gain must be worth.
  static let clearly = 2.0

  /// Whether help is worth it: the loss is clearly lower, and no fewer answers are right.
  package var isHelp: Bool { gain > Self.clearly * error && with.accuracy >= without.accuracy }

  /// - Parameters:
  ///   - folds: of each photo.
  ///   - groups: photos that show one picture, every photo once.
  ///   - without: logits [photos, classes] of heads that have not seen the photo's fold.
  ///   - with: of each variant.
  package init(
    folds: [Int], labels: [Int], groups: [[Int]], without: [Float], with: [[Float]], classes: Int
  ) {
    func outcome(_ logits: [Float]) -> Outcome {
      Outcome(logits, folds: folds, labels: labels, classes: classes)
    }
    let base = outcome(without)
    let variants = with.map(outcome)
    let chosen = folds.map { fold in
      variants.indices.min {
        variants[$0].loss(where: { folds[$0] != fold })
          < variants[$1].loss(where: { folds[$0] != fold })
      } ?? 0
    }
    let mixed = Outcome(
      losses: folds.indices.map { variants[chosen[$0]].losses[$0] },
      right: folds.indices.map { variants[chosen[$0]].right[$0] })
    self.without = base.judged
    self.with = mixed.judged
    candidates = variants.map(\.judged)
    best = variants.indices.min { variants[$0].judged.loss < variants[$1].judged.loss } ?? 0
    let differences = zip(base.losses, mixed.losses).map { $0 - $1 }
    let mean = differences.reduce(0, +) / Double(max(differences.count, 1))
    gain = mean
    let squares = groups.map { group in
      let excess = group.reduce(0.0) { $0 + differences[$1] - mean }
      return excess * excess
    }.reduce(0, +)
    let count = Double(groups.count)
    error =
      count > 1
      ? (squares * count / (count - 1)).squareRoot() / Double(differences.count) : .infinity
  }

  /// What one way made of the photos.
  private struct Outcome {
    let losses: [Double]
    let right: [Bool]

    init(losses: [Double], right: [Bool]) { (self.losses, self.right) = (losses, right) }

    /// The loss of each photo under the temperature that fits the other folds.
    init(_ logits: [Float], folds: [Int], labels: [Int], classes: Int) {
      var losses = [Double](repeating: 0, count: labels.count)
      func rows(_ photos: [Int]) -> Tensor<Float> {
        Tensor(
          photos.flatMap { logits[$0 * classes..<($0 + 1) * classes] },
          shape: [photos.count, classes])
      }
      for fold in Set(folds) {
        let own = folds.indices.filter { folds[$0] == fold }
        let others = folds.indices.filter { folds[$0] != fold }
        let scale =
          others.isEmpty
          ? 1 : Temperature.fitted(rows(others), labels: others.map { labels[$0] }).value
        for photo in own {
          let scores = logits[photo * classes..<(photo + 1) * classes].map { Double($0) / scale }
          let maximum = scores.max() ?? 0
          losses[photo] =
            log(scores.reduce(0) { $0 + exp($1 - maximum) }) + maximum - scores[labels[photo]]
        }
      }
      self.losses = losses
      right = zip(Probabilities.predictions(rows(Array(labels.indices))), labels).map { $0 == $1 }
    }

    func loss(where isIncluded: (Int) -> Bool) -> Double {
      losses.indices.reduce(0) { $0 + (isIncluded($1) ? losses[$1] : 0) }
    }

    var judged: UnlabelledResult.Judged {
      let count = Double(max(losses.count, 1))
      return UnlabelledResult.Judged(
        accuracy: Double(right.count { $0 }) / count, loss: losses.reduce(0, +) / count)
    }
  }
}
