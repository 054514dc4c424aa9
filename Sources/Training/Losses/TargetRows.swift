// SPDX-License-Identifier: Apache-2.0

package import ThawDatasets

/// What samples that may have several labels should be answered: a share a class, [n, classes], 1 for a
/// label, 0 for none, NaN where nobody knows.
///
/// NaN is what makes the unknown spread as it must: a sample mixed with one whose label is unknown has an
/// unknown label.
package struct TargetRows: Sendable {
  /// Width of a row.
  package let classes: Int
  /// Row by row.
  package let elements: [Float]

  /// Takes rows; traps unless they are whole.
  package init(_ elements: [Float], classes: Int) {
    precondition(
      classes > 0 && elements.count % classes == 0,
      "\(elements.count) targets are not rows of \(classes).")
    self.elements = elements
    self.classes = classes
  }

  /// Number of samples.
  package var count: Int { elements.count / classes }

  /// Whether sample `row` has class `column`; nil where nobody knows.
  package func label(_ row: Int, _ column: Int) -> Bool? {
    let target = elements[row * classes + column]
    return target.isNaN ? nil : target >= 0.5
  }

  /// How many samples have each class.
  package var positives: [Int] { counts(of: true) }

  /// How many samples are known not to have each class.
  package var negatives: [Int] { counts(of: false) }

  private func counts(of label: Bool) -> [Int] {
    (0..<classes).map { column in (0..<count).count { self.label($0, column) == label } }
  }

  /// Some of the rows, in the order of `rows`.
  package func subset(_ rows: [Int]) -> TargetRows {
    TargetRows(
      rows.flatMap { elements[$0 * classes..<($0 + 1) * classes] }, classes: classes)
  }

  /// How much more a missed label of each class counts than a wrong one, so that both sides of the
  /// question weigh the same.
  ///
  /// `balanced` is negatives / positives; a class without either gets 1.
  ///
  /// - Source: PyTorch's documentation of `BCEWithLogitsLoss(pos_weight=)`.
  package func positiveWeights(_ weighting: ClassBalance.Weighting) -> [Float] {
    zip(positives, negatives).map { positive, negative in
      guard positive > 0, negative > 0 else { return 1 }
      let balanced = Double(negative) / Double(positive)
      return switch weighting {
      case .none: 1
      case .balanced: Float(balanced)
      case .squareRoot: Float(balanced.squareRoot())
      }
    }
  }
}

/// The labels of samples: a class each, or several.
package enum SampleLabels: Sendable {
  /// A class of `0..<classes` each.
  case single([Int])
  /// See ``TargetRows``.
  case several(TargetRows)

  /// Number of samples.
  package var count: Int {
    switch self {
    case .single(let labels): labels.count
    case .several(let rows): rows.count
    }
  }

  /// The rows where samples may have several labels; nil where each has one.
  package var rows: TargetRows? { if case .several(let rows) = self { rows } else { nil } }

  /// The class of a sample that has one; 0 where samples may have several.
  package func label(_ index: Int) -> Int {
    if case .single(let labels) = self { labels[index] } else { 0 }
  }

  /// Those of photos of a manifest, in order.
  package init(of records: [Manifest.Record], in manifest: Manifest) {
    let indices = manifest.classIndices
    guard manifest.severalLabels else {
      self = .single(records.compactMap { indices[$0.className] })
      return
    }
    self = .several(
      TargetRows(records.map { $0.labels ?? LabelSet(present: []) }, classes: indices))
  }
}

extension TargetRows {
  /// The rows of label sets.
  ///
  /// - Parameter indices: the column of each class by name, all of `0..<count`; names that it lacks are
  ///   passed over.
  package init(_ sets: [LabelSet], classes indices: [String: Int]) {
    let classes = indices.count
    var elements = [Float](repeating: 0, count: sets.count * classes)
    for (row, labels) in sets.enumerated() {
      for name in labels.present { indices[name].map { elements[row * classes + $0] = 1 } }
      for name in labels.unknown { indices[name].map { elements[row * classes + $0] = .nan } }
    }
    self.init(elements, classes: classes)
  }
}
