// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Files
import Foundation
import SystemPackage
import Tensors
import Training

/// What a killed training continues from: one file, written anew every few seconds.
struct TrainerCheckpoint {
  let path: FilePath
  /// Hash of everything the training depends on; a checkpoint of another training is not used.
  let key: String

  init(_ run: RunDirectory, key: String) {
    path = run.checkpoints.appending("trainer.safetensors")
    self.key = key
  }

  func save(_ state: TrainerState) throws {
    try FileSystem.createDirectory(path.removingLastComponent())
    let progress = String(decoding: try JSONEncoder().encode(state.progress), as: UTF8.self)
    let tensors = state.tensors.sorted { $0.key < $1.key }.map { StoredTensor($0.key, $0.value) }
    try SafetensorsWriter.write(path, tensors, metadata: ["key": key, "progress": progress])
  }

  /// The saved state; nil when there is none of this training.
  func load() throws -> TrainerState? {
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

  func remove() throws { try FileSystem.remove(path) }
}
