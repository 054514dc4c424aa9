// SPDX-License-Identifier: Apache-2.0

/// How evenly the samples are spread over the classes, and the weights that would even it out.
package struct ClassBalance: Sendable, Equatable {
  /// How rare classes are made to count more.
  package enum Weighting: String, Sendable, Codable, CaseIterable {
    /// Every sample counts the same.
    case none
    /// n / (k * count): every class counts the same.
    ///
    /// - Source: scikit-learn's `class_weight="balanced"`.
    case balanced
    /// The square root of `balanced`: half way, on a logarithmic scale.
    case squareRoot
  }

  /// Samples of each class.
  package let counts: [Int]

  /// Takes the counts; traps on a negative one.
  package init(counts: [Int]) {
    precondition(counts.allSatisfy { $0 >= 0 }, "A class count cannot be negative: \(counts).")
    self.counts = counts
  }

  /// Counts labels; traps on one outside `0..<classes`.
  package init(labels: some Sequence<Int>, classes: Int) {
    var counts = [Int](repeating: 0, count: classes)
    for label in labels {
      precondition(label >= 0 && label < classes, "Label \(label) is outside 0..<\(classes).")
      counts[label] += 1
    }
    self.init(counts: counts)
  }

  /// Largest count over smallest, of the classes that have samples; 1 when none has.
  package var ratio: Double {
    let present = counts.filter { $0 > 0 }
    guard let most = present.max(), let least = present.min() else { return 1 }
    return Double(most) / Double(least)
  }

  /// One weight a class; a class without samples gets 1 and does not count as one of the k.
  package func weights(_ weighting: Weighting) -> [Float] {
    let total = Double(counts.reduce(0, +))
    let present = Double(counts.count { $0 > 0 })
    return counts.map { count in
      guard count > 0 else { return 1 }
      let balanced = total / (present * Double(count))
      return switch weighting {
      case .none: 1
      case .balanced: Float(balanced)
      case .squareRoot: Float(balanced.squareRoot())
      }
    }
  }
}
