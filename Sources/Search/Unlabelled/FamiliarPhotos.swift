// SPDX-License-Identifier: Apache-2.0

import ThawDatasets
import ThawInference
import ThawRecipes
import ThawRuns
import ThawTensors
import ThawTraining

/// Tells photos that are like those that a run is trained on, by the features at the head's input.
struct FamiliarPhotos {
  private let score: UnknownScore
  private let bound: Float
  private let features: (ArraySlice<Manifest.Record>) throws -> [Float]

  /// The share of training photos that must pass when they are held out.
  private static let passing = 0.95

  /// - Returns: nil where the score is not defined: features of another place, or too few photos.
  init?(
    _ training: [Manifest.Record], _ run: OpenRun, _ network: TransferNetwork, _ heads: HeadTraining
  ) throws {
    guard network.graph.headInput == network.partition.cut else { return nil }
    let sample = FamiliarPhotos.sample(training)
    let indices = run.manifest.classIndices
    let labels = sample.map { indices[$0.className] ?? 0 }
    let recipe = run.recipe
    features = { records in
      let records = Array(records)
      let matrix = try heads.store(network, recipe, filledWith: []).matrix(records)
      return CachedFeatures(
        clean: matrix, labels: .single([Int](repeating: 0, count: records.count))
      ).tensor.elements
    }
    _ = try heads.store(network, recipe, filledWith: sample)
    let all = try features(sample[...])
    let width = all.count / max(sample.count, 1)
    func rows(_ photos: [Int]) -> Tensor<Float> {
      Tensor(
        photos.flatMap { all[$0 * width..<($0 + 1) * width] }, shape: [photos.count, width])
    }
    let assignment = FoldAssignment(of: sample, in: run.manifest, count: 5, seed: recipe.seed)
    var scores: [Float] = []
    for fold in 0..<assignment.count {
      let (known, held) = (assignment.training(fold), assignment.held(fold))
      guard !held.isEmpty,
        let part = UnknownScore.fitted(
          rows(known), labels: known.map { labels[$0] }, validation: rows(held + held))
      else { continue }
      scores += held.map { part.score(all[$0 * width..<($0 + 1) * width]) }
      try run.context.checkInterruption()
    }
    guard !scores.isEmpty,
      let score = UnknownScore.fitted(
        rows(Array(sample.indices)), labels: labels, validation: rows(Array(sample.indices)))
    else { return nil }
    self.score = score
    scores.sort()
    bound = scores[Int((FamiliarPhotos.passing * Double(scores.count)).rounded(.up)) - 1]
  }

  /// Those that are like the training photos.
  func familiar(_ records: [Manifest.Record]) throws -> [Manifest.Record] {
    var result: [Manifest.Record] = []
    for start in stride(from: 0, to: records.count, by: 1024) {
      let part = records[start..<min(start + 1024, records.count)]
      let rows = try features(part)
      let width = rows.count / part.count
      for (row, record) in part.enumerated()
      where score.score(rows[row * width..<(row + 1) * width]) <= bound { result.append(record) }
    }
    return result
  }

  /// At most ``UnknownScore/mostPhotos``, evenly of all classes, by the hashes of their contents.
  private static func sample(_ records: [Manifest.Record]) -> [Manifest.Record] {
    let groups = Dictionary(grouping: records, by: \.className).sorted { $0.key < $1.key }.map {
      $0.value.sorted { $0.sha256 < $1.sha256 }
    }
    var chosen: [Manifest.Record] = []
    for rank in 0..<(groups.map(\.count).max() ?? 0) {
      for group in groups where rank < group.count && chosen.count < UnknownScore.mostPhotos {
        chosen.append(group[rank])
      }
    }
    return chosen
  }
}
