// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawConsole
import ThawFiles

/// The models at the ends of a training's cycles, which can answer together.
package enum SnapshotModels {
  /// The snapshots of the training that made the model at `path`, in order of their epochs, from
  /// the directory `checkpoints` beside it.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when there are none; `CheckpointError` when one is damaged.
  package static func members(of path: FilePath) throws -> [FilePath] {
    let directory = path.removingLastComponent().appending("checkpoints")
    let key = try TrainingRecord.read(path)?.key
    let members = try all(in: directory).filter {
      try key != nil && TrainingRecord.read($0)?.key == key
    }
    guard !members.isEmpty else {
      throw PipelineError.data(
        "\(path.displayed): there are no snapshots of its training in \(directory.displayed)."
          + " A schedule with cycles makes them: --schedule sgdr or warm_restarts.")
    }
    return members
  }

  package static func all(in directory: FilePath) throws -> [FilePath] {
    guard FileSystem.exists(directory) else { return [] }
    return try FileSystem.list(directory).map(\.string)
      .filter { $0.hasPrefix("snapshot-") && $0.hasSuffix(".safetensors") }.sorted()
      .map { directory.appending($0) }
  }
}
