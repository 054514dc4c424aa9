// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawFiles

/// What follows from the parts of an error: a verdict, what can be won, and what to try in which order.
struct FitConclusion {
  let status: FitFindings.Status
  let verdict: String
  private(set) var gain: String?
  let next: [String]

  init(
    _ parts: BiasVariance, splits: SplitMismatch?, overfitTest: FitFindings.OverfitTest?,
    heldOut: String?, suspicious: Int, signal: LabelSignal? = nil, isHeadAlone: Bool = false
  ) {
    let total = (parts.training?.count ?? 0) + (parts.validation?.count ?? 0)
    var advice: [String] = []
    let shareOfSuspects = total == 0 ? 0 : Double(suspicious) / Double(total)
    if suspicious >= 3, shareOfSuspects >= 0.02 {
      advice.append(
        "Look through the \(suspicious) suspicious labels first: every wrong one costs accuracy and"
          + " makes the measured error untrue.")
    }
    if let overfitTest, !overfitTest.passed {
      status = .broken
      verdict =
        "Training does not work: \(overfitTest.photos) photos could not be learned by heart (loss"
        + " \(FitConclusion.rounded(overfitTest.loss)) after \(overfitTest.steps) steps)."
      next = [overfitTest.meaning] + advice
      return
    }
    guard let validation = parts.validation ?? parts.crossValidated, total >= 20 else {
      status = .undecided
      verdict =
        "Cannot tell: \(counted(total, "photo")) of known splits \(total == 1 ? "is" : "are") too few."
      next = ["Give a run, or a folder with train and valid folders, and at least 20 photos."]
      return
    }
    if let signal, signal.isAbsent {
      status = .indistinct
      verdict =
        "The labels cannot be told apart by what this network sees: classifiers that have not seen the"
        + " photos err on \(FitConclusion.percent(signal.error)) of them, and always answering"
        + " '\(signal.commonest)' errs on \(FitConclusion.percent(signal.baselineError))."
      next = advice + [FitConclusion.advice(.indistinct, isHeadAlone)]
      return
    }
    let found = FitConclusion.significant(parts, splits)
    let doubt = signal.flatMap { $0.isPresent ? nil : FitConclusion.doubt($0) }
    next =
      advice + found.map { FitConclusion.advice($0.status, isHeadAlone) }
      + [doubt].compactMap(\.self)
    let errors = FitConclusion.errors(parts, heldOut: heldOut)
    if let first = found.first {
      status = first.status
      gain = FitConclusion.gain(first.status, parts)
      verdict = FitConclusion.verdict(first.status, splits: splits) + errors
      return
    }
    status = .healthy
    let percent = FitConclusion.percent(validation.error)
    verdict =
      suspicious >= 3 && shareOfSuspects >= 0.02
      ? "The fit is healthy, but \(suspicious) labels look wrong: \(errors)"
      : "Healthy: no part of the \(percent) error stands out. " + errors
  }

  /// Those hints of the training's own curves that do not advise the opposite.
  func agreeing(_ hints: [FitHint]) -> [FitHint] {
    let opposite: Set<FitHint.Kind> =
      switch status {
      case .indistinct, .broken: Set(FitHint.Kind.allCases)
      case .variance, .head: [.underfitting, .plateau]
      case .bias: [.overfitting]
      case .healthy, .mismatch, .undecided: []
      }
    return hints.filter { !opposite.contains($0.kind) }
  }

  /// What a perfect cure of one part wins.
  private static func gain(_ status: FitFindings.Status, _ parts: BiasVariance) -> String? {
    func points(_ part: BiasVariance.Part?) -> String {
      "\(Format.fixed(100 * (part?.size ?? 0), 1)) points (+- \(Format.fixed(100 * (part?.noise ?? 0), 1)))"
    }
    switch status {
    case .head: return "a new head alone wins about \(points(parts.headLoss))."
    case .bias:
      return
        "at most \(points(parts.avoidableBias)), if the training photos were learned as people know"
        + " them."
    case .variance:
      return
        "at most \(points(parts.variance)), if all that is learned carried over to other photos."
    case .mismatch where parts.mismatch?.isSignificant == true:
      return "at most \(points(parts.mismatch)), if the network were trained on photos like those."
    case .mismatch, .healthy, .indistinct, .broken, .undecided: return nil
    }
  }

  /// The parts worth working on, the largest first.
  private static func significant(
    _ parts: BiasVariance, _ splits: SplitMismatch?
  ) -> [(status: FitFindings.Status, size: Double)] {
    var found: [(status: FitFindings.Status, size: Double)] = []
    if let loss = parts.headLoss, loss.isSignificant {
      found.append((.head, loss.size))
    } else if let bias = parts.avoidableBias, bias.isSignificant {
      found.append((.bias, bias.size))
    }
    if let variance = parts.variance, variance.isSignificant {
      found.append((.variance, variance.size))
    }
    let differs = splits?.isSignificant ?? false
    let gap = parts.mismatch.map { $0.isSignificant ? $0.size : 0 } ?? 0
    // A gap alone may be a hard draw of photos, and a difference alone may do no harm; a difference
    // that stands out is said even so, because the held-out error then answers another question.
    if differs, gap > 0 || (splits?.auc ?? 0) >= 0.8 {
      found.append((.mismatch, max(gap, 0.001)))
    } else if gap > 0, differs || splits == nil {
      found.append((.mismatch, gap))
    }
    return found.sorted { $0.size > $1.size }
  }

  private static func verdict(_ status: FitFindings.Status, splits: SplitMismatch?) -> String {
    switch status {
    case .bias: "The training photos themselves are not learned (high avoidable bias). "
    case .head:
      "The head is poor: a new one on the same features does better on training photos it has not seen"
        + " than this one does on photos it learned. "
    case .variance: "What is learned does not carry over to other photos (high variance). "
    case .mismatch:
      "The held-out photos are of another kind than the training photos (distribution mismatch; told"
        + " apart with an AUC of \(rounded(splits?.auc ?? 0))). "
    case .healthy, .indistinct, .broken, .undecided: ""
    }
  }

  /// The errors behind a verdict.
  private static func errors(_ parts: BiasVariance, heldOut: String?) -> String {
    var items: [String] = []
    if let rate = parts.training { items.append("training \(percent(rate.error))") }
    if let rate = parts.crossValidated {
      items.append("training, cross-validated \(percent(rate.error))")
    }
    if let rate = parts.validation {
      items.append("\(heldOut ?? "held out") \(percent(rate.error))")
    }
    return "Errors: human \(percent(parts.humanError)), " + items.joined(separator: ", ") + "."
  }

  /// That few photos leave open whether there is anything to learn.
  private static func doubt(_ signal: LabelSignal) -> String {
    "So few photos do not show whether the labels can be told apart at all: classifiers that have not seen"
      + " them err on \(percent(signal.error)), always answering '\(signal.commonest)' errs on"
      + " \(percent(signal.baselineError))."
  }

  /// What to try against a part of the error.
  private static func advice(_ status: FitFindings.Status, _ isHeadAlone: Bool) -> String {
    switch status {
    case .bias:
      "Against bias: train longer or at a higher rate, weaken decay, dropout and augmentation, thaw"
        + " more layers (thaw fine-tune), use a larger backbone or input size."
    case .head:
      "Find out what the head learned from: thaw diagnose batchnorm tells a head made for batch"
        + " statistics from one trained too little, and writes the network with a new one (--apply)."
    case .variance:
      "Against variance: more photos, stronger augmentation, more weight decay or dropout,"
        + (isHeadAlone ? " early stopping." : " fewer thawed layers, early stopping.")
    case .mismatch:
      "Against mismatch: find out how the two kinds of photos differ (look at both), split anew at"
        + " random, or add training photos of the kind that counts; augmentation can imitate some of it."
    case .indistinct:
      "Do not train harder: it can only learn these labels by heart. See whether they belong to the photos"
        + " (a table in another order, names that were shuffled) and whether a person can tell the classes"
        + " by these photos; if so, give a larger backbone or input size, whose features may tell them."
    case .healthy, .broken, .undecided: ""
    }
  }

  private static func percent(_ share: Double) -> String { Format.percent(share) }
  private static func rounded(_ value: Double) -> String { "\((value * 1000).rounded() / 1000)" }
}
