// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import ThawCheckpoints
import ThawFiles
import ThawNetwork
import ThawTensors
package import ThawTraining

/// What a killed training continues from: one file, written anew every second or so.
package struct TrainerCheckpoint {
  private let path: FilePath
  /// Hash of everything the training depends on; a checkpoint of another training is not used.
  private let key: String

  package init(_ run: RunDirectory, key: String) {
    path = run.trainerState
    self.key = key
  }

  package func save(_ state: PhasedTrainingState) throws {
    try FileSystem.createDirectory(path.removingLastComponent())
    func json(_ value: some Encodable) throws -> String {
      String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }
    var tensors = state.trainer.tensors
    for path in state.earlier.paths { tensors["earlier/\(path)"] = state.earlier[path] }
    try SafetensorsWriter.write(
      path, tensors.sorted { $0.key < $1.key }.map { StoredTensor($0.key, $0.value) },
      metadata: [
        "key": key, "progress": try json(state.trainer.progress), "phase": "\(state.phase)",
        "schedule": try json(state.schedule),
      ])
  }

  /// Whether there is the state of a training under other settings, which is not continued.
  package var isOfAnother: Bool {
    guard FileSystem.exists(path), let checkpoint = try? CheckpointReader.read(path) else {
      return false
    }
    return checkpoint.metadata["key"] != key
  }

  /// The saved state; nil when there is none of this training.
  package func load() throws -> PhasedTrainingState? {
    guard FileSystem.exists(path) else { return nil }
    let checkpoint = try CheckpointReader.read(path)
    let metadata = checkpoint.metadata
    guard metadata["key"] == key, let progress = metadata["progress"],
      let schedule = metadata["schedule"], let phase = metadata["phase"].flatMap({ Int($0) })
    else { return nil }
    var earlier = Parameters()
    var tensors: [String: Tensor<Float>] = [:]
    for tensor in checkpoint.tensors {
      if tensor.name.hasPrefix("earlier/") {
        earlier[ParameterPath(String(tensor.name.dropFirst(8)))] = try tensor.floats()
      } else {
        tensors[tensor.name] = try tensor.floats()
      }
    }
    let decoder = JSONDecoder()
    return PhasedTrainingState(
      phase: phase, schedule: try decoder.decode(FreezeSchedule.self, from: Data(schedule.utf8)),
      trainer: try TrainerState(
        progress: decoder.decode(TrainerProgress.self, from: Data(progress.utf8)),
        tensors: tensors), earlier: earlier)
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
