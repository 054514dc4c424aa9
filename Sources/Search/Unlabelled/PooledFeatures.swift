// SPDX-License-Identifier: Apache-2.0

import ThawDatasets
import ThawRuns
import ThawTraining

/// Photos without labels under the answers that are taken for their labels.
struct PseudoLabelledPhotos: Sendable {
  /// Class by class.
  let records: [Manifest.Record]
  /// By class: how many of the records, how many an epoch sees, and how much one counts.
  fileprivate let classes: [(count: Int, turn: Int, share: Double)]

  /// - Parameter pool: what the numbers of ``PseudoLabels`` mean.
  init(_ labels: PseudoLabels, of pool: [Manifest.Record]) {
    // By their contents: in an order that says nothing of how sure they are.
    records = labels.classes.flatMap { own in
      own.photos.map { pool[$0] }.sorted { $0.sha256 < $1.sha256 }
    }
    classes = labels.classes.map { ($0.photos.count, $0.turn, $0.share) }
  }

  /// The samples of a training.
  ///
  /// - Parameters:
  ///   - features: of ``records``.
  ///   - inTurns: whether epochs take turns with the photos, a few each; otherwise all are there, with
  ///     weights.
  func source(
    beside labelled: CachedFeatures, _ features: CachedFeatures, inTurns: Bool
  ) -> PooledFeatures {
    PooledFeatures(labelled, features, classes, inTurns: inTurns)
  }
}

/// Labelled samples and behind them some without labels.
///
/// Descent knows no weights: that samples without labels weigh less is that fewer of them are seen in an epoch. The
/// places behind the labelled samples belong to a class each, and epochs take turns with its photos.
struct PooledFeatures: FeatureSource, Sendable {
  /// A place behind the labelled samples.
  private struct Place: Sendable {
    let label: Int
    /// Where its class's photos begin, and how many there are.
    let (first, count): (Int, Int)
    /// Which of an epoch's photos of the class, and how many those are.
    let (number, turn): (Int, Int)

    /// The photo that an epoch sees.
    func photo(in epoch: Int) -> Int { first + (number + epoch % count * turn) % count }
  }

  private let labelled: CachedFeatures
  private let pool: CachedFeatures
  private let places: [Place]
  /// How much each sample counts.
  let weights: [Double]

  fileprivate init(
    _ labelled: CachedFeatures, _ pool: CachedFeatures,
    _ classes: [(count: Int, turn: Int, share: Double)], inTurns: Bool
  ) {
    var (places, weights) = ([Place](), [Double](repeating: 1, count: labelled.count))
    var first = 0
    for (label, own) in classes.enumerated() {
      let turn = inTurns ? own.turn : own.count
      for number in 0..<turn {
        places.append(
          Place(label: label, first: first, count: own.count, number: number, turn: turn))
        weights.append(inTurns ? 1 : own.share)
      }
      first += own.count
    }
    precondition(first == pool.count, "\(pool.count) rows are not those of \(first) photos.")
    (self.labelled, self.pool, self.places, self.weights) = (labelled, pool, places, weights)
  }

  var count: Int { labelled.count + places.count }
  var stride: Int { labelled.stride }

  func label(_ index: Int) -> Int {
    index < labelled.count ? labelled.label(index) : places[index - labelled.count].label
  }

  func copyFeatures(
    of indices: ArraySlice<Int>, view: FeatureView, into output: UnsafeMutableBufferPointer<Float>
  ) {
    var epoch = 0
    if case .training(let number) = view { epoch = number }
    for (row, index) in indices.enumerated() {
      let target = UnsafeMutableBufferPointer(
        rebasing: output[row * stride..<(row + 1) * stride])
      if index < labelled.count {
        labelled.copyFeatures(of: [index], view: view, into: target)
      } else {
        let photo = places[index - labelled.count].photo(in: epoch)
        pool.copyFeatures(of: [photo], view: view, into: target)
      }
    }
  }
}
