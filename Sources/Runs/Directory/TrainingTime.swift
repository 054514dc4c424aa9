// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawFiles

/// How long a training took; kept beside the model, not in it, so that the model's bytes depend on
/// the training alone.
struct TrainingTime: Sendable {
  /// Time of the training alone, over all processes that worked on it.
  let seconds: Double
  /// Training photos (their features) a second; 0 when nothing was trained.
  let imagesPerSecond: Double
  /// Compute threads, on which the last bits of the model depend; nil when they were not noted.
  var threads: Int?

  init(photos: Int, seconds: Double) {
    self.seconds = seconds
    imagesPerSecond = photos == 0 ? 0 : Double(photos) / max(seconds, 1e-9)
  }

  private struct File: Codable {
    let key: String
    let seconds: Double
    let imagesPerSecond: Double
    let threads: Int?
  }

  /// The time of the training with `key`; nil when it was not noted.
  init?(in run: RunDirectory, key: String) {
    guard let bytes = try? FileSystem.read(run.trainingTime, limit: 1 << 16),
      let file = try? JSONDecoder().decode(File.self, from: Data(bytes)), file.key == key
    else { return nil }
    seconds = file.seconds
    imagesPerSecond = file.imagesPerSecond
    threads = file.threads
  }

  /// Notes that the training with `key` took this long.
  ///
  /// - Throws: `FileError`.
  func write(to run: RunDirectory, key: String, threads: Int) throws {
    try FileSystem.createDirectory(run.checkpoints)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let file = File(
      key: key, seconds: seconds, imagesPerSecond: imagesPerSecond, threads: threads)
    try AtomicFile.write(run.trainingTime, bytes: Array(try encoder.encode(file)) + [0x0A])
  }
}
