// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import ThawAnswers
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawImages
package import ThawInference
package import ThawRecipes
import ThawRuns

/// Say which photos to label next.
package struct RankStage {
  private let context: StageContext

  /// Uses the context's threads and console.
  package init(context: StageContext) { self.context = context }

  /// A photo to label.
  package struct Ranked: Encodable, Sendable {
    /// From 1.
    package let rank: Int
    /// As displayed.
    package let path: String
    /// The most probable class and its calibrated probability.
    package let label: String
    package let probability: Float
    /// 1 minus the margin between the two most probable classes; see ``LabelQueue``.
    package let uncertainty: Double
    /// 0 for a certain answer, 1 when every class is as probable.
    package let entropy: Double
    /// Of its features to the nearest photo before; nil for the first, and by uncertainty alone.
    package let distance: Double?
    /// Whether the photo is unlike anything that the model was trained on; nil when that is not known.
    package let unknown: Bool?
    /// Photos that show the same picture, which need no label of their own.
    package let copies: [String]
  }

  /// The photos in `inputs` that are worth a label, the most worthy first.
  ///
  /// - Parameters:
  ///   - count: how many at most.
  ///   - tta: looks at each photo.
  /// - Throws: ``PipelineError/data(_:)`` when no photo can be used; errors of the model;
  ///   ``PipelineError/interrupted``.
  package func rank(
    _ inputs: [FilePath], model: ModelReference, by order: LabelQueue.Order, count: Int,
    tta: Recipe.TestTime
  ) throws -> (photos: [Ranked], failures: [FoundPhotos.Failure]) {
    var options = PredictStage.Options()
    (options.top, options.tta) = (.max, tta)
    let (predictions, failures) = try PredictStage(context: context).predict(
      inputs, model: model, options: options)
    guard !predictions.isEmpty else {
      throw PipelineError.data(
        "none of the photos can be used: \(failures.first?.reason ?? "there are none")")
    }
    let names = Set(predictions.map(\.path))
    let found = try FoundPhotos(inputs, console: Console(observer: { _ in })).paths.filter {
      names.contains($0.displayed)
    }
    let (paths, vectors, thumbnails) = try looks(found, model)
    let known = Dictionary(
      predictions.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })
    let rows = paths.compactMap { known[$0.displayed] }
    let severalLabels = rows.first?.labels != nil
    let probabilities = rows.map { $0.top.map(\.probability) }
    let queue = LabelQueue.queue(
      order,
      uncertainty: probabilities.map {
        LabelQueue.uncertainty(of: $0, severalLabels: severalLabels)
      }, vectors: vectors,
      groups: NearDuplicates.groups(thumbnails, threads: context.threads), count: count)
    let photos = queue.enumerated().map { index, entry in
      let row = rows[entry.photo]
      return Ranked(
        rank: index + 1, path: row.path, label: row.top.first?.label ?? "",
        probability: row.top.first?.probability ?? 0, uncertainty: entry.uncertainty,
        entropy: severalLabels
          ? entry.uncertainty : LabelQueue.entropy(of: probabilities[entry.photo]),
        distance: entry.distance, unknown: row.unknown,
        copies: entry.copies.map { rows[$0].path })
    }
    return (photos, failures)
  }

  /// Features and thumbnails of the photos that have both.
  private func looks(
    _ paths: [FilePath], _ model: ModelReference
  ) throws -> ([FilePath], [[Float]], [PhotoThumbnail?]) {
    let extractor = try FeatureExtractor(model.read(context: context), context: context)
    let progress = context.console.progress("Comparing photos", total: paths.count)
    let decoder = DecodingVerifier()
    var used: [FilePath] = []
    var vectors: [[Float]] = []
    var thumbnails: [PhotoThumbnail?] = []
    try extractor.forEach(paths) { index, result in
      progress.advance()
      guard case .success(let vector) = result else { return }
      let bytes = try PhotoFiles.read(paths[index], limit: 1 << 30)
      used.append(paths[index])
      vectors.append(vector.elements)
      thumbnails.append(
        (try? bytes.withUnsafeBytes { try decoder.verify($0) })?.thumbnail)
    }
    progress.finish()
    return (used, vectors, thumbnails)
  }
}
