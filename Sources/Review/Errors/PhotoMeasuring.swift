// SPDX-License-Identifier: Apache-2.0

import Synchronization
import SystemPackage
import ThawDatasets
import ThawImages
import ThawInference

/// Measures photos as the verification of a dataset does.
enum PhotoMeasuring {
  /// One for each path; nil for a photo that cannot be read any more.
  ///
  /// - Throws: ``PipelineError/interrupted``.
  static func measure(
    _ paths: [FilePath], reading options: DecodeOptions, context: StageContext
  ) throws -> [PhotoTags.Measured?] {
    let verifier = DecodingVerifier(options: options)
    let results = Mutex([PhotoTags.Measured?](repeating: nil, count: paths.count))
    let progress = context.console.progress("Measuring photos", total: paths.count)
    let chunk = 256
    for start in stride(from: 0, to: paths.count, by: chunk) {
      try context.checkInterruption()
      let count = min(chunk, paths.count - start)
      try forEachIndex(below: count, threads: context.threads) { index in
        guard let bytes = try? PhotoFiles.read(paths[start + index], limit: 1 << 30),
          let image = try? bytes.withUnsafeBytes({ try verifier.verify($0) })
        else { return }
        let measured = PhotoTags.Measured(image)
        results.withLock { $0[start + index] = measured }
      }
      progress.update(completed: start + count)
    }
    progress.finish()
    return results.withLock { $0 }
  }
}
