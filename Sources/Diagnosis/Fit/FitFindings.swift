// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawTraining

/// What `thaw diagnose fit` found: plain values, as they are printed and kept in a run.
package struct FitFindings: Sendable, Equatable, Codable {
  /// What the error mostly comes from.
  package enum Status: String, Sendable, Codable {
    /// Nothing worth working on.
    case healthy
    /// The training photos themselves are not learned.
    case bias
    /// The head is worse at the photos it learned than a new one at photos it has not seen.
    case head
    /// What is learned does not carry over to other photos of the same kind.
    case variance
    /// The held-out photos are of another kind.
    case mismatch
    /// The labels have nothing to do with what the network sees.
    case indistinct
    /// Training cannot fit even a few photos.
    case broken
    /// Too few photos, or none of a known split.
    case undecided
  }

  /// Training on one small batch until it is learned by heart.
  package struct OverfitTest: Sendable, Equatable, Codable {
    /// Photos in the batch.
    package var photos: Int
    /// Layer groups that trained.
    package var groups: [String]
    /// Steps made.
    package var steps: Int
    /// Loss with a fresh head.
    package var firstLoss: Double
    /// Loss after the last step, as in inference.
    package var loss: Double
    /// Whether the batch was learned.
    package var passed: Bool
    /// What that means.
    package var meaning: String

    /// Collects the numbers and says what they mean.
    package init(photos: Int, groups: [String], steps: Int, firstLoss: Double, loss: Double) {
      self.photos = photos
      self.groups = groups
      self.steps = steps
      self.firstLoss = firstLoss.isFinite ? firstLoss : 1e9
      self.loss = loss.isFinite ? loss : 1e9
      passed = loss.isFinite && loss < OverfitTest.learned
      meaning =
        passed
        ? "Loss, gradients and optimizer work together: errors come from data and model."
        : !loss.isFinite
          ? "The loss is not a number: look at the pixels' range (thaw diagnose preprocessing)."
          : "The network cannot learn even these few photos by heart. Photos may be the same under"
            + " two labels, the features may be dead or constant (thaw diagnose preprocessing,"
            + " gradients), or the training itself may be wrong."
    }

    /// A mean loss below this is learned by heart.
    package static let learned = 0.02
  }

  /// A photo whose label may be wrong, or that is hard.
  package struct Photo: Sendable, Equatable, Codable {
    /// As in the manifest.
    package var path: String
    /// Its split; nil when unknown.
    package var split: String?
    package var label: String
    /// What the witnesses say it is.
    package var suggestion: String
    /// -log of the label's cross-validated probability.
    package var loss: Double
    /// See ``LabelSuspicion/Case/score``.
    package var score: Double
    /// Share of the nearest neighbours with the label.
    package var neighbourShare: Double
    /// Whether both witnesses contradict the label clearly.
    package var isSuspicious: Bool

    /// Collects the numbers.
    package init(
      path: String, split: String?, label: String, suggestion: String, _ found: LabelSuspicion.Case
    ) {
      self.path = path
      self.split = split
      self.label = label
      self.suggestion = suggestion
      loss = found.loss
      score = found.score
      neighbourShare = found.neighbourShare
      isSuspicious = found.isSuspicious
    }
  }

  /// One sentence.
  package var verdict: String
  /// The same as a word.
  package var status: Status
  /// What can be won by it, a sentence; nil when nothing is to be won or that is not known.
  package var gain: String?
  /// What to try, in this order.
  package var next: [String]
  /// Error on the training photos, 0 to 1; nil when not known.
  package var trainingError: Double?
  /// Error on training photos the head was not fitted to.
  package var crossValidatedError: Double?
  /// Error on the held-out photos.
  package var validationError: Double?
  /// Name of the held-out split.
  package var heldOut: String?
  /// Photos in both.
  package var trainingCount: Int
  /// Photos held out.
  package var validationCount: Int
  /// The parts of the error.
  package var parts: BiasVariance
  /// Whether the labels can be told apart at all; nil when too few photos were cross-validated.
  package var signal: LabelSignal?
  /// Whether the splits can be told apart; nil without two.
  package var splits: SplitMismatch?
  /// The overfit-one-small-batch test; nil when it was not asked for.
  package var overfitTest: OverfitTest?
  /// The photos with the most suspicious labels, worst first.
  package var labels: [Photo]
  /// How many of all photos are suspicious.
  package var suspiciousCount: Int
  /// What the training's own curves say.
  package var hints: [String]
  /// What else the reader should know.
  package var notes: [String]
  /// Where the contact sheet is.
  package var sheet: String?
  /// Where the table of all photos is.
  package var table: String?

  /// Draws the conclusions.
  ///
  /// - Parameters:
  ///   - humanError: nil when nobody measured it; 0 is assumed and said.
  ///   - labels: the most suspicious photos.
  ///   - isHeadAlone: whether training changed the head alone, so that no layer was thawed.
  package init(
    parts: BiasVariance, humanError: Double?, heldOut: String?, splits: SplitMismatch?,
    overfitTest: OverfitTest?, labels: [Photo], suspiciousCount: Int, hints: [FitHint],
    signal: LabelSignal? = nil, isHeadAlone: Bool = false
  ) {
    self.parts = parts
    self.splits = splits
    self.overfitTest = overfitTest
    self.labels = labels
    self.suspiciousCount = suspiciousCount
    self.signal = signal
    self.heldOut = heldOut
    trainingError = parts.training?.error
    crossValidatedError = parts.crossValidated?.error
    validationError = parts.validation?.error
    trainingCount = parts.training?.count ?? 0
    validationCount = parts.validation?.count ?? 0
    let conclusion = FitConclusion(
      parts, splits: splits, overfitTest: overfitTest, heldOut: heldOut,
      suspicious: suspiciousCount, signal: signal, isHeadAlone: isHeadAlone)
    status = conclusion.status
    self.hints = conclusion.agreeing(hints).map(\.message)
    gain = conclusion.gain
    verdict = conclusion.verdict
    next = conclusion.next
    notes =
      humanError == nil
      ? ["Human-level error was not given and is taken as 0: give --human-error if people err too."]
      : []
  }
}
