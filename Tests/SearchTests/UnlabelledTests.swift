// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawSearch
import ThawTensors

/// Which answers are taken for labels, and when they count as help.
struct UnlabelledTests {
  @Test func sureAnswersAreTakenAndNoClassOutweighsItsLabels() {
    // Photos 0 to 5 are answered with class 0, 6 and 7 with class 1, 8 with class 2 but unsurely.
    let rows: [[Float]] =
      (0..<6).map { [0.8 + 0.01 * Float($0), 0.1, 0.1] } + [[0.05, 0.9, 0.05], [0.1, 0.85, 0.05]]
      + [[0.3, 0.3, 0.4]]
    let probabilities = Tensor(rows.flatMap { $0 }, shape: [9, 3])
    let labels = PseudoLabels(probabilities, above: 0.8, weight: 1, labelled: [3, 4, 2])
    #expect(labels.classes[0].photos == [0, 1, 2, 3, 4, 5])
    #expect(labels.classes[1].photos == [6, 7])
    #expect(labels.classes[2].photos.isEmpty && labels.classes[2].turn == 0)
    // Six weigh as much as the three with labels; two do not weigh more than two.
    #expect(labels.classes[0].share == 0.5 && labels.classes[0].turn == 3)
    #expect(labels.classes[1].share == 1 && labels.classes[1].turn == 2)
    #expect(labels.count == 8)
    let fewer = PseudoLabels(probabilities, above: 0.845, weight: 3, labelled: [3, 4, 2])
    #expect(fewer.classes.map(\.photos) == [[5], [6, 7], []])
  }

  /// Logits that are right for the photos of `right`, sure by `margin`.
  private func logits(_ labels: [Int], right: (Int) -> Bool, margin: Float) -> [Float] {
    labels.enumerated().flatMap { photo, label -> [Float] in
      let winner = right(photo) ? label : 1 - label
      return winner == 0 ? [margin, 0] : [0, margin]
    }
  }

  private let labels = (0..<60).map { $0 % 2 }
  private var folds: [Int] { labels.indices.map { $0 / 12 } }

  private func compared(_ without: [Float], _ with: [[Float]], groups: [[Int]]? = nil)
    -> PairedFolds
  {
    PairedFolds(
      folds: folds, labels: labels, groups: groups ?? labels.indices.map { [$0] },
      without: without, with: with, classes: 2)
  }

  @Test func whatIsClearlyBetterIsHelp() {
    let without = logits(labels, right: { $0 % 5 > 1 }, margin: 2)
    let with = logits(labels, right: { $0 % 5 > 0 }, margin: 2)
    let verdict = compared(without, [without, with])
    #expect(verdict.isHelp && verdict.best == 1)
    #expect(abs(verdict.without.accuracy - 0.6) < 1e-12)
    #expect(abs(verdict.with.accuracy - 0.8) < 1e-12)
    #expect(abs(verdict.gain - (verdict.without.loss - verdict.with.loss)) < 1e-12)
    // The other way round it is none.
    let worse = compared(with, [without])
    #expect(!worse.isHelp && worse.gain < 0)
    // The same answers are neither.
    #expect(compared(with, [with]).gain == 0 && !compared(with, [with]).isHelp)
  }

  /// Sixty photos of six pictures say no more than six.
  @Test func copiesSayNothingOfTheirOwn() {
    let without = logits(labels, right: { $0 % 5 > 1 }, margin: 2)
    let with = logits(labels, right: { $0 / 10 != 0 && $0 % 5 > 1 || $0 / 10 == 0 }, margin: 2)
    let alone = compared(without, [with])
    let grouped = compared(without, [with], groups: (0..<6).map { Array($0 * 10..<$0 * 10 + 10) })
    #expect(grouped.error > 1.5 * alone.error)
    #expect(abs(grouped.gain - alone.gain) < 1e-12)
    #expect(!grouped.isHelp)
  }

  /// Each of many variants that are no better than nothing is luckiest somewhere; none of them is chosen by the
  /// photos that judge it.
  @Test func luckIsNoHelp() {
    var kept = 0
    for seed in 0..<40 {
      var stream = RandomStream(seed: UInt64(seed), purpose: .resampling)
      func guesses() -> [Float] {
        let isRight = labels.map { _ in stream.uniform(in: 0...1) < 0.7 }
        return logits(labels, right: { isRight[$0] }, margin: 2)
      }
      let without = guesses()
      let verdict = compared(without, (0..<6).map { _ in guesses() })
      kept += verdict.isHelp ? 1 : 0
      // What was chosen on the whole looks at least as good as what the other folds chose.
      let best = verdict.candidates[verdict.best]
      #expect(best.loss <= verdict.with.loss + 1e-9)
    }
    #expect(kept <= 6, "\(kept) of 40")
  }
}
