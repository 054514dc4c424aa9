// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawFiles

/// Whether a network knows the photos at hand because it was trained on them.
///
/// It decides what may be said about fixes: the head of a network gets photos right that it learned
/// by heart, and would go on doing so under any statistics. Photos that were learned leave two traces.
///
/// - A head solved by cross-validation on the same features has not seen them. A network that does far
///   better than that remembers them, or was trained on many more like them.
/// - Mirrored photos are as likely as the photos themselves, unless just these were learned. A network
///   that is surer of nearly all photos as they are has seen them. (One that was trained on mirrored
///   photos as well shows nothing here.)
///
/// What somebody says about the photos is compared with the traces, and contradicted where they differ.
package struct Familiarity: Sendable, Equatable, Codable {
  package enum Answer: String, Sendable, Codable {
    /// It was trained on them.
    case seen
    /// It was not, or has not learned them.
    case unseen
    /// Neither can be said; treated as seen.
    case unknown
  }

  /// What is assumed; where the answer given and the traces differ, the one that promises less.
  package let answer: Answer
  /// Why, a clause: `it gets 99.6 % of them right, …`.
  package let reason: String
  /// Whether the user said so.
  package let isSaid: Bool
  /// What speaks against what was said or follows from the folders, a sentence; nil for nothing.
  package let contradiction: String?

  /// Photos below which traces are not looked for.
  package static let fewestPhotos = 40

  /// What the user said with `--seen`, held against the traces.
  package init(said isSeen: Bool, traces: Familiarity? = nil) {
    isSaid = true
    let option = "--seen \(isSeen ? "yes" : "no")"
    switch (isSeen, traces?.answer) {
    case (false, .seen):
      answer = .seen
      reason = traces?.reason ?? ""
      contradiction =
        "\(option) was given, but \(reason): it was trained on these photos, or on copies of them, and"
        + " what its own head gets right of them says little about others."
    case (true, .unseen):
      (answer, reason) = (.seen, "as was said with \(option)")
      contradiction =
        "\(option) was given, but \(traces?.reason ?? ""), as if it had not learned these photos."
    default:
      (answer, reason) = (isSeen ? .seen : .unseen, "as was said with \(option)")
      contradiction = nil
    }
  }

  /// Photos from a folder or split that is known for training, or for not being so, held against the
  /// traces.
  package init(_ answer: Answer, because reason: String, traces: Familiarity? = nil) {
    isSaid = false
    if answer == .unseen, let traces, traces.answer == .seen {
      (self.answer, self.reason) = (.seen, traces.reason)
      contradiction =
        "These photos should be new to the network, but \(traces.reason): the folders are swapped, or"
        + " these photos, or copies of them, were trained on as well. What its own head gets right of them"
        + " says little about others."
      return
    }
    (self.answer, self.reason) = (answer, reason)
    contradiction =
      answer == .seen && traces?.answer == .unseen
      ? "These should be its training photos, but \(traces?.reason ?? ""), as if it had not learned them."
      : nil
  }

  /// Looks for traces.
  ///
  /// - Parameters:
  ///   - best: the photos by the network's own head, under the statistics that suit it best.
  ///   - solved: the same by a head that has not seen them, on the best features.
  ///   - mirrored: photos flipped left to right, otherwise as ``best``.
  package init(best: PhotoResults, solved: PhotoResults, mirrored: PhotoResults) {
    (answer, reason) = Familiarity.traces(best, solved, mirrored)
    (isSaid, contradiction) = (false, nil)
  }

  /// The same where the network learned in batches of a few photos: the same photos never meet again, so
  /// that what it knows of them does not show under any statistics.
  package var hiddenByBatches: Familiarity {
    guard answer == .unseen else { return self }
    return Familiarity(
      .unknown,
      because: "its head learned in batches of a few photos, under whose statistics alone what it"
        + " knows of photos would show")
  }

  private static func traces(
    _ best: PhotoResults, _ solved: PhotoResults, _ mirrored: PhotoResults
  ) -> (Answer, String) {
    let against = PairedLosses(first: solved, second: best)
    let surer = PairedLosses(first: mirrored, second: best).surer
    guard against.count >= fewestPhotos else {
      return (
        .unknown,
        "\(counted(against.count, "photo")) \(against.count == 1 ? "is" : "are") too few to tell"
      )
    }
    let (own, other) = (Format.percent(best.accuracy), Format.percent(solved.accuracy))
    let scores =
      "it gets \(own) of them right and a head that has not seen them, on the same features, \(other)"
    let mirror = "it is surer of these photos than of the same photos mirrored"
    let isBetter =
      against.sigma > 3 && (against.accuracyGain >= 0.1 || best.accuracy >= 0.97)
    let isFarSurer =
      against.difference > 4 * against.standardError && best.loss < solved.loss / 4
      && best.accuracy >= 0.97
    if surer > 4.5 || (surer > 3 && (isBetter || isFarSurer)) {
      return (.seen, isBetter ? "\(scores), and \(mirror)" : mirror)
    }
    if isBetter || isFarSurer {
      return (
        .unknown,
        isBetter
          ? "\(scores): it learned them, or many more like them"
          : "it is far surer of them than a head that has not seen them: it learned them, or many more"
            + " like them"
      )
    }
    if surer > 2 { return (.unknown, "\(mirror), though hardly more than chance allows") }
    // However well it knew the photos, with so little left to know it could not show.
    let left = Double(against.count) * (1 - solved.accuracy)
    if left < 9, best.loss < solved.loss / 2 {
      return (.unknown, "they are so easy that knowing them makes little difference")
    }
    if against.sigma >= 1.5, against.accuracyGain >= 0.02 {
      return (.unknown, "\(scores), which chance or knowing them may have brought about")
    }
    return (.unseen, scores)
  }
}
