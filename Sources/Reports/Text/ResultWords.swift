// SPDX-License-Identifier: Apache-2.0

import ThawConsole
package import ThawDatasets
package import ThawInference
package import ThawTraining

/// What may be said of a result, in sentences for somebody who has never heard of a metric.
///
/// The same numbers mean more or less depending on which photos were judged: those that nothing was
/// chosen by, those that also chose the weights, or those that were trained on. Few photos mean
/// little, whatever their share.
package struct ResultWords: Sendable {
  /// Different pictures a class, on average, below which a percentage is no headline.
  package static let fewPhotos = 10

  /// What is judged.
  package let evaluation: Evaluation
  /// Whether the validation photos chose anything: an epoch, a rate, or weights between two others.
  package let validationChose: Bool
  /// How to get photos that nothing is chosen by.
  package let untouched: Untouched

  /// Where photos come from that nothing is chosen by.
  package enum Untouched: String, Sendable {
    /// There are some, which have not been judged.
    case evaluate = "evaluate with --split test"
    /// The split takes a share of the photos.
    case share = "train with --test 0.2"
    /// Folders say which photo is for what, so that no share can be taken.
    case folder = "put photos aside in a folder 'test' and train again"
  }

  /// Words for the evaluation of a run's model.
  ///
  /// - Parameters:
  ///   - outcome: of the training that made the model.
  ///   - manifest: the run's photos.
  package init(_ evaluation: Evaluation, outcome: TrainingOutcome, manifest: Manifest) {
    let untouched: Untouched =
      if !manifest.records(in: .test).isEmpty {
        .evaluate
      } else {
        manifest.fractions == nil ? .folder : .share
      }
    // A solver without epochs takes its strength from the training photos alone.
    self.init(
      evaluation,
      // Where a photo may have several labels, their thresholds are chosen on validation photos.
      validationChose: outcome.epochs > 0 || outcome.interpolation != nil
        || evaluation.severalLabels,
      untouched: untouched)
  }

  /// Words for `evaluation`.
  package init(
    _ evaluation: Evaluation, validationChose: Bool = true, untouched: Untouched = .share
  ) {
    self.evaluation = evaluation
    self.validationChose = validationChose
    self.untouched = untouched
  }

  private var correct: Int { evaluation.correct }
  private var count: Int { evaluation.count }
  private var classes: Int { evaluation.perClass.count }
  private var share: Double { Double(correct) / Double(count) }
  private var low: String { Format.percent(evaluation.accuracyInterval.lowerBound, decimals: 0) }
  private var high: String { Format.percent(evaluation.accuracyInterval.upperBound, decimals: 0) }

  /// Whether there are fewer different pictures than ``fewPhotos`` a class.
  package var isFew: Bool { evaluation.independentCount < Self.fewPhotos * classes }

  /// Which photos were judged: `153 validation photos that it has not learned from`.
  package var subject: String {
    let isLearned = evaluation.split == Split.train.rawValue
    return "\(Counted(count, "\(kind)photo", "\(kind)photos"))"
      + (isLearned ? " that it has learned from" : " that it has not learned from")
  }

  private var kind: String {
    switch Split(rawValue: evaluation.split) {
    case .train?: "training "
    case .valid?: "validation "
    case .test?: "test "
    case nil: ""
    }
  }

  /// How many photos of what: `145 of 153 validation photos right, 94.8 %`.
  package var sentence: String {
    "\(correct) of \(count) \(kind)\(count == 1 ? "photo" : "photos")"
      + (evaluation.severalLabels ? " with every label right," : " right,")
      + " \(Format.percent(evaluation.accuracy))"
  }

  /// The one number: a percentage, or with few photos the count that it would hide.
  package var figure: String {
    if evaluation.severalLabels { return labelsFigure }
    return isFew ? "\(Format.grouped(correct)) of \(Format.grouped(count))" : Format.percent(share)
  }

  /// The accuracy as somebody would tell it.
  package var plain: String {
    if evaluation.severalLabels { return labelsPlain }
    if isFew { return few }
    if correct == count { return "Every photo was named correctly." }
    if correct == 0 { return "No photo was named correctly." }
    let (part, whole) = Self.fraction(share)
    return "About \(part) of \(whole) photos are named correctly."
  }

  /// Few a class may be many together, when there are many classes.
  private var few: String {
    let interval = evaluation.accuracyInterval
    let pictures =
      evaluation.independentCount < count
      ? " of \(Counted(evaluation.independentCount, "picture", "pictures"))" : ""
    let photos = "\(Counted.photos(count))\(pictures) for \(Counted(classes, "class", "classes"))"
    if interval.upperBound - interval.lowerBound > 0.15 {
      return "Too few photos to say much: with \(photos) the true accuracy may be anywhere between"
        + " \(low) and \(high)."
    }
    return "Few photos: \(photos) put the true accuracy between \(low) and \(high), and say next to"
      + " nothing of a single class."
  }

  /// How many were right of which photos, and what that is worth.
  package var basis: String {
    let numbers = "\(Format.grouped(correct)) of \(Format.grouped(count))"
    let right =
      (count == 1 ? "photo" : "photos")
      + (evaluation.severalLabels ? " with every label right" : " right")
    switch Split(rawValue: evaluation.split) {
    case .test: return "\(numbers) test \(right), which nothing was chosen by."
    case .valid where validationChose: return "\(numbers) validation \(right); \(chosenBy)."
    case .valid: return "\(numbers) validation \(right), which nothing was chosen by."
    case .train:
      return "\(numbers) training \(right): the network has learnt from these very photos, so this"
        + " says nothing about new ones."
    case nil: return "\(numbers) \(right) ('\(evaluation.split)')."
    }
  }

  private var chosenBy: String {
    "they also chose the \(evaluation.severalLabels ? "thresholds, and perhaps the " : "")weights, so expect slightly less on new photos; for an untouched number"
      + " \(untouched.rawValue)"
  }

  /// What speaks against taking the number as it stands, a sentence a line; nil when nothing does.
  package var caution: String? {
    let isChosenBy = evaluation.split == Split.valid.rawValue && validationChose
    let lines = [
      isFew ? plain : nil, guessing, isChosenBy ? "These are validation photos: \(chosenBy)." : nil,
      crossValidation,
    ].compactMap(\.self)
    return lines.isEmpty ? nil : lines.joined(separator: "\n")
  }

  /// That one answer for every photo would do as well; nil where it would not, or where nothing else was
  /// to be told apart.
  package var guessing: String? {
    guard !evaluation.severalLabels, evaluation.perClass.count(where: { $0.count > 0 }) > 1,
      let most = evaluation.perClass.max(by: { $0.count < $1.count }), correct <= most.count
    else { return nil }
    return "Answering '\(most.name)' whatever the photo shows gets \(Format.grouped(most.count)) of"
      + " \(Format.grouped(count)) right: so far it tells these classes apart no better than that."
  }

  /// How many different pictures the photos show; nil when each shows its own.
  package var pictures: String? {
    evaluation.independent.map {
      $0 == 1
        ? "The photos show one picture, and chance goes by that."
        : "The photos show \(Format.grouped($0)) different pictures; chance goes by those."
    }
  }

  /// What new heads make of photos they have not seen, which nothing could be chosen by; nil where
  /// nobody has tried.
  package var crossValidation: String? {
    evaluation.crossValidation.map {
      let accuracy = Format.percent(Double($0.correct) / Double($0.count))
      let (low, high) = ($0.interval.lowerBound, $0.interval.upperBound)
      let chance =
        "\(Format.percent(low, decimals: 0)) to \(Format.percent(high, decimals: 0)) by chance alone"
      return "In cross-validation \(accuracy) (\(chance)): of \(Counted.photos($0.count)), each"
        + " judged by a new head that was solved without it, \(Format.grouped($0.correct)) were right."
    }
  }

  /// How far chance reaches; nil where ``plain`` has said so.
  package var interval: String? {
    guard !isFew else { return nil }
    let share = evaluation.severalLabels ? "share of photos with every label right" : "accuracy"
    return "Going by chance alone, the true \(share) lies between \(low) and \(high) (95\u{A0}%"
      + " confidence)."
  }

  /// What the mistakes are; a confusion is named only if it stands out.
  package var mistakes: String {
    guard let matrix = evaluation.matrix else { return labelsMistakes }
    let pairs = matrix.confusions(limit: .max)
    let total = count - correct
    guard let first = pairs.first else {
      return isFew ? "No mistake among them." : "No mistakes among \(Counted.photos(count))."
    }
    if pairs.count == 1 {
      return "\(Counted(total, "mistake", "mistakes")): \(told(first))."
    }
    if first.count == 1 { return "\(Format.grouped(total)) mistakes, no two alike." }
    if pairs.count == 2 {
      return "\(Format.grouped(total)) mistakes: \(numbered(first)) and \(numbered(pairs[1]))."
    }
    guard first.count >= 3, first.count >= 2 * pairs[1].count else {
      return "\(Format.grouped(total)) mistakes of \(pairs.count) kinds, none of which stands out."
    }
    return "\(Format.grouped(total)) mistakes; most often \(told(first))"
      + " (\(Counted.photos(first.count)))."
  }

  private func told(_ pair: ConfusionMatrix.Confusion) -> String {
    let names = evaluation.perClass.map(\.name)
    return "'\(names[pair.truth])' was taken for '\(names[pair.predicted])'"
  }

  private func numbered(_ pair: ConfusionMatrix.Confusion) -> String {
    let names = evaluation.perClass.map(\.name)
    return "\(pair.count) of '\(names[pair.truth])' taken for '\(names[pair.predicted])'"
  }

  /// Classes with too few photos to be judged one by one; nil when there are none, or all are.
  package var smallClasses: String? {
    guard !isFew else { return nil }
    let small = evaluation.perClass.filter { $0.count < Self.fewPhotos }
    guard let first = small.first else { return nil }
    return small.count == 1
      ? "Little can be said of '\(first.name)' by itself: \(Counted.photos(first.count))."
      : "Little can be said of \(small.count) classes by themselves: fewer than \(Self.fewPhotos)"
        + " photos each."
  }

  /// The simplest fraction near `share`, which lies between 0 and 1: 19 of 20 for 94.8 %.
  ///
  /// Near enough is a fifth of what is missing to all or none, so that 97 % and 99 % differ.
  static func fraction(_ share: Double) -> (part: Int, whole: Int) {
    let tolerance = min(share, 1 - share) / 5
    for whole in [2, 3, 4, 5, 10, 20, 50, 100, 200, 500, 1000] {
      let part = (share * Double(whole)).rounded()
      if part > 0, part < Double(whole), abs(part / Double(whole) - share) <= tolerance {
        return (Int(part), whole)
      }
    }
    return share > 0.5 ? (999, 1000) : (1, 1000)
  }
}

/// A number and what it counts, in the right form: "1 photo", "12 photos".
struct Counted: CustomStringConvertible {
  let count: Int
  let singular: String
  let plural: String

  init(_ count: Int, _ singular: String, _ plural: String) {
    (self.count, self.singular, self.plural) = (count, singular, plural)
  }

  static func photos(_ count: Int) -> Counted { Counted(count, "photo", "photos") }

  var description: String { "\(Format.grouped(count)) \(count == 1 ? singular : plural)" }
}
