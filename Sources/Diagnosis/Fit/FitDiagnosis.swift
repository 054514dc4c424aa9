// SPDX-License-Identifier: Apache-2.0

import ThawConsole
package import ThawTraining

/// What the losses of a training's epochs say about it, with the advice that follows.
package struct FitHint: Sendable, Equatable, Codable {
  /// What is the matter.
  package enum Kind: String, Sendable, Codable, CaseIterable {
    /// The training loss jumps or swings.
    case learningRateTooHigh = "learning_rate_too_high"
    /// What is learned does not carry over to the validation photos.
    case overfitting
    /// It was still getting better when it ended.
    case underfitting
    /// The training loss has stopped falling before the photos are learned.
    case plateau
  }
  /// What is the matter.
  package let kind: Kind
  /// The epoch that shows it best, 0-based.
  package let epoch: Int
  /// Evidence and advice, as sentences.
  package let message: String
}

/// Reads the history of a training. A hint is a hint: the thresholds are round numbers that leave a
/// healthy run alone.
package enum FitDiagnosis {
  /// A training loss this many times the lowest before it is a jump.
  package static let jump = 1.5
  /// Below this a training loss may jump as it likes: the right class has four fifths of the probability
  /// and more, the photos are learned, and what is left is noise of augmentation.
  package static let noise = 0.2
  /// The same of a jump that later epochs make good: warming up a rate may do that to a trained head.
  package static let passing = 0.5
  /// A learning rate this many times that of the epoch before is a restart, or a new phase: the
  /// training loss may jump there.
  package static let restart = 1.5
  /// A rise by more than this share from one epoch to the next counts as a swing...
  package static let swing = 0.05
  /// ...and swings in this share of all epochs, of at least five, as unsteady.
  package static let swingShare = 1.0 / 3
  /// A validation loss this many times its lowest, two epochs ago or earlier, has turned.
  package static let turn = 1.1
  /// A training accuracy this far above the validation accuracy of the same epoch is a gap. (Dropout
  /// and augmentation lower the former, so with them the true gap is wider.)
  package static let gap = 0.1
  /// Below this training accuracy photos are left to be learned.
  package static let learned = 0.95
  /// A validation loss that fell by this share in the last epoch is still getting better.
  package static let progress = 0.02
  /// A training loss that fell by less than this share in ``window`` epochs stands still.
  package static let standstill = 0.01
  /// Epochs over which a standstill is judged.
  package static let window = 5

  /// The hints, the gravest first: too high a rate, then overfitting, underfitting, plateau. Empty for
  /// a healthy run, and for one of fewer than three epochs.
  ///
  /// - Parameter isHeadAlone: whether the head alone trained, to which advice about thawed layers is
  ///   of no use.
  package static func hints(_ history: [EpochRecord], isHeadAlone: Bool = false) -> [FitHint] {
    guard history.count >= 3 else { return [] }
    return [
      learningRateTooHigh(history), overfitting(history, isHeadAlone),
      underfitting(history, isHeadAlone), plateau(history, isHeadAlone),
    ].compactMap { $0 }
  }

  private static func learningRateTooHigh(_ history: [EpochRecord]) -> FitHint? {
    let advice = "Lower the learning rate (find-lr suggests one) or warm it up."
    var lowest = history[0].trainLoss
    var rises = 0
    for (index, record) in history.enumerated().dropFirst() {
      let previous = history[index - 1]
      if isRestart(record, after: previous) {
        lowest = record.trainLoss
        continue
      }
      let isMadeGood = history[index...].contains { $0.trainLoss <= lowest }
      if record.trainLoss > max(jump * lowest, isMadeGood ? passing : noise) {
        return FitHint(
          kind: .learningRateTooHigh, epoch: record.epoch,
          message: "The training loss jumped from \(text(lowest)) to \(text(record.trainLoss)) in"
            + " epoch \(record.epoch + 1). \(advice)")
      }
      lowest = min(lowest, record.trainLoss)
      if record.trainLoss > max((1 + swing) * previous.trainLoss, noise) { rises += 1 }
    }
    guard history.count >= 5, Double(rises) >= swingShare * Double(history.count - 1) else {
      return nil
    }
    return FitHint(
      kind: .learningRateTooHigh, epoch: history[history.count - 1].epoch,
      message: "The training loss rose in \(rises) of \(history.count - 1) epochs. \(advice)")
  }

  private static func isRestart(_ record: EpochRecord, after previous: EpochRecord) -> Bool {
    (record.learningRates.max() ?? 0) > restart * (previous.learningRates.max() ?? 0)
  }

  private static func overfitting(_ history: [EpochRecord], _ isHeadAlone: Bool) -> FitHint? {
    let last = history[history.count - 1]
    let advice =
      "Use more photos, stronger augmentation\(isHeadAlone ? "" : ",")"
      + (isHeadAlone ? " or more weight decay" : " more weight decay or fewer thawed layers")
      + "; the weights of the best epoch are kept."
    let valid = history.filter { $0.validLoss != nil }
    if let best = valid.min(by: { ($0.validLoss ?? 0) < ($1.validLoss ?? 0) }),
      let lowest = best.validLoss, let loss = last.validLoss, last.epoch - best.epoch >= 2,
      loss > turn * lowest, last.trainLoss < best.trainLoss
    {
      return FitHint(
        kind: .overfitting, epoch: best.epoch,
        message:
          "The validation loss was lowest in epoch \(best.epoch + 1) (\(text(lowest))) and has"
          + " risen to \(text(loss)) while the training loss fell on. \(advice)")
    }
    guard let accuracy = last.validAccuracy, last.trainAccuracy - accuracy > gap else { return nil }
    return FitHint(
      kind: .overfitting, epoch: last.epoch,
      message: "Training accuracy is \(percent(last.trainAccuracy)), validation accuracy"
        + " \(percent(accuracy)). \(advice)")
  }

  private static func underfitting(_ history: [EpochRecord], _ isHeadAlone: Bool) -> FitHint? {
    let (before, last) = (history[history.count - 2], history[history.count - 1])
    guard let loss = last.validLoss, let previous = before.validLoss,
      loss < (1 - progress) * previous, last.trainAccuracy < learned,
      last.trainAccuracy - (last.validAccuracy ?? last.trainAccuracy) <= gap
    else { return nil }
    return FitHint(
      kind: .underfitting, epoch: last.epoch,
      message: "The validation loss still fell in the last epoch (\(text(previous)) to"
        + " \(text(loss))) and training accuracy is \(percent(last.trainAccuracy)). Train for more"
        + " epochs, raise the learning rate or \(isHeadAlone ? fineTuning : "thaw more layers").")
  }

  private static func plateau(_ history: [EpochRecord], _ isHeadAlone: Bool) -> FitHint? {
    guard history.count > window else { return nil }
    let (before, last) = (history[history.count - 1 - window], history[history.count - 1])
    guard last.trainAccuracy < learned,
      abs(before.trainLoss - last.trainLoss) < standstill * before.trainLoss
    else { return nil }
    return FitHint(
      kind: .plateau, epoch: before.epoch,
      message: "The training loss has stood at \(text(last.trainLoss)) for \(window) epochs with"
        + " training accuracy \(percent(last.trainAccuracy)). Either \(isHeadAlone ? fineTuning : "thaw more layers"),"
        + " or try a higher learning rate with restarts.")
  }

  /// What comes after the head.
  private static let fineTuning = "fine-tune the backbone, too"

  private static func percent(_ share: Double) -> String { Format.percent(share) }
  private static func text(_ loss: Double) -> String { "\((loss * 1000).rounded() / 1000)" }
}
