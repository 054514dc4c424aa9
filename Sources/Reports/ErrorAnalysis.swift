// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawConsole
import ThawFiles
import ThawTraining

/// What mistakes have in common: what `thaw diagnose errors` leaves in a run.
package struct ErrorAnalysis: Sendable, Equatable, Codable {
  /// A share of some photos, with where it lies with 95 % confidence.
  package struct Share: Sendable, Equatable, Codable {
    package let count: Int
    package let of: Int
    /// 0 of no photo.
    package let share: Double
    package let lower: Double
    package let upper: Double

    package init(_ count: Int, of whole: Int) {
      let interval = WilsonInterval.interval(successes: count, trials: whole)
      (self.count, self.of) = (count, whole)
      share = whole == 0 ? 0 : Double(count) / Double(whole)
      (lower, upper) = (interval.lowerBound, interval.upperBound)
    }

    /// For people.
    package var text: String {
      "\(Format.percent(share)) (\(Format.percent(lower)) to \(Format.percent(upper)))"
    }
  }

  /// Something that some of the photos are, and what it has to do with the mistakes.
  package struct Tag: Sendable, Equatable, Codable {
    package let name: String
    /// What is meant, as half a sentence; of a tag from a table nil.
    package let meaning: String?
    /// Of all mistakes, how many have the tag.
    package let ofMistakes: Share
    /// Of all right answers, how many have it.
    package let ofSuccesses: Share
    /// Of the photos with the tag, how many are mistakes.
    package let error: Share
    /// Of those without.
    package let errorOfOthers: Share
    /// The accuracy if no photo with the tag were a mistake.
    package let ceiling: Double
    /// The accuracy if photos with the tag were mistakes as often as the others, and not more.
    package let accuracyIfLikeOthers: Double
    /// Whether photos with the tag go wrong more often than others beyond chance, with so many tags looked at.
    package let isClear: Bool
    /// Its contact sheet, as displayed; nil where none was written.
    package var sheet: String?

    /// Counts photos.
    ///
    /// - Parameters:
    ///   - has: which of the photos have the tag; at least one.
    ///   - isWrong: which of them are mistakes.
    ///   - tried: how many tags are looked at.
    package init(name: String, meaning: String?, has: [Bool], isWrong: [Bool], tried: Int) {
      let all = zip(has, isWrong)
      let (wrong, with) = (isWrong.count { $0 }, has.count { $0 })
      let both = all.count { $0 && $1 }
      let total = has.count
      self.name = name
      self.meaning = meaning
      ofMistakes = Share(both, of: wrong)
      ofSuccesses = Share(with - both, of: total - wrong)
      error = Share(both, of: with)
      errorOfOthers = Share(wrong - both, of: total - with)
      ceiling = Double(total - wrong + both) / Double(max(total, 1))
      let usual = min(errorOfOthers.share, error.share)
      let mistakes = Double(wrong - both) + usual * Double(with)
      accuracyIfLikeOthers = 1 - mistakes / Double(max(total, 1))
      // Fisher's exact test, one side, with Bonferroni's bound: intervals promise too much of two or three.
      let chance = ErrorAnalysis.tail(both, of: with, marked: wrong, among: total)
      isClear = with < total && chance < 0.025 / Double(max(tried, 1))
    }

    /// How many mistakes there are more than there would be if the photos went wrong like the others.
    var excess: Double {
      Double(error.count) - errorOfOthers.share * Double(error.of)
    }
  }

  /// One photo of a gallery.
  package struct Photo: Sendable, Equatable, Codable {
    package let path: String
    package let label: String
    package let predicted: String
    package let probability: Double
    /// The class that came second; nil with one class.
    package let second: String?
    package let secondProbability: Double?
    package let tags: [String]

    package init(
      path: String, label: String, predicted: String, probability: Double, second: String?,
      secondProbability: Double?, tags: [String]
    ) {
      (self.path, self.label, self.predicted) = (path, label, predicted)
      (self.probability, self.second) = (probability, second)
      (self.secondProbability, self.tags) = (secondProbability, tags)
    }
  }

  /// Which photos were looked at.
  package let split: String
  package let accuracy: Share
  /// What tells the model apart; nil of one without a training of Thaw's.
  package let key: String?
  /// Tags that some photo has: those that cost most first.
  package private(set) var tags: [Tag]
  /// Tags that no photo has.
  package let absent: [String]
  /// The most confident mistakes, the most confident right answers, and the photos whose two most probable
  /// classes are nearest.
  package var mostConfidentWrong: [Photo] = []
  package var mostConfidentRight: [Photo] = []
  package var mostAmbiguous: [Photo] = []
  /// Paths of a table of tags that are none of these photos.
  package var unknownPaths: [String] = []
  /// What could not be looked at, as sentences.
  package var notes: [String] = []
  /// The table of all photos, as displayed.
  package var table: String?

  /// Ranks tags.
  ///
  /// - Parameter has: for each tag, which photos have it.
  package init(
    split: String, key: String?, isWrong: [Bool],
    tags: [(name: String, meaning: String?, has: [Bool])]
  ) {
    self.split = split
    self.key = key
    accuracy = Share(isWrong.count { !$0 }, of: isWrong.count)
    absent = tags.filter { !$0.has.contains(true) }.map(\.name)
    self.tags = tags.filter { $0.has.contains(true) }.map {
      Tag(
        name: $0.name, meaning: $0.meaning, has: $0.has, isWrong: isWrong, tried: tags.count)
    }.enumerated().sorted {
      ($0.element.isClear ? 0 : 1, -$0.element.excess, $0.offset)
        < ($1.element.isClear ? 0 : 1, -$1.element.excess, $1.offset)
    }.map(\.element)
  }

  /// Says where sheets were written.
  package mutating func setSheets(_ sheets: [String: String]) {
    for index in tags.indices { tags[index].sheet = sheets[tags[index].name] }
  }

  /// What follows, in a sentence or two.
  package var verdict: String {
    let wrong = accuracy.of - accuracy.count
    guard wrong > 0 else {
      return "No mistake in \(counted(accuracy.of, "photo")): there is nothing to explain."
    }
    guard let first = tags.first, first.isClear else {
      return
        "\(counted(wrong, "mistake")) in \(counted(accuracy.of, "photo")), and nothing that was looked at is"
        + " beyond chance more frequent among them than among right answers."
        + (wrong < 10 ? " So few mistakes can hardly show it: judge more photos." : "")
    }
    return
      "'\(VisibleText.escape(first.name))' explains most: \(first.ofMistakes.count) of"
      + " \(counted(wrong, "mistake")) have it, \(first.ofMistakes.text), and"
      + " \(first.ofSuccesses.text) of the right answers. If such photos went wrong no more often than others,"
      + " the accuracy would be \(Format.percent(first.accuracyIfLikeOthers)) in place of"
      + " \(Format.percent(accuracy.share)); if none of them did, \(Format.percent(first.ceiling))."
  }

  /// The chance that of `with` photos, drawn from `total` of which `marked` are mistakes, at least `both` are.
  static func tail(_ both: Int, of with: Int, marked: Int, among total: Int) -> Double {
    func logChoose(_ n: Int, _ k: Int) -> Double {
      lgamma(Double(n + 1)) - lgamma(Double(k + 1)) - lgamma(Double(n - k + 1))
    }
    let most = min(with, marked)
    guard both <= most else { return 0 }
    return (max(both, with + marked - total)...most).reduce(0) {
      $0
        + exp(
          logChoose(marked, $1) + logChoose(total - marked, with - $1) - logChoose(total, with))
    }
  }
}
