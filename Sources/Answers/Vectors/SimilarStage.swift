// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawImages
package import ThawInference

/// Find the photos that a network sees as most like some others.
package struct SimilarStage {
  private let context: StageContext

  /// Uses the context's threads and console.
  package init(context: StageContext) { self.context = context }

  /// A photo that is like the one that was asked for.
  package struct Match: Encodable, Sendable {
    package let path: String
    package let sha256: String
    /// The cosine between the two vectors, -1...1.
    package let similarity: Float
  }

  /// The photos most like one.
  package struct Answer: Encodable, Sendable {
    package let path: String
    /// The most similar first.
    package let matches: [Match]
  }

  /// What was found.
  package struct Found: Encodable, Sendable {
    package let answers: [Answer]
    /// Photos that were searched.
    package let searched: Int
    /// Photos that have no vector, and why.
    package let failures: [FoundPhotos.Failure]
    /// The contact sheet, as displayed; nil when none was asked for.
    package let sheet: String?
  }

  /// Searches a folder of photos, whose vectors are computed, or a file of vectors.
  ///
  /// A photo that is searched for and lies in the collection itself, by its contents, is left out of its own
  /// answer.
  ///
  /// - Parameters:
  ///   - count: how many are given, at least 1.
  ///   - layer: see ``FeatureExtractor``.
  ///   - sheet: where to write a contact sheet, a JPEG or PNG; nil for none.
  /// - Throws: ``PipelineError/data(_:)`` when vectors are of another length than the model's.
  package func similar(
    to inputs: [FilePath], in collection: FilePath, model: ModelReference, count: Int,
    layer: String? = nil, sheet: FilePath? = nil
  ) throws -> Found {
    let stored = try model.read(context: context)
    let extractor = try FeatureExtractor(stored, layer: layer, context: context)
    let own = try PhotoVectors(
      FoundPhotos(inputs, console: context.console), extractor, console: context.console)
    guard !own.rows.isEmpty else {
      throw PipelineError.data("none of the photos can be used: \(own.failures[0].reason)")
    }
    let length = extractor.length
    let queries = own.rows.indices.map {
      Array(own.elements[($0 * length)..<(($0 + 1) * length)])
    }
    // A photo of the collection, whose vector there is known to be this model's or not.
    let probe = try probe(collection, extractor)
    // More, for the photo itself; once again where the collection has more copies of it than that.
    var nearest = NearestVectors(to: queries + (probe.map { [$0] } ?? []), limit: count + 1)
    var (rows, failures) = try search(collection, extractor, &nearest)
    let sought = Set(own.rows.map(\.sha256))
    let copies =
      Dictionary(grouping: rows.map(\.sha256).filter(sought.contains), by: \.self)
      .values.map(\.count).max() ?? 0
    if copies > 1 {
      nearest = NearestVectors(to: queries + (probe.map { [$0] } ?? []), limit: count + copies)
      (rows, failures) = try search(collection, extractor, &nearest)
    }
    if probe != nil, (nearest.matches[queries.count].first?.similarity ?? 0) < 0.995 {
      throw PipelineError.data(
        "\(collection.displayed): its vectors are not what the model makes of the same photos at"
          + " '\(extractor.layer)'. They are of another model or another --layer: make them anew with thaw embed."
      )
    }
    let answers = own.rows.enumerated().map { index, row in
      let others = nearest.matches[index].filter { rows[$0.row].sha256 != row.sha256 }
      return Answer(
        path: row.path,
        matches: others.prefix(count).map {
          Match(
            path: rows[$0.row].path, sha256: rows[$0.row].sha256, similarity: $0.similarity)
        })
    }
    if let sheet {
      let missing = try PhotoSheet(stored.preprocessing, side: 160).write(
        answers.enumerated().map { index, answer in
          [own.paths[index]] + answer.matches.map { FilePath($0.path) }
        }, to: sheet)
      if missing > 0 {
        context.console.warn(
          "\(sheet.displayed): \(counted(missing, "photo")) cannot be read where the vectors say, and"
            + " \(missing == 1 ? "is a grey square" : "are grey squares").")
      }
    }
    return Found(
      answers: answers, searched: rows.count, failures: own.failures + failures,
      sheet: sheet?.displayed)
  }

  /// What the model makes of a photo that a file of vectors lists, to hold against them; nil for a folder, whose
  /// vectors are made now, and where none of the first photos is at hand, which is said.
  private func probe(
    _ collection: FilePath, _ extractor: FeatureExtractor
  ) throws -> [Float]? {
    guard try isFileOfVectors(collection) else { return nil }
    for row in try VectorFile(collection).rows.prefix(100) {
      let path = FilePath(row.path)
      guard let bytes = try? PhotoFiles.read(path, limit: 1 << 30),
        SHA256.hexadecimal(of: bytes) == row.sha256
      else { continue }
      let found = try FoundPhotos([path], console: context.console)
      let vectors = try PhotoVectors(found, extractor, console: context.console)
      if !vectors.elements.isEmpty { return vectors.elements }
    }
    context.console.warn(
      "\(collection.displayed): its first photos are not where it says, so that nobody can tell whether its"
        + " vectors are of this model.")
    return nil
  }

  private func isFileOfVectors(_ collection: FilePath) throws -> Bool {
    try PhotoFiles.status(of: collection).kind == .regular && !PhotoFiles.isArchive(collection)
  }

  private func search(
    _ collection: FilePath, _ extractor: FeatureExtractor, _ nearest: inout NearestVectors
  ) throws -> (rows: [VectorFile.Row], failures: [FoundPhotos.Failure]) {
    if try isFileOfVectors(collection) {
      let file = try VectorFile(collection)
      guard file.length == extractor.length else {
        throw PipelineError.data(
          "\(collection.displayed): its vectors have \(file.length) numbers, the model's at"
            + " '\(extractor.layer)' \(extractor.length). They are of another model or another --layer."
        )
      }
      try file.forEachBlock { nearest.add($0) }
      return (file.rows, [])
    }
    let vectors = try PhotoVectors(
      FoundPhotos([collection], console: context.console), extractor, console: context.console)
    vectors.elements.withUnsafeBufferPointer { nearest.add($0) }
    return (vectors.rows, vectors.failures)
  }
}
