// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawConsole
import ThawFiles

/// Where in photos a classifier looks, and whether that is where the object is.
package struct ShortcutDiagnosis: Sendable, Equatable, Codable {
  /// The nine parts of a photo, in the order of rows.
  package static let places = [
    "upper left corner", "upper edge", "upper right corner", "left edge", "middle", "right edge",
    "lower left corner", "lower edge", "lower right corner",
  ]

  /// The mean of a share over photos, with where it lies with 95 % confidence.
  package struct Mean: Sendable, Equatable, Codable {
    package let mean: Double
    package let lower: Double
    package let upper: Double

    package init(_ values: [Double]) {
      let count = Double(max(values.count, 1))
      let middle = values.reduce(0, +) / count
      let variance =
        values.reduce(0) { $0 + ($1 - middle) * ($1 - middle) } / max(count - 1, 1)
      let half = 1.959963984540054 * (variance / count).squareRoot()
      mean = middle
      (lower, upper) = (max(middle - half, 0), min(middle + half, 1))
    }

    /// For people.
    package var text: String {
      "\(Format.percent(mean)) (\(Format.percent(lower)) to \(Format.percent(upper)))"
    }
  }

  /// A place where a class has more heat than the others have.
  package struct Excess: Sendable, Equatable, Codable {
    /// Of the nine.
    package let place: String
    /// Mean share of the class's heat there, and of the others'.
    package let own: Double
    package let others: Double
    /// By how many standard errors they differ.
    package let sigma: Double

    /// Whether that is worth a look: beyond what nine places of many classes show by chance, and not tiny.
    package var isClear: Bool { sigma > 4 && own - others > 0.02 }

    /// The place with the largest difference; nil without two maps on either side.
    package init?(_ own: [[Double]], _ others: [[Double]]) {
      guard own.count > 1, others.count > 1 else { return nil }
      func moments(_ rows: [[Double]], _ place: Int) -> (mean: Double, error: Double) {
        let values = rows.map { $0[place] }
        let mean = values.reduce(0, +) / Double(values.count)
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        return (mean, squares / Double(values.count - 1) / Double(values.count))
      }
      let places = (0..<9).map { place -> (own: Double, others: Double, sigma: Double) in
        let (one, other) = (moments(own, place), moments(others, place))
        let error = max((one.error + other.error).squareRoot(), 1e-9)
        return (one.mean, other.mean, (one.mean - other.mean) / error)
      }
      guard let best = places.indices.max(by: { places[$0].sigma < places[$1].sigma }) else {
        return nil
      }
      place = ShortcutDiagnosis.places[best]
      (self.own, self.others, sigma) = places[best]
    }
  }

  /// One class.
  package struct ClassLook: Sendable, Equatable, Codable {
    package let name: String
    /// Its photos that were looked at.
    package let count: Int
    /// Share of the heat on the outer half of the area; nil where the network has no map. Heat that is the
    /// same everywhere has a half there.
    package let borderHeat: Mean?
    /// Share of the heat on four corners, each a fifth of the side: 16 % of heat that is the same everywhere.
    package let cornerHeat: Mean?
    /// Share of the heat outside of where four fifths of the other classes' heat are.
    package let unusualHeat: Mean?
    /// The part of the photo, of nine, with the most heat, and its share.
    package let hottest: String?
    package let hottestShare: Double?
    /// Where it differs most from the others; nil where the network has no map.
    package let excess: Excess?
    /// Its photos that are answered rightly: whole, with the inner half grey, with the outer half grey.
    package let recall: ErrorAnalysis.Share
    package let recallCentreHidden: ErrorAnalysis.Share
    package let recallBorderHidden: ErrorAnalysis.Share
    /// Photos with this class's inner half and another's outer half that are answered with this class.
    package let centreDecides: ErrorAnalysis.Share
    /// Photos with this class's outer half and another's inner half that are answered with this class.
    package let borderDecides: ErrorAnalysis.Share

    /// Whether the outer half makes the answer beyond chance more often than the inner half does.
    package let goesByBorder: Bool

    package init(
      name: String, count: Int, borderHeat: Mean?, cornerHeat: Mean?, unusualHeat: Mean?,
      hottest: (place: String, share: Double)?, excess: Excess?, recall: ErrorAnalysis.Share,
      recallCentreHidden: ErrorAnalysis.Share, recallBorderHidden: ErrorAnalysis.Share,
      centreDecides: ErrorAnalysis.Share, borderDecides: ErrorAnalysis.Share
    ) {
      (self.name, self.count, self.excess, self.recall) = (name, count, excess, recall)
      (self.borderHeat, self.cornerHeat, self.unusualHeat) = (borderHeat, cornerHeat, unusualHeat)
      (self.hottest, hottestShare) = (hottest?.place, hottest?.share)
      self.recallCentreHidden = recallCentreHidden
      self.recallBorderHidden = recallBorderHidden
      (self.centreDecides, self.borderDecides) = (centreDecides, borderDecides)
      goesByBorder = ShortcutDiagnosis.goesByBorder(border: borderDecides, centre: centreDecides)
    }
  }

  private static func goesByBorder(border: ErrorAnalysis.Share, centre: ErrorAnalysis.Share) -> Bool
  {
    border.of >= fewest && centre.of >= fewest && border.lower > centre.upper
  }

  /// Fewer composed photos say nothing.
  package static let fewest = 5

  /// Photos that were looked at, and which.
  package let count: Int
  package let split: String
  /// Right answers to the whole photos, with the inner half grey, and with the outer half grey.
  package let accuracy: ErrorAnalysis.Share
  package let accuracyCentreHidden: ErrorAnalysis.Share
  package let accuracyBorderHidden: ErrorAnalysis.Share
  /// The answer to a photo that is grey all over, which hidden photos may get for that reason alone.
  package let greyAnswer: String
  package let classes: [ClassLook]
  /// In a sentence or two.
  package let verdict: String
  /// What could not be looked at.
  package let notes: [String]
  /// Of the model's training; nil where that is not known.
  package let key: String?

  package init(
    split: String, key: String?, accuracy: ErrorAnalysis.Share, centreHidden: ErrorAnalysis.Share,
    borderHidden: ErrorAnalysis.Share, greyAnswer: String, classes: [ClassLook], notes: [String]
  ) {
    count = accuracy.of
    self.split = split
    self.key = key
    self.accuracy = accuracy
    accuracyCentreHidden = centreHidden
    accuracyBorderHidden = borderHidden
    self.greyAnswer = greyAnswer
    self.classes = classes
    self.notes = notes
    verdict = ShortcutDiagnosis.verdict(classes)
  }

  private static func verdict(_ classes: [ClassLook]) -> String {
    let suspects = classes.filter(\.goesByBorder)
    let places = classes.compactMap { one in
      one.excess.flatMap { excess in
        excess.isClear && excess.place != "middle"
          ? "'\(VisibleText.escape(one.name))' in the \(excess.place)"
            + " (\(Format.percent(excess.own)) against \(Format.percent(excess.others)))"
          : nil
      }
    }
    let hint =
      places.isEmpty
      ? ""
      : " More heat than the other classes have \(places.joined(separator: ", and ")): look what is there, with"
        + " thaw explain."
    guard let first = suspects.max(by: { $0.borderDecides.share < $1.borderDecides.share }) else {
      let isJudged = classes.contains {
        $0.borderDecides.of >= fewest && $0.centreDecides.of >= fewest
      }
      return isJudged
        ? "No class goes by the border of the photos more than by their middle." + hint
        : "Too few photos are answered rightly to say what the classes go by." + hint
    }
    let place = first.hottest.map { "; its heat is mostly in the \($0)" } ?? ""
    let others = suspects.filter { $0.name != first.name }.map {
      "'\(VisibleText.escape($0.name))'"
    }
    return
      "'\(VisibleText.escape(first.name))' goes by the border of the photos, not by what is in the middle:"
      + " its border makes '\(VisibleText.escape(first.name))' of \(first.borderDecides.text) of other"
      + " classes' photos, its middle under their borders of \(first.centreDecides.text)\(place)."
      + (others.isEmpty
        ? "" : " So \(others.count == 1 ? "does" : "do") \(others.joined(separator: ", ")).")
      + " If the object is in the middle, that is a shortcut: look for marks, dates, frames or a background that"
      + " goes with the class, and crop them off or photograph all classes alike." + hint
  }
}
