// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Datasets
import Images
import Network
import Reports
import Tensors
import Training

/// The model of a run applied to one of its splits, photo by photo.
struct RunEvaluation {
  let evaluation: Evaluation
  let classes: [String]
  let records: [Manifest.Record]
  let labels: [Int]
  /// [photos, classes], averaged over the views.
  let probabilities: Tensor<Float>

  /// - Parameter split: nil for the test split if there is one, else the validation split.
  init(_ run: RunDirectory, split: Split?, tta: Int, context: StageContext) throws {
    let recipe = try run.loadRecipe()
    let manifest = try run.loadManifest()
    try run.require(run.model, from: "thaw train")
    let model = try ModelFile.read(run.model)
    let chosen = split ?? (manifest.records(in: .test).isEmpty ? .valid : .test)
    records = manifest.records(in: chosen)
    classes = manifest.classes
    guard !records.isEmpty else {
      throw PipelineError.data(
        "\(run.path.displayed): the manifest has no photos in the '\(chosen.rawValue)' split."
          + " Choose another with --split.")
    }
    guard model.record.classNames == classes else {
      throw PipelineError.data(
        "\(run.model.displayed): was trained for other classes than the manifest has."
          + " Run: thaw train --run \(run.path.displayed)")
    }
    let network = try TransferNetwork(
      recipe, trained: model.parameters, classes: classes, context: context)
    guard model.record.preprocessing == network.preprocessing.json else {
      throw PipelineError.data(
        "\(run.model.displayed): was trained with another preprocessing than the recipe says now."
          + " Run: thaw train --run \(run.path.displayed)")
    }
    let store = try FeatureStore(network, manifest: manifest, run: run, context: context)
    let views = View.testTimeViews(count: tta).map(TestTimeView.plain)
    _ = try store.fill(records, views: views)
    let indices = manifest.classIndices
    let labels = records.compactMap { indices[$0.className] }
    let photos = records
    let logits = try views.map { view in
      let features = CachedFeatures(clean: try store.matrix(photos, view: view), labels: labels)
      return try network.logits(
        of: features.tensor, parameters: model.parameters, compiler: context.compiler)
    }
    self.labels = labels
    probabilities = Probabilities.mean(of: logits.map(Probabilities.softmax))
    evaluation = try Evaluation(
      split: chosen.rawValue, classNames: classes, views: logits, labels: labels)
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
