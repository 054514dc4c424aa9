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

/// A model file of a run: what was trained, under the key of everything it depends on.
struct RunModel {
  /// Writes a model file.
  ///
  /// - Parameter choosesThresholds: whether, where photos may have several labels, the validation photos
  ///   choose from which probability on a photo has each; otherwise that is a half.
  static func write(
    _ trained: TrainedNetwork, to path: FilePath, key: String, _ run: OpenRun,
    network: TransferNetwork, isHeadAlone: Bool, choosesThresholds: Bool = true
  ) throws {
    let (recipe, manifest) = (run.recipe, run.manifest)
    let counts = Dictionary(
      uniqueKeysWithValues: Split.allCases.map { ($0.rawValue, manifest.records(in: $0).count) })
    let training = TrainingRecord(
      key: key, recipe: recipe.yaml, backbone: network.card.name,
      weightsHash: network.card.checksum.digits, photos: counts,
      photosKey: manifest.photosKey, head: recipe.head, isHeadAlone: isHeadAlone,
      outcome: trained.outcome)
    var record = ModelRecord(
      thawVersion: thawVersion, architecture: network.architecture, classNames: manifest.classes,
      outputActivation: manifest.outputActivation,
      thresholds: choosesThresholds ? try thresholds(trained.parameters, run) : [],
      preprocessing: network.preprocessing.json,
      precision: run.context.computedPrecision(of: recipe),
      freezing: network.plan,
      training: try training.json(), structure: try network.structure(trained.parameters))
    record.notes["license"] = network.card.license
    try FileSystem.createDirectory(path.removingLastComponent())
    try ModelFile.write(path, record, trained.parameters.restricted(to: network.graph))
  }

  /// See ``LabelThresholds``; empty where each photo has one label, and without validation photos.
  private static func thresholds(_ parameters: Parameters, _ run: OpenRun) throws -> [Float] {
    let photos = run.manifest.records(in: .valid)
    guard run.manifest.severalLabels, !photos.isEmpty,
      let targets = SampleLabels(of: photos, in: run.manifest).rows
    else { return [] }
    let logits = try RunEvaluation.logits(
      of: photos, by: parameters, views: [.plain(.center)], run)
    return LabelThresholds.chosen(Probabilities.sigmoid(logits[0]), targets)
  }
}

extension RunDirectory {
  /// Between which values the share lies that the head alone gets right; 0...1 before it is trained.
  ///
  /// - Throws: errors of the head's model file.
  package var headAccuracy: ClosedRange<Double> {
    get throws { try TrainingRecord.read(headModel)?.accuracyInterval ?? 0...1 }
  }

}

extension OpenRun {
  /// What is known of the training that made the model at `path`; nil when there is none, or a
  /// damaged one, which is said: a training then begins anew.
  ///
  /// - Throws: `CheckpointError` when the file is there and cannot be read.
  func finishedTraining(_ path: FilePath) throws -> TrainingRecord? {
    do { return try TrainingRecord.read(path) } catch let error as CheckpointError {
      guard error.kind != .unreadable else { throw error }
      context.console.warn("\(error) It is trained anew.")
    } catch let error as PipelineError {
      context.console.warn("\(error) It is trained anew.")
    }
    return nil
  }

  /// How long a training took; 0 when that was not noted.
  func time(of training: TrainingRecord) -> TrainingTime {
    TrainingTime(in: directory, key: training.key) ?? TrainingTime(photos: 0, seconds: 0)
  }
}
