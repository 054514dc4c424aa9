// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import ThawConsole
import ThawFiles
package import ThawRecipes
package import ThawTraining

/// `metrics.json`: the evaluation made last, and the last one for each split and number of views.
package struct MetricsFile {
  private let path: FilePath
  private let model: FilePath

  /// One entry of the file's `evaluations`.
  package struct Entry: Codable {
    /// ``Recipe/TestTime/count``.
    package let tta: Int
    /// How several looks became one answer; nil in files that knew one way only.
    package let mode: Recipe.TestTime.Mode?
    /// ``Recipe/TestTime/cleanShare``.
    package let clean: Double?
    /// Whether the snapshots of the training were averaged.
    package let snapshots: Bool?
    /// Which file was judged, so that a new model's numbers do not mix with the old one's.
    package let model: String
    package let result: Evaluation

    /// What was judged, for tables.
    var name: String { look.name + (snapshots == true ? ", snapshots averaged" : "") }

    /// The looks that were averaged.
    var look: Recipe.TestTime {
      Recipe.TestTime(count: tta, mode: mode ?? .crops, cleanShare: clean)
    }
  }

  private struct Contents: Codable {
    var latest: Evaluation
    var evaluations: [Entry]
  }

  package init(_ run: RunDirectory) {
    path = run.metrics
    model = run.model
  }

  /// Evaluations of the model as it is now.
  package func entries() throws -> [Entry] {
    guard FileSystem.exists(path), FileSystem.exists(model) else { return [] }
    let bytes = Data(try FileSystem.read(path))
    guard let contents = try? JSONDecoder().decode(Contents.self, from: bytes) else {
      throw PipelineError.data(
        "\(path.displayed): damaged. Run again: thaw evaluate --run"
          + " \(path.removingLastComponent().displayed)")
    }
    let current = try identity()
    return contents.evaluations.filter { $0.model == current }
  }

  /// Adds an evaluation in place of the last one of its kind. A damaged file is replaced.
  ///
  /// - Returns: what was lost with a damaged file, for people; nil when nothing was.
  /// - Throws: `FileError`.
  @discardableResult
  package func add(
    _ evaluation: Evaluation, tta: Recipe.TestTime, snapshots: Bool = false
  ) throws -> String? {
    var entries: [Entry] = []
    var loss: String?
    do { entries = try self.entries() } catch is PipelineError {
      loss = "\(path.displayed) was damaged; earlier evaluations in it are lost."
    }
    entries.removeAll {
      $0.look == tta && ($0.snapshots ?? false) == snapshots
        && $0.result.split == evaluation.split
    }
    let current = try identity()
    entries.append(
      Entry(
        tta: tta.count, mode: tta.mode, clean: tta.cleanShare, snapshots: snapshots,
        model: current, result: evaluation))
    let text = try JSONText.of(Contents(latest: evaluation, evaluations: entries))
    try AtomicFile.write(path, text: text + "\n")
    return loss
  }

  /// A model is replaced by renaming a new file over it, so its inode differs even when the two were
  /// written within one tick of the clock that stamps files.
  private func identity() throws -> String {
    let status = try FileStatus(of: model)
    return "\(status.inode) \(status.modified) \(status.size)"
  }
}
