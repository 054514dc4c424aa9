// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawFiles

/// What photos without labels were worth to a head: how many there were, which of them were used, and what
/// cross-validation over the labelled training photos said of it.
package struct UnlabelledResult: Codable, Sendable, Equatable {
  /// Photos that were left out, by the reason.
  package struct LeftOut: Codable, Sendable, Equatable {
    /// Cannot be decoded.
    package var broken = 0
    /// Of the same contents as another one of the folder.
    package var repeated = 0
    /// Show the picture of a validation or test photo.
    package var ofHeldOut = 0
    /// Show the picture of a training photo, which has a label.
    package var ofTraining = 0
    /// Unlike anything that the run was trained on; nil when that cannot be told.
    package var unlike: Int? = 0

    /// None.
    package init() {}
  }

  /// How a head did on labelled photos that it had not seen.
  package struct Judged: Codable, Sendable, Equatable {
    /// Share of right answers.
    package let accuracy: Double
    /// Mean loss of its calibrated probabilities.
    package let loss: Double

    package init(accuracy: Double, loss: Double) {
      (self.accuracy, self.loss) = (accuracy, loss)
    }
  }

  /// A way to use the photos.
  package struct Candidate: Codable, Sendable, Equatable {
    /// The calibrated probability from which on an answer is taken for a label.
    package let confidence: Double
    /// How many times the labelled photos of a class those without labels may weigh together.
    package let weight: Double
    /// Photos that it uses.
    package var used: Int
    /// See ``Judged``.
    package var judged: Judged

    package init(confidence: Double, weight: Double, used: Int, judged: Judged) {
      self.confidence = confidence
      self.weight = weight
      self.used = used
      self.judged = judged
    }
  }

  /// Photos of a class.
  package struct ClassCount: Codable, Sendable, Equatable {
    /// The class.
    package let name: String
    /// Photos that were taken for it.
    package let count: Int

    package init(name: String, count: Int) { (self.name, self.count) = (name, count) }
  }

  /// Hash of the photos and of how they are used.
  package var key: String
  /// Files that should be photos.
  package var found: Int
  /// See ``LeftOut``.
  package var leftOut: LeftOut
  /// Labelled photos that judged.
  package var judges: Int
  /// Without the photos; nil when nothing could be judged.
  package var without: Judged?
  /// With them, each labelled photo judged under the candidate that the others chose.
  package var with: Judged?
  /// By how much they lower the loss, its standard error over pictures; nil when nothing was judged.
  package var gain: Double?
  /// See ``gain``.
  package var error: Double?
  /// What was tried.
  package var candidates: [Candidate]
  /// Whether the head is the one with their help: otherwise it is what it was, to the bit.
  package var isKept: Bool
  /// Photos by the class that they were taken for; empty when they are not used.
  package var classes: [ClassCount]
  /// The candidate that is used, or would be.
  package var chosen: Candidate?

  package init(key: String, found: Int, leftOut: LeftOut) {
    (self.key, self.found, self.leftOut) = (key, found, leftOut)
    judges = 0
    candidates = []
    isKept = false
    classes = []
  }

  /// Photos that were used.
  package var used: Int { classes.reduce(0) { $0 + $1.count } }

  /// For people, a paragraph.
  package var text: String {
    "\(verdict) \(counted(found, "photo")) without a label"
      + (reasons.isEmpty ? "." : "; \(reasons).")
  }

  private var verdict: String {
    guard let without, let with, let gain, let error else {
      return "Photos without labels were not used: \(problem)"
    }
    let numbers =
      "loss \(Format.fixed(without.loss, 4)) without and \(Format.fixed(with.loss, 4)) with them (lower by"
      + " \(Format.fixed(gain, 4)), standard error \(Format.fixed(error, 4))), accuracy"
      + " \(Format.percent(without.accuracy)) and \(Format.percent(with.accuracy)), by cross-validation over"
      + " \(counted(judges, "labelled training photo"))."
    guard isKept, let chosen else {
      return "Photos without labels did not help, and the head stays as it was: \(numbers)"
    }
    let shares = classes.map { "\($0.name) \($0.count)" }.joined(separator: ", ")
    return
      "\(counted(used, "photo")) without a label help the head (confidence from \(Format.percent(chosen.confidence)),"
      + " weight \(Format.significant(chosen.weight)); \(shares)): \(numbers)"
  }

  private var problem: String {
    candidates.isEmpty && judges == 0
      ? "none is left, or there are too few labelled photos to judge by."
      : "no answer is sure enough."
  }

  /// Why photos were left out.
  private var reasons: String {
    let unlike =
      leftOut.unlike.map { [($0, "unlike anything it was trained on")] } ?? []
    let all =
      [
        (leftOut.broken, "broken"), (leftOut.repeated, "there twice"),
        (leftOut.ofHeldOut, "copies of photos held out"),
        (leftOut.ofTraining, "copies of training photos"),
      ] + unlike
    let texts = all.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
    return texts.isEmpty ? "" : "left out: " + texts.joined(separator: ", ")
  }
}
