// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawConsole
import ThawFiles
package import ThawInference

/// Write what a network makes of photos as vectors.
package struct EmbedStage {
  private let context: StageContext

  /// Uses the context's threads and console.
  package init(context: StageContext) { self.context = context }

  /// What was written.
  package struct Embedded: Encodable, Sendable {
    /// The file, as displayed.
    package let path: String
    package let format: VectorFile.Format
    /// The layer whose result the vectors are.
    package let layer: String
    /// Numbers in a vector.
    package let length: Int
    /// Photos that have one.
    package let count: Int
    /// Photos that have none, and why.
    package let failures: [FoundPhotos.Failure]
  }

  /// Writes a vector for each photo that can be used, in the order of the arguments, as it is computed: memory
  /// does not grow with their number.
  ///
  /// - Parameter layer: see ``FeatureExtractor``.
  /// - Throws: ``PipelineError/data(_:)`` when no photo can be used; errors of the model; `FileError`.
  package func embed(
    _ inputs: [FilePath], model: ModelReference, layer: String?, to output: FilePath,
    _ format: VectorFile.Format
  ) throws -> Embedded {
    let extractor = try FeatureExtractor(
      model.read(context: context), layer: layer, context: context)
    let found = try FoundPhotos(inputs, console: context.console)
    var failures = found.failures
    let progress = context.console.progress("Computing vectors", total: found.paths.count)
    let count = try VectorFile.write(
      output, format, length: extractor.length, capacity: found.paths.count
    ) { writer in
      try extractor.forEach(found.paths) { index, result in
        let path = found.paths[index]
        switch result {
        case .failure(let failure):
          failures.append(FoundPhotos.Failure(path: path.displayed, reason: failure.reason))
        case .success(let vector):
          try writer.append(
            VectorFile.Row(path: path.exact, sha256: vector.sha256), vector.elements)
        }
        progress.advance()
      }
      guard writer.count > 0 else {
        throw PipelineError.data("none of the photos can be used: \(failures[0].reason)")
      }
    }
    progress.finish()
    return Embedded(
      path: output.displayed, format: format, layer: extractor.layer, length: extractor.length,
      count: count, failures: failures)
  }
}

/// The vectors of photos that were found.
struct PhotoVectors {
  private(set) var rows: [VectorFile.Row] = []
  /// The file of each row.
  private(set) var paths: [FilePath] = []
  /// [rows, length]
  private(set) var elements: [Float] = []
  private(set) var failures: [FoundPhotos.Failure]

  /// - Throws: ``PipelineError/interrupted``, `ExecutionError`.
  init(_ found: FoundPhotos, _ extractor: FeatureExtractor, console: Console) throws {
    failures = found.failures
    let progress = console.progress("Computing vectors", total: found.paths.count)
    try extractor.forEach(found.paths) { index, result in
      let path = found.paths[index]
      switch result {
      case .failure(let failure):
        failures.append(FoundPhotos.Failure(path: path.displayed, reason: failure.reason))
      case .success(let vector):
        rows.append(VectorFile.Row(path: path.exact, sha256: vector.sha256))
        paths.append(path)
        elements += vector.elements
      }
      progress.advance()
    }
    progress.finish()
  }
}
