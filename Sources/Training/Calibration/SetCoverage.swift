// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

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
  /// The same for the photos of each class, in the order of the classes; nil in what earlier versions wrote.
  package let perClass: [OfClass]?

  /// What the sets of one class's photos contain.
  package struct OfClass: Sendable, Equatable, Codable {
    /// Photos of the class.
    package let count: Int
    /// Share of them whose set contains the class; 0 of none.
    package let coverage: Double
  }

  private enum CodingKeys: String, CodingKey {
    case asked, coverage, size, single, photos
    case ownHalves = "own_halves"
    case perClass = "per_class"
  }

  /// Photos of a class from which on its share says something.
  private static let many = 20

  /// The class whose photos' sets contain it least often, of those with many photos.
  package var least: (index: Int, share: OfClass)? {
    perClass?.enumerated().filter { $0.element.count >= SetCoverage.many }
      .min { ($0.element.coverage, $0.offset) < ($1.element.coverage, $1.offset) }
      .map { ($0.offset, $0.element) }
  }

  /// Measures `sets` on other photos.
  ///
  /// - Parameter perClass: see ``ConformalSets/set(of:coverage:perClass:)``.
  package init(
    _ sets: ConformalSets, _ probabilities: Tensor<Float>, labels: [Int], asked: Double,
    perClass: Bool = false
  ) {
    self.init(
      asked, ownHalves: false, classes: probabilities.shape[1],
      SetCoverage.judged(sets, probabilities, labels, asked, perClass))
  }

  /// Measures on the photos themselves: sets calibrated on every second one judge the others, and the
  /// other way round.
  ///
  /// - Parameter sameness: the photos that show one picture, which stay in one half; nil where each is of
  ///   its own.
  /// - Returns: nil for a single picture.
  package init?(
    halvesOf probabilities: Tensor<Float>, labels: [Int], sameness: [[Int]]? = nil, asked: Double,
    perClass: Bool = false
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
      asked, ownHalves: true, classes: classes,
      SetCoverage.judged(ConformalSets(even.0, labels: even.1), odd.0, odd.1, asked, perClass)
        + SetCoverage.judged(ConformalSets(odd.0, labels: odd.1), even.0, even.1, asked, perClass))
  }

  private typealias Judged = (label: Int, size: Int, isRight: Bool)

  private init(_ asked: Double, ownHalves: Bool, classes: Int, _ judged: [Judged]) {
    self.asked = asked
    self.ownHalves = ownHalves
    let count = Double(max(judged.count, 1))
    photos = judged.count
    coverage = Double(judged.count { $0.isRight }) / count
    size = Double(judged.reduce(0) { $0 + $1.size }) / count
    single = Double(judged.count { $0.size == 1 }) / count
    var (counts, right) = (
      [Int](repeating: 0, count: classes), [Int](repeating: 0, count: classes)
    )
    for one in judged {
      counts[one.label] += 1
      if one.isRight { right[one.label] += 1 }
    }
    perClass = zip(counts, right).map {
      OfClass(count: $0, coverage: Double($1) / Double(max($0, 1)))
    }
  }

  private static func judged(
    _ sets: ConformalSets, _ probabilities: Tensor<Float>, _ labels: [Int], _ asked: Double,
    _ perClass: Bool
  ) -> [Judged] {
    let (classes, elements) = (probabilities.shape[1], probabilities.elements)
    return labels.enumerated().map { sample, label in
      let row = Array(elements[(sample * classes)..<((sample + 1) * classes)])
      let set = sets.set(of: row, coverage: asked, perClass: perClass)
      return (label, set.count, set.contains(label))
    }
  }
}
