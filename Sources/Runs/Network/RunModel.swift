// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawCheckpoints
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawInference
import ThawRecipes

/// A model file of a run: what was trained, under the key of everything it depends on.
struct RunModel {
  /// Writes a model file.
  static func write(
    _ trained: TrainedNetwork, to path: FilePath, key: String, recipe: Recipe, manifest: Manifest,
    network: TransferNetwork, isHeadAlone: Bool
  ) throws {
    let counts = Dictionary(
      uniqueKeysWithValues: Split.allCases.map { ($0.rawValue, manifest.records(in: $0).count) })
    let training = TrainingRecord(
      key: key, recipe: recipe.yaml, backbone: network.card.name,
      weightsHash: network.card.checksum.digits, photos: counts, head: recipe.head,
      isHeadAlone: isHeadAlone,
      outcome: trained.outcome)
    var record = ModelRecord(
      thawVersion: thawVersion, architecture: network.architecture, classNames: manifest.classes,
      preprocessing: network.preprocessing.json, freezing: network.plan,
      training: try training.json(), structure: try network.structure(trained.parameters))
    record.notes["license"] = network.card.license
    try FileSystem.createDirectory(path.removingLastComponent())
    try ModelFile.write(path, record, trained.parameters.restricted(to: network.graph))
  }
}

extension RunDirectory {
  /// Between which values the share lies that the head alone gets right; 0...1 before it is trained.
  package var headAccuracy: ClosedRange<Double> {
    TrainingRecord.read(headModel)?.accuracyInterval ?? 0...1
  }
}
