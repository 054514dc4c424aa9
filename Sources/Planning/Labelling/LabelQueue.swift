// SPDX-License-Identifier: Apache-2.0

import Glibc

/// In which order photos without a label are worth one.
///
/// A photo is worth a label when the model is unsure of it. The most unsure ones are often alike, so that the second
/// label says little that the first did not: by diversity each photo is the one whose uncertainty times distance
/// to those before it is largest (k-centre greedy, weighted). Of photos that show one picture only one is in the
/// queue. Equal ones come in the order they were given: the same photos always give the same queue.
///
/// - Source: Settles 2009, "Active learning literature survey" (margin, entropy); Sener and Savarese 2018,
///   arXiv:1708.00489 (k-centre greedy).
package enum LabelQueue {
  /// What the order goes by.
  package enum Order: String, Sendable, CaseIterable {
    /// How unsure the model is.
    case uncertainty
    /// That, and how unlike the photos before.
    case diversity
  }

  /// A photo of the queue.
  package struct Entry: Sendable, Equatable {
    /// Its number among the photos.
    package let photo: Int
    /// See ``uncertainty(of:severalLabels:)``.
    package let uncertainty: Double
    /// Euclidean distance of its features, of length 1, to the nearest photo before; nil for the first, and by
    /// uncertainty alone.
    package let distance: Double?
    /// Photos that show the same picture.
    package let copies: [Int]
  }

  /// How unsure probabilities are, 0...1: 1 minus the margin between the two largest; where a photo may have
  /// several labels, how near the one that is nearest to one half is to it.
  package static func uncertainty(of probabilities: [Float], severalLabels: Bool) -> Double {
    if severalLabels {
      return probabilities.map { 1 - abs(2 * Double($0) - 1) }.max() ?? 0
    }
    let sorted = probabilities.sorted(by: >)
    guard sorted.count > 1 else { return 0 }
    return 1 - Double(sorted[0] - sorted[1])
  }

  /// Entropy as a share of the largest there can be, 0...1.
  package static func entropy(of probabilities: [Float]) -> Double {
    guard probabilities.count > 1 else { return 0 }
    let sum = probabilities.reduce(0.0) { $0 - ($1 > 0 ? Double($1) * log(Double($1)) : 0) }
    return min(max(sum / log(Double(probabilities.count)), 0), 1)
  }

  /// The first `count` photos to label.
  ///
  /// - Parameters:
  ///   - uncertainty: of each photo.
  ///   - vectors: features of each, of one length.
  ///   - groups: photos that show the same picture, each with at least two.
  package static func queue(
    _ order: Order, uncertainty: [Double], vectors: [[Float]], groups: [[Int]], count: Int
  ) -> [Entry] {
    precondition(uncertainty.count == vectors.count, "Every photo has features.")
    var copies: [Int: [Int]] = [:]
    var left = Set(uncertainty.indices)
    for group in groups {
      // The most unsure of one picture stands for it.
      guard let first = group.min(by: { (-uncertainty[$0], $0) < (-uncertainty[$1], $1) }) else {
        continue
      }
      copies[first] = group.filter { $0 != first }.sorted()
      left.subtract(copies[first] ?? [])
    }
    let photos = left.sorted { (-uncertainty[$0], $0) < (-uncertainty[$1], $1) }
    guard order == .diversity else {
      return photos.prefix(count).map {
        Entry(photo: $0, uncertainty: uncertainty[$0], distance: nil, copies: copies[$0] ?? [])
      }
    }
    let units = vectors.map(unit)
    // What the model is wholly sure of is not worth nothing where it is unlike everything else.
    let weights = uncertainty.map { max($0, 0.01) }
    var nearest = [Double](repeating: .infinity, count: uncertainty.count)
    var rest = photos
    var queue: [Entry] = []
    while queue.count < count, !rest.isEmpty {
      var place = 0
      if !queue.isEmpty {
        for other in rest.indices.dropFirst()
        where weights[rest[other]] * nearest[rest[other]] > weights[rest[place]]
          * nearest[rest[place]]
        {
          place = other
        }
      }
      let photo = rest.remove(at: place)
      queue.append(
        Entry(
          photo: photo, uncertainty: uncertainty[photo],
          distance: queue.isEmpty ? nil : nearest[photo], copies: copies[photo] ?? []))
      for other in rest {
        nearest[other] = min(nearest[other], distance(units[photo], units[other]))
      }
    }
    return queue
  }

  private static func unit(_ vector: [Float]) -> [Float] {
    let norm = vector.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    return vector.map { norm > 0 ? Float(Double($0) / norm) : 0 }
  }

  private static func distance(_ first: [Float], _ second: [Float]) -> Double {
    var sum: Float = 0
    for index in first.indices {
      let difference = first[index] - second[index]
      sum += difference * difference
    }
    return Double(sum).squareRoot()
  }
}
