// SPDX-License-Identifier: Apache-2.0

/// Whether a network knows the photos at hand because it was trained on them.
///
/// It decides what may be said about fixes: the head of a network gets photos right that it learned
/// by heart, and would go on doing so under any statistics. Photos that were learned leave traces. A
/// head solved by cross-validation on the same features has not seen them; a network that does far
/// better than that, in either learning phase, remembers. One whose backbone was trained too may
/// have features that remember; then photos are also shown mirrored, which changes nothing about
/// photos that were never seen.
package struct Familiarity: Sendable, Equatable, Codable {
  package enum Answer: String, Sendable, Codable {
    /// It was trained on them.
    case seen
    /// It was not, or has not learned them.
    case unseen
    /// Neither can be said; treated as seen.
    case unknown
  }

  package let answer: Answer
  /// Why, a clause: `it gets 99.6 % of them right, …`.
  package let reason: String
  /// Whether the user said so.
  package let isSaid: Bool

  /// What the user said.
  package init(said isSeen: Bool) {
    answer = isSeen ? .seen : .unseen
    reason = "as was said with --seen \(isSeen ? "yes" : "no")"
    isSaid = true
  }

  /// Photos from a folder or split that is known for training, or for not being so.
  package init(_ answer: Answer, because reason: String) {
    (self.answer, self.reason, isSaid) = (answer, reason, false)
  }

  /// Looks for traces.
  ///
  /// - Parameters:
  ///   - inference: the photos on running statistics.
  ///   - training: the same on batch statistics.
  ///   - solved: the same by a head that has not seen them, on the features of inference.
  ///   - mirrored: photos flipped left to right, in the phase that does better; nil when the
  ///     backbone never trained and its features cannot remember.
  package init(
    inference: PhotoResults, training: PhotoResults, solved: PhotoResults, mirrored: PhotoResults?
  ) {
    let best = training.accuracy > inference.accuracy ? training : inference
    let against = PairedLosses(first: solved, second: best)
    let changed = Double(max(against.gained + against.lost, 1)).squareRoot()
    let surplus = Double(against.gained - against.lost) / changed
    let scores =
      "\(Familiarity.percent(best.accuracy)) of them right where a head that has not seen them"
      + " reaches \(Familiarity.percent(solved.accuracy)) on the same features"
    isSaid = false
    if surplus > 3, against.accuracyGain >= 0.1 || best.accuracy >= 0.97 {
      (answer, reason) = (.seen, "it gets \(scores)")
      return
    }
    if against.difference > 4 * against.standardError, best.loss < solved.loss / 4,
      best.accuracy >= 0.97
    {
      (answer, reason) = (.seen, "it is far surer of them than a head that has not seen them")
      return
    }
    if let mirrored {
      let flip = PairedLosses(first: mirrored, second: best)
      if flip.difference > 3 * flip.standardError, best.loss < mirrored.loss * 0.8 {
        (answer, reason) = (
          .seen, "it is surer of the photos as they are than of the same photos mirrored"
        )
        return
      }
      guard solved.accuracy < 0.95, surplus < 1 else {
        (answer, reason) = (
          .unknown, "its backbone was trained too, and may know them or just be good at them"
        )
        return
      }
    }
    guard surplus < 1.5 || against.accuracyGain < 0.02 else {
      (answer, reason) = (.unknown, "it gets \(scores): more photos like them, or these")
      return
    }
    (answer, reason) = (.unseen, "it gets no more than \(scores)")
  }

  private static func percent(_ share: Double) -> String {
    "\((share * 1000).rounded() / 10) %"
  }
}
