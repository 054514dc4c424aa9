// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawCheckpoints
import ThawConsole
import ThawDatasets
import ThawImages
import ThawInference
import ThawNetwork
import ThawRecipes
import ThawTensors
import ThawTraining

/// The model of a run applied to one of its splits, photo by photo.
struct RunEvaluation {
  let evaluation: Evaluation
  let classes: [String]
  let records: [Manifest.Record]
  let labels: [Int]
  /// [photos, classes], averaged over the views.
  let probabilities: Tensor<Float>

  /// - Parameters:
  ///   - split: nil for the test split if there is one, else the validation split.
  ///   - snapshots: the models at the ends of the training's cycles in place of the run's.
  ///   - model: another model file of the run's, such as the head's; nil for the one to ship.
  init(
    _ run: OpenRun, split: Split?, tta: Recipe.TestTime, snapshots: Bool, model: FilePath? = nil
  ) throws {
    let (directory, recipe, manifest) = (run.directory, run.recipe, run.manifest)
    try directory.require(directory.model, from: "thaw train")
    let chosen = split ?? (manifest.records(in: .test).isEmpty ? .valid : .test)
    records = manifest.records(in: chosen)
    classes = manifest.classes
    guard !records.isEmpty else {
      throw PipelineError.data(
        "\(directory.path.displayed): the manifest has no photos in the '\(chosen.rawValue)' split."
          + " Choose another with --split.")
    }
    let file = model ?? directory.model
    let files = snapshots ? try SnapshotModels.members(of: file) : [file]
    // Whose augmentation it was matters only where photos are varied as in training.
    let training = tta.drawsAsInTraining ? try TrainingRecord.read(directory.model) : nil
    let views = tta.views(
      of: recipe.augmentation(isHeadAlone: training?.isHeadAlone ?? true), seed: recipe.seed)
    let photos = records
    let members = try files.map { file in
      try RunEvaluation.logits(of: photos, by: file, views: views.views, run)
    }
    let indices = manifest.classIndices
    labels = records.compactMap { indices[$0.className] }
    probabilities = views.probabilities(of: members)
    var evaluation = try Evaluation(
      split: chosen.rawValue, classNames: classes, members: members, tta: views, labels: labels)
    let pictures = manifest.pictures(of: records)
    if pictures < records.count { evaluation.independent = pictures }
    self.evaluation = evaluation
  }

  /// The logits of photos for each view, [photos, classes], by a model file of the run.
  private static func logits(
    of photos: [Manifest.Record], by file: FilePath, views: [TestTimeView], _ run: OpenRun
  ) throws -> [Tensor<Float>] {
    let (manifest, context) = (run.manifest, run.context)
    let model = try ModelFile.read(file)
    try run.requireClasses(of: model.record, in: file)
    if file == run.directory.model,
      let key = try TrainingRecord(of: model.record, file: file).photosKey,
      key != manifest.photosKey
    {
      context.console.warn(
        "\(file.displayed): the run's photos have changed since it was trained. Run: thaw fit or thaw"
          + " train --run \(run.directory.path.displayed)")
    }
    let network = try TransferNetwork(
      run.recipe, trained: model.parameters, classes: manifest.classes, context: context)
    guard model.record.preprocessing == network.preprocessing.json else {
      throw PipelineError.data(
        "\(file.displayed): was trained with another preprocessing than the recipe says now."
          + " Run: thaw train --run \(run.directory.path.displayed)")
    }
    let store = try FeatureStore(network, of: run)
    _ = try store.fill(photos, views: views)
    let indices = manifest.classIndices
    let labels = photos.compactMap { indices[$0.className] }
    return try views.map { view in
      let features = CachedFeatures(clean: try store.matrix(photos, view: view), labels: labels)
      return try network.logits(
        of: features.tensor, parameters: model.parameters, compiler: context.compiler)
    }
  }

  /// The index of the most probable class of each photo.
  var predictions: [Int] { Probabilities.predictions(probabilities) }

  /// The probability of class `index` for photo `row`.
  func probability(_ row: Int, _ index: Int) -> Float { probabilities[row * classes.count + index] }

  /// One row a photo.
  var csv: String {
    var table = CSVWriter(
      header: ["path", "split", "label", "prediction", "probability", "label_probability"])
    for (row, predicted) in predictions.enumerated() {
      table.append([
        records[row].path.description, evaluation.split, classes[labels[row]], classes[predicted],
        "\(probability(row, predicted))", "\(probability(row, labels[row]))",
      ])
    }
    return table.text
  }
}
