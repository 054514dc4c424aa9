// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawCheckpoints
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawInference
import ThawNetwork
import ThawRecipes
import ThawTraining

/// The models at the ends of a training's cycles, `checkpoints/snapshot-EPOCH.safetensors`: each a
/// whole model file.
struct SnapshotFiles {
  let run: OpenRun
  /// Of the training: snapshots of another one are not mixed with them.
  let key: String
  let network: TransferNetwork
  let isHeadAlone: Bool

  /// Writes what a training that diverged had last, as a whole model file.
  ///
  /// - Parameters:
  ///   - best: the epoch whose weights these are; nil when they are those it began with.
  ///   - trained: numbers with a gradient.
  ///   - isCached: whether the frozen layers' output came from the cache.
  func writeLastGood(
    _ parameters: Parameters, best: EpochRecord?, trained: Int, isCached: Bool
  ) throws {
    let outcome = TrainingOutcome(
      epochs: best.map { $0.epoch + 1 } ?? 0, bestValidAccuracy: best?.validAccuracy,
      bestValidLoss: best?.validLoss, trainableParameters: trained, cached: isCached)
    try write(parameters, outcome, to: run.directory.lastGoodModel)
  }

  /// Writes the model as it is at the end of a cycle; an earlier file of the same epoch is replaced.
  ///
  /// - Parameters:
  ///   - epoch: the cycle's last, 0-based.
  ///   - trained: numbers with a gradient.
  ///   - isCached: whether the frozen layers' output came from the cache.
  func write(_ parameters: Parameters, epoch: Int, trained: Int, isCached: Bool) throws {
    let outcome = TrainingOutcome(
      epochs: epoch + 1, bestValidAccuracy: nil, bestValidLoss: nil, trainableParameters: trained,
      cached: isCached)
    try write(parameters, outcome, to: run.directory.snapshot(epoch: epoch + 1))
  }

  private func write(
    _ parameters: Parameters, _ outcome: TrainingOutcome, to path: FilePath
  ) throws {
    try RunModel.write(
      TrainedNetwork(
        parameters: parameters, outcome: outcome, time: TrainingTime(photos: 0, seconds: 0)),
      to: [path], key: key, run, network: network, isHeadAlone: isHeadAlone, isWhole: false)
  }

  /// Removes the snapshots of other trainings, and damaged ones.
  func removeOthers() throws {
    for path in try SnapshotModels.all(in: run.directory.checkpoints) where try key(of: path) != key
    {
      try FileSystem.remove(path)
    }
  }

  private func key(of path: FilePath) throws -> String? {
    do { return try TrainingRecord.read(path)?.key } catch let error as CheckpointError {
      // What cannot be read now may be whole.
      guard error.kind != .unreadable else { throw error }
      return nil
    } catch is PipelineError {
      return nil
    }
  }
}
