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
/// - Source: Romano et al. 2020, arXiv:2006.02544; Angelopoulos et al. 2021, arXiv:2009.14193.
package struct ConformalSets: Sendable, Hashable, Codable {
  /// Photos that calibrated it.
  package let photos: Int
  /// Their scores, ascending; of more than ``mostScores`` photos evenly spaced ones.
  package let scores: [Float]

  /// Added for each rank beyond the free ones, so that a class that nothing speaks for stays out.
  static let penalty = 0.01
  /// Ranks (from the second on) that cost nothing.
  static let freeRanks = 4
  static let mostScores = 2000
  /// What evaluations look at.
  package static let usualCoverages = [0.8, 0.9, 0.95]

  /// Calibrates on photos that nothing was trained on.
  ///
  /// - Parameter probabilities: [n, classes], as predictions have them; at least one row.
  package init(_ probabilities: Tensor<Float>, labels: [Int]) {
    precondition(
      probabilities.shape.rank == 2 && probabilities.shape[0] == labels.count && !labels.isEmpty,
      "Probabilities \(probabilities.shape) do not fit \(labels.count) labels.")
    let (classes, elements) = (probabilities.shape[1], probabilities.elements)
    let all = labels.enumerated().map { sample, label in
      let row = Array(elements[(sample * classes)..<((sample + 1) * classes)])
      let (order, scores) = ConformalSets.ranking(row)
      return scores[order.firstIndex(of: label) ?? 0]
    }.sorted()
    photos = all.count
    let kept = min(all.count, ConformalSets.mostScores)
    scores = (1...kept).map { all[ConformalSets.rank($0, of: kept, among: all.count) - 1] }
  }

  private enum CodingKeys: String, CodingKey { case photos, scores }

  /// Reads a table and refuses one that is none.
  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    photos = try container.decode(Int.self, forKey: .photos)
    scores = try container.decode([Float].self, forKey: .scores)
    let isSorted = zip(scores, scores.dropFirst()).allSatisfy { $0 <= $1 }
    guard photos > 0, isSorted, scores.allSatisfy({ $0 >= 0 && $0.isFinite }),
      scores.count == min(photos, ConformalSets.mostScores)
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
    let rank = Int((Double(photos + 1) * coverage - 1e-9).rounded(.up))
    guard rank <= photos else { return .infinity }
    let index = (1...scores.count).first {
      ConformalSets.rank($0, of: scores.count, among: photos) >= rank
    }
    return scores[(index ?? scores.count) - 1]
  }

  /// The positions of the classes in the set of one photo, the most probable first; at least one.
  package func set(of probabilities: [Float], coverage: Double) -> [Int] {
    let limit = limit(coverage: coverage)
    let (order, scores) = ConformalSets.ranking(probabilities)
    return zip(order, scores).prefix { $1 <= limit }.map(\.0)
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

/// How well sets keep what they promise, measured on photos that did not calibrate them.
package struct SetCoverage: Sendable, Equatable, Codable {
  /// The share that was asked for.
  package let asked: Double
  /// Share of the photos whose set contains the truth.
  package let coverage: Double
  /// Mean number of labels in a set.
  package let size: Double
  /// Share of sets of one label.
  package let single: Double
  /// Photos that it was measured on.
  package let photos: Int
  /// Whether those photos calibrated sets as well: each half was then judged by the other.
  package let ownHalves: Bool

  private enum CodingKeys: String, CodingKey {
    case asked, coverage, size, single, photos
    case ownHalves = "own_halves"
  }

  /// Measures `sets` on other photos.
  package init(
    _ sets: ConformalSets, _ probabilities: Tensor<Float>, labels: [Int], asked: Double
  ) {
    self.init(asked, ownHalves: false, SetCoverage.judged(sets, probabilities, labels, asked))
  }

  /// Measures on the photos themselves: sets calibrated on every second one judge the others, and the
  /// other way round.
  ///
  /// - Parameter sameness: the photos that show one picture, which stay in one half; nil where each is of
  ///   its own.
  /// - Returns: nil for a single picture.
  package init?(
    halvesOf probabilities: Tensor<Float>, labels: [Int], sameness: [[Int]]? = nil, asked: Double
  ) {
    let pictures = sameness ?? labels.indices.map { [$0] }
    guard pictures.count > 1 else { return nil }
    let (classes, elements) = (probabilities.shape[1], probabilities.elements)
    func half(_ parity: Int) -> (Tensor<Float>, [Int]) {
      let rows = pictures.indices.filter { $0 % 2 == parity }.flatMap { pictures[$0] }
      let own = rows.flatMap { elements[($0 * classes)..<(($0 + 1) * classes)] }
      return (Tensor(own, shape: [rows.count, classes]), rows.map { labels[$0] })
    }
    let (even, odd) = (half(0), half(1))
    self.init(
      asked, ownHalves: true,
      SetCoverage.judged(ConformalSets(even.0, labels: even.1), odd.0, odd.1, asked)
        + SetCoverage.judged(ConformalSets(odd.0, labels: odd.1), even.0, even.1, asked))
  }

  private init(_ asked: Double, ownHalves: Bool, _ judged: [(size: Int, isRight: Bool)]) {
    self.asked = asked
    self.ownHalves = ownHalves
    let count = Double(max(judged.count, 1))
    photos = judged.count
    coverage = Double(judged.count { $0.isRight }) / count
    size = Double(judged.reduce(0) { $0 + $1.size }) / count
    single = Double(judged.count { $0.size == 1 }) / count
  }

  private static func judged(
    _ sets: ConformalSets, _ probabilities: Tensor<Float>, _ labels: [Int], _ asked: Double
  ) -> [(size: Int, isRight: Bool)] {
    let (classes, elements) = (probabilities.shape[1], probabilities.elements)
    return labels.enumerated().map { sample, label in
      let row = Array(elements[(sample * classes)..<((sample + 1) * classes)])
      let set = sets.set(of: row, coverage: asked)
      return (set.count, set.contains(label))
    }
  }
}
