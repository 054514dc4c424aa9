// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Files
import Foundation
import SystemPackage
import Tensors
package import Training

/// What a killed training continues from: one file, written anew every second or so.
package struct TrainerCheckpoint {
  private let path: FilePath
  /// Hash of everything the training depends on; a checkpoint of another training is not used.
  private let key: String

  package init(_ run: RunDirectory, key: String) {
    path = run.checkpoints.appending("trainer.safetensors")
    self.key = key
  }

  package func save(_ state: TrainerState) throws {
    try FileSystem.createDirectory(path.removingLastComponent())
    let progress = String(decoding: try JSONEncoder().encode(state.progress), as: UTF8.self)
    let tensors = state.tensors.sorted { $0.key < $1.key }.map { StoredTensor($0.key, $0.value) }
    try SafetensorsWriter.write(path, tensors, metadata: ["key": key, "progress": progress])
  }

  /// The saved state; nil when there is none of this training.
  package func load() throws -> TrainerState? {
    guard FileSystem.exists(path) else { return nil }
    let checkpoint = try CheckpointReader.read(path)
    guard checkpoint.metadata["key"] == key, let text = checkpoint.metadata["progress"] else {
      return nil
    }
    let progress = try JSONDecoder().decode(TrainerProgress.self, from: Data(text.utf8))
    var tensors: [String: Tensor<Float>] = [:]
    for tensor in checkpoint.tensors { tensors[tensor.name] = try tensor.floats() }
    return try TrainerState(progress: progress, tensors: tensors)
  }

  package func remove() throws { try FileSystem.remove(path) }
}

/// When to save: at most once a second, and never so often that it takes a twentieth of the time.
struct SavingPace {
  private var next = ContinuousClock.now + .seconds(1)

  /// Calls `body` when it is time.
  mutating func save(_ body: () throws -> Void) rethrows {
    let start = ContinuousClock.now
    guard start >= next else { return }
    try body()
    next = .now + max(.seconds(1), start.duration(to: .now) * 20)
  }
}
