// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawTensors

/// Sets of labels that contain the truth as often as is asked, whatever the network's probabilities are
/// worth: split conformal prediction with regularised adaptive sets.
///
/// The score of a class of a photo is the probability of all classes before it, plus ``penalty`` for each
/// rank beyond ``freeRanks``. The most probable class has score 0, so that no set is empty; nothing is
/// drawn at random, so that a photo always gets the same set. Where the scores of photos like those that
/// calibrated it are s_1 <= ... <= s_n, the classes with a score up to s_k, k = ceil((n + 1) coverage),
/// contain the truth with at least that coverage.
///
/// Where the first answer is right more often than is asked, sets have one label and contain the truth
/// more often than is asked: a smaller set would be none.
///
/// That is a promise on average: easy classes may keep more than is asked and hard ones less. With a limit for each
/// class, from the scores of its own photos, it holds for the photos of every class that has enough of them.
///
/// - Source: Romano et al. 2020, arXiv:2006.02544; Angelopoulos et al. 2021, arXiv:2009.14193; for each class Vovk
///   2012, arXiv:1209.2673.
package struct ConformalSets: Sendable, Hashable, Codable {
  /// Photos that calibrated it.
  package let photos: Int
  /// Their scores, ascending; of more than ``mostScores`` photos evenly spaced ones.
  package let scores: [Float]
  /// The same of the photos of each class; empty in files of versions that had none.
  package let classes: [Group]

  /// Photos that calibrate one class, and their scores, ascending; of more than ``mostOfClass`` evenly spaced ones.
  package struct Group: Sendable, Hashable, Codable {
    package let photos: Int
    package let scores: [Float]

    /// - Parameter all: ascending.
    fileprivate init(_ all: [Float], most: Int) {
      photos = all.count
      scores = ConformalSets.spaced(all, most: most)
    }

    fileprivate func isWhole(most: Int) -> Bool {
      let isSorted = zip(scores, scores.dropFirst()).allSatisfy { $0 <= $1 }
      return photos >= 0 && isSorted && scores.allSatisfy { $0 >= 0 && $0.isFinite }
        && scores.count == min(photos, most)
    }
  }

  /// Added for each rank beyond the free ones, so that a class that nothing speaks for stays out.
  static let penalty = 0.01
  /// Ranks (from the second on) that cost nothing.
  static let freeRanks = 4
  static let mostScores = 2000
  static let mostOfClass = 200
  /// What evaluations look at.
  package static let usualCoverages = [0.8, 0.9, 0.95]

  /// Calibrates on photos that nothing was trained on.
  ///
  /// - Parameter probabilities: [n, classes], as predictions have them; at least one row.
  package init(_ probabilities: Tensor<Float>, labels: [Int]) {
    precondition(
      probabilities.shape.rank == 2 && probabilities.shape[0] == labels.count && !labels.isEmpty,
      "Probabilities \(probabilities.shape) do not fit \(labels.count) labels.")
    let (width, elements) = (probabilities.shape[1], probabilities.elements)
    let own = labels.enumerated().map { sample, label in
      let row = Array(elements[(sample * width)..<((sample + 1) * width)])
      let (order, scores) = ConformalSets.ranking(row)
      return scores[order.firstIndex(of: label) ?? 0]
    }
    photos = own.count
    scores = ConformalSets.spaced(own.sorted(), most: ConformalSets.mostScores)
    var byClass = [[Float]](repeating: [], count: width)
    for (label, score) in zip(labels, own) { byClass[label].append(score) }
    classes = byClass.map { Group($0.sorted(), most: ConformalSets.mostOfClass) }
  }

  /// Of more than `most` ascending scores evenly spaced ones, the largest among them.
  private static func spaced(_ all: [Float], most: Int) -> [Float] {
    let kept = min(all.count, most)
    return (0..<kept).map { all[rank($0 + 1, of: kept, among: all.count) - 1] }
  }

  private enum CodingKeys: String, CodingKey { case photos, scores, classes }

  /// Reads a table and refuses one that is none.
  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    photos = try container.decode(Int.self, forKey: .photos)
    scores = try container.decode([Float].self, forKey: .scores)
    classes = try container.decodeIfPresent([Group].self, forKey: .classes) ?? []
    let isSorted = zip(scores, scores.dropFirst()).allSatisfy { $0 <= $1 }
    guard photos > 0, isSorted, scores.allSatisfy({ $0 >= 0 && $0.isFinite }),
      scores.count == min(photos, ConformalSets.mostScores),
      classes.allSatisfy({ $0.isWhole(most: ConformalSets.mostOfClass) })
    else {
      throw DecodingError.dataCorruptedError(
        forKey: .scores, in: container, debugDescription: "scores of sets must ascend from 0")
    }
  }

  /// The position, from 1, of the kept score `index` (from 1) among all of them.
  private static func rank(_ index: Int, of kept: Int, among all: Int) -> Int {
    (index * all + kept - 1) / kept
  }

  /// The largest coverage that so few photos can promise: n / (n + 1).
  package var largestCoverage: Double { Double(photos) / Double(photos + 1) }

  /// Up to which score a class belongs to the set; infinite when the photos promise no such coverage, so
  /// that the set is all classes.
  package func limit(coverage: Double) -> Float {
    ConformalSets.limit(scores, of: photos, coverage: coverage)
  }

  /// Whether the photos of a class promise a coverage of their own.
  package func promises(_ coverage: Double, for index: Int) -> Bool {
    classes.indices.contains(index) && limit(coverage: coverage, for: index) < .infinity
  }

  private func limit(coverage: Double, for index: Int) -> Float {
    ConformalSets.limit(
      classes[index].scores, of: classes[index].photos, coverage: coverage)
  }

  private static func limit(_ scores: [Float], of photos: Int, coverage: Double) -> Float {
    let rank = Int((Double(photos + 1) * coverage - 1e-9).rounded(.up))
    guard rank <= photos else { return .infinity }
    let index = (1...scores.count).first {
      ConformalSets.rank($0, of: scores.count, among: photos) >= rank
    }
    return scores[(index ?? scores.count) - 1]
  }

  /// The positions of the classes in the set of one photo, the most probable first; at least one.
  ///
  /// - Parameter perClass: whether the coverage is to hold for the photos of each class; classes with too few
  ///   photos of their own have the limit of all.
  package func set(
    of probabilities: [Float], coverage: Double, perClass: Bool = false
  ) -> [Int] {
    let limit = limit(coverage: coverage)
    let (order, scores) = ConformalSets.ranking(probabilities)
    guard perClass else { return zip(order, scores).prefix { $1 <= limit }.map(\.0) }
    return zip(order, scores).filter { index, score in
      score <= (promises(coverage, for: index) ? self.limit(coverage: coverage, for: index) : limit)
    }.map(\.0)
  }

  /// The classes, the most probable first and of equal ones the first, and the score of each.
  private static func ranking(_ row: [Float]) -> (order: [Int], scores: [Float]) {
    let order = row.indices.sorted { (row[$1], $0) < (row[$0], $1) }
    var before = 0.0
    return (
      order,
      order.enumerated().map { rank, index in
        defer { before += Double(row[index]) }
        return Float(before + penalty * Double(max(rank - freeRanks, 0)))
      }
    )
  }
}
