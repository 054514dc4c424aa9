// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawCheckpoints
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawImages
import ThawInference
import ThawNetwork
import ThawRecipes
import ThawTensors
import ThawTraining

/// A model file of a run: what was trained, under the key of everything it depends on.
struct RunModel {
  /// Writes a model file under each of some names.
  ///
  /// - Parameter isWhole: whether it is the model of a training, so that the validation photos choose what
  ///   its answers need: thresholds where photos may have several labels, the calibration where they have
  ///   one, and what is unlike the training photos. Otherwise thresholds are a half.
  static func write(
    _ trained: TrainedNetwork, to paths: [FilePath], key: String, _ run: OpenRun,
    network: TransferNetwork, isHeadAlone: Bool, isWhole: Bool = true,
    unlabelled: UnlabelledResult? = nil
  ) throws {
    let (recipe, manifest) = (run.recipe, run.manifest)
    let counts = Dictionary(
      uniqueKeysWithValues: Split.allCases.map { ($0.rawValue, manifest.records(in: $0).count) })
    let training = TrainingRecord(
      key: key, recipe: recipe.yaml, backbone: network.card.name,
      weightsHash: network.card.checksum.digits, photos: counts,
      photosKey: manifest.photosKey, head: recipe.head, isHeadAlone: isHeadAlone,
      outcome: trained.outcome, unlabelled: unlabelled)
    var record = ModelRecord(
      thawVersion: thawVersion, architecture: network.architecture, classNames: manifest.classes,
      outputActivation: manifest.outputActivation,
      thresholds: isWhole ? try thresholds(trained.parameters, run) : [],
      preprocessing: network.preprocessing.json,
      precision: run.context.computedPrecision(of: recipe),
      freezing: network.plan,
      training: try training.json(), structure: try network.structure(trained.parameters))
    record.notes["license"] = network.card.license
    if isWhole {
      record.calibration = try calibration(
        trained.parameters, key: key, isHeadAlone: isHeadAlone, run)?.json()
      record.unknown = try unknown(trained.parameters, run)?.json()
    }
    for path in paths {
      try FileSystem.createDirectory(path.removingLastComponent())
      try ModelFile.write(path, record, trained.parameters.restricted(to: network.graph))
    }
  }

  /// What the validation photos say of the probabilities: for one look, and for the looks and snapshots that
  /// the recipe evaluates with. Nil without validation photos, and where photos may have several labels.
  ///
  /// - Parameter key: of the training, whose snapshots lie in the run.
  private static func calibration(
    _ parameters: Parameters, key: String, isHeadAlone: Bool, _ run: OpenRun
  ) throws -> ModelCalibration? {
    let photos = run.manifest.records(in: .valid)
    guard !photos.isEmpty, case .single(let labels) = SampleLabels(of: photos, in: run.manifest)
    else { return nil }
    let independent = run.manifest.pictures(of: photos)
    func fitted(_ look: TestTimeAugmentation, _ models: [Parameters]) throws
      -> ModelCalibration.Fitted
    {
      let members = try models.map {
        try RunEvaluation.logits(of: photos, by: $0, views: look.views, run)
      }
      return ModelCalibration.Fitted(
        look, members: members, labels: labels, independent: independent)
    }
    var all = [try fitted(.crops(count: 1), [parameters])]
    let settings = run.recipe.evaluate
    guard settings.tta.count > 1 || settings.snapshots else { return ModelCalibration(all) }
    let look = settings.tta.views(
      of: run.recipe.augmentation(isHeadAlone: isHeadAlone), seed: run.recipe.seed)
    if settings.tta.count > 1 { all.append(try fitted(look, [parameters])) }
    if settings.snapshots {
      let files = try SnapshotModels.all(in: run.directory.checkpoints).filter {
        try TrainingRecord.read($0)?.key == key
      }
      if !files.isEmpty {
        all.append(try fitted(look, files.map { try ModelFile.read($0).parameters }))
      }
    }
    return ModelCalibration(all)
  }

  /// What tells photos that are unlike the training photos; nil without validation photos, and for networks
  /// that are their head alone or hand it more than ``UnknownScore/mostFeatures``.
  private static func unknown(_ parameters: Parameters, _ run: OpenRun) throws -> UnknownScore? {
    let validation = run.manifest.records(in: .valid)
    let training = run.manifest.sample(of: .train, atMost: UnknownScore.mostPhotos)
    guard !validation.isEmpty, training.count > 1 else { return nil }
    let network = try TransferNetwork(
      run.recipe, trained: parameters, classes: run.manifest.classes, context: run.context)
    guard network.graph.headInput == network.partition.cut else { return nil }
    // One after the other: a cache is held by who reads it.
    func features(_ photos: [Manifest.Record], _ precision: FeaturePrecision) throws
      -> Tensor<Float>?
    {
      let store = try FeatureStore(network, of: run, precision: precision)
      guard store.rowLength <= UnknownScore.mostFeatures else { return nil }
      _ = try store.fill(photos)
      return CachedFeatures(
        clean: try store.matrix(photos), labels: .single([Int](repeating: 0, count: photos.count))
      ).tensor
    }
    // What is judged is never rounded; training photos are read as training read them.
    guard let judged = try features(validation, .float32),
      let trained = try features(training, FeaturePrecision(run.recipe.cache))
    else { return nil }
    let indices = Dictionary(
      uniqueKeysWithValues: run.manifest.classes.enumerated().map { ($1, $0) })
    return UnknownScore.fitted(
      trained,
      // Photos of several labels lie in no class of their own: they are one cloud.
      labels: training.map { run.manifest.severalLabels ? 0 : indices[$0.className] ?? 0 },
      validation: judged)
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

extension Manifest {
  /// At most so many photos of a split, evenly of all classes; of each those whose contents have the lowest
  /// hashes, so that the same photos always give the same ones.
  fileprivate func sample(of split: Split, atMost limit: Int) -> [Record] {
    var groups: [String: [Record]] = [:]
    for record in records(in: split) { groups[record.className, default: []].append(record) }
    let sorted = groups.keys.sorted().compactMap { groups[$0]?.sorted { $0.sha256 < $1.sha256 } }
    var chosen: [Record] = []
    for rank in 0..<(sorted.map(\.count).max() ?? 0) {
      for group in sorted where rank < group.count && chosen.count < limit {
        chosen.append(group[rank])
      }
    }
    return chosen
  }
}
