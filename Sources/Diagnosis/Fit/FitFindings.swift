// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What `thaw diagnose fit` found: plain values, as they are printed and kept in a run.
public struct FitFindings: Sendable, Equatable, Codable {
  /// What the error mostly comes from.
  public enum Status: String, Sendable, Codable {
    /// Nothing worth working on.
    case healthy
    /// The training photos themselves are not learned.
    case bias
    /// What is learned does not carry over to other photos of the same kind.
    case variance
    /// The held-out photos are of another kind.
    case mismatch
    /// Training cannot fit even a few photos.
    case broken
    /// Too few photos, or none of a known split.
    case undecided
  }

  /// Training on one small batch until it is learned by heart.
  public struct OverfitTest: Sendable, Equatable, Codable {
    /// Photos in the batch.
    public var photos: Int
    /// Layer groups that trained.
    public var groups: [String]
    /// Steps made.
    public var steps: Int
    /// Loss with a fresh head.
    public var firstLoss: Double
    /// Loss after the last step, as in inference.
    public var loss: Double
    /// Whether the batch was learned.
    public var passed: Bool
    /// What that means.
    public var meaning: String

    /// Collects the numbers and says what they mean.
    public init(photos: Int, groups: [String], steps: Int, firstLoss: Double, loss: Double) {
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
    public static let learned = 0.02
  }

  /// A photo whose label may be wrong, or that is hard.
  public struct Photo: Sendable, Equatable, Codable {
    /// As in the manifest.
    public var path: String
    /// Its split; nil when unknown.
    public var split: String?
    /// Its label.
    public var label: String
    /// What the witnesses say it is.
    public var suggestion: String
    /// -log of the label's cross-validated probability.
    public var loss: Double
    /// See ``LabelSuspicion/Case/score``.
    public var score: Double
    /// Share of the nearest neighbours with the label.
    public var neighbourShare: Double
    /// Whether both witnesses contradict the label clearly.
    public var isSuspicious: Bool

    /// Collects the numbers.
    public init(
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
  public var verdict: String
  /// The same as a word.
  public var status: Status
  /// What to try, in this order.
  public var next: [String]
  /// Error on the training photos, 0 to 1; nil when not known.
  public var trainingError: Double?
  /// Error on training photos the head was not fitted to.
  public var crossValidatedError: Double?
  /// Error on the held-out photos.
  public var validationError: Double?
  /// Name of the held-out split.
  public var heldOut: String?
  /// Photos in both.
  public var trainingCount: Int
  /// Photos held out.
  public var validationCount: Int
  /// The parts of the error.
  public var parts: BiasVariance
  /// Whether the splits can be told apart; nil without two.
  public var splits: SplitMismatch?
  /// The overfit-one-small-batch test; nil when it was not asked for.
  public var overfitTest: OverfitTest?
  /// The photos with the most suspicious labels, worst first.
  public var labels: [Photo]
  /// How many of all photos are suspicious.
  public var suspiciousCount: Int
  /// What the training's own curves say.
  public var hints: [String]
  /// What else the reader should know.
  public var notes: [String]
  /// Where the contact sheet is.
  public var sheet: String?
  /// Where the table of all photos is.
  public var table: String?

  /// Draws the conclusions.
  ///
  /// - Parameters:
  ///   - humanError: nil when nobody measured it; 0 is assumed and said.
  ///   - labels: the most suspicious photos.
  public init(
    parts: BiasVariance, humanError: Double?, heldOut: String?, splits: SplitMismatch?,
    overfitTest: OverfitTest?, labels: [Photo], suspiciousCount: Int, hints: [String]
  ) {
    self.parts = parts
    self.splits = splits
    self.overfitTest = overfitTest
    self.labels = labels
    self.suspiciousCount = suspiciousCount
    self.hints = hints
    self.heldOut = heldOut
    trainingError = parts.training?.error
    crossValidatedError = parts.crossValidated?.error
    validationError = parts.validation?.error
    trainingCount = parts.training?.count ?? 0
    validationCount = parts.validation?.count ?? 0
    let conclusion = FitConclusion(
      parts, splits: splits, overfitTest: overfitTest, heldOut: heldOut,
      suspicious: suspiciousCount)
    status = conclusion.status
    verdict = conclusion.verdict
    next = conclusion.next
    notes =
      humanError == nil
      ? ["Human-level error was not given and is taken as 0: give --human-error if people err too."]
      : []
  }
}
