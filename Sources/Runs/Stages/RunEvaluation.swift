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
  let labels: SampleLabels
  /// From which probability on a photo is given each class.
  let thresholds: ModelThresholds
  /// How photos were looked at.
  let look: ModelCalibration.Look
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
    var asked = recipe
    asked.evaluate.tta = tta
    asked.evaluate.snapshots = snapshots
    let (members, views) = try run.with(asked).logits(of: chosen, by: file)
    labels = SampleLabels(of: records, in: manifest)
    let record = try ModelFile.read(file).record
    thresholds = try ModelThresholds(of: record, source: file.displayed)
    let calibration = try ModelCalibration(of: record, source: file.displayed)
    let plain = views.probabilities(of: members, by: manifest.outputActivation)
    look = ModelCalibration.Look(views, snapshots: members.count > 1)
    probabilities =
      calibration?.fitted(for: look)?.fitted.temperature.probabilities(of: plain) ?? plain
    let pictures = manifest.sameness(of: records)
    var evaluation = try Evaluation(
      split: chosen.rawValue, classNames: classes, members: members, tta: views, labels: labels,
      thresholds: thresholds.values, calibration: calibration, isOfSamePhotos: chosen == .valid,
      sameness: pictures)
    if pictures.count < records.count { evaluation.independent = pictures.count }
    evaluation.apply(thresholds, probabilities, labels)
    self.evaluation = evaluation
    judging = (members, views, calibration, pictures)
  }

  /// What ``evaluation`` was made of.
  private let judging: ([[Tensor<Float>]], TestTimeAugmentation, ModelCalibration?, [[Int]])

  /// The same answers under other thresholds.
  func with(_ thresholds: ModelThresholds) throws -> RunEvaluation {
    try RunEvaluation(self, thresholds)
  }

  private init(_ other: RunEvaluation, _ thresholds: ModelThresholds) throws {
    (classes, records, labels) = (other.classes, other.records, other.labels)
    (look, probabilities, judging) = (other.look, other.probabilities, other.judging)
    self.thresholds = thresholds
    let (members, views, calibration, pictures) = other.judging
    var evaluation = try Evaluation(
      split: other.evaluation.split, classNames: classes, members: members, tta: views,
      labels: labels, thresholds: thresholds.values, calibration: calibration,
      isOfSamePhotos: other.evaluation.split == Split.valid.rawValue, sameness: pictures)
    evaluation.independent = other.evaluation.independent
    evaluation.apply(thresholds, probabilities, labels)
    self.evaluation = evaluation
  }

  /// The logits of photos for each view, [photos, classes], by a network of the run.
  ///
  /// - Parameters:
  ///   - contract: how photos were prepared for it; nil for as the recipe says.
  ///   - file: where it is, for the error.
  static func logits(
    of photos: [Manifest.Record], by parameters: Parameters, views: [TestTimeView], _ run: OpenRun,
    contract: String? = nil, file: FilePath? = nil
  ) throws -> [Tensor<Float>] {
    let network = try TransferNetwork(
      run.recipe, trained: parameters, classes: run.manifest.classes, context: run.context)
    if let contract, contract != network.preprocessing.json {
      throw PipelineError.data(
        "\(file?.displayed ?? ""): was trained with another preprocessing than the recipe says now."
          + " Run: thaw train --run \(run.directory.path.quoted)")
    }
    let store = try FeatureStore(network, of: run)
    _ = try store.fill(photos, views: views)
    let labels = SampleLabels(of: photos, in: run.manifest)
    return try views.map { view in
      let features = CachedFeatures(clean: try store.matrix(photos, view: view), labels: labels)
      return try network.logits(
        of: features.tensor, parameters: parameters, compiler: run.context.compiler)
    }
  }

  /// The index of the most probable class of each photo.
  var predictions: [Int] { Probabilities.predictions(probabilities) }

  /// The indices of the classes that a photo is said to have, in their order.
  func answers(_ row: Int) -> [Int] {
    guard labels.rows != nil else {
      return [
        classes.indices.max {
          (probability(row, $0), $1) < (probability(row, $1), $0)
        } ?? 0
      ]
    }
    return classes.indices.filter { probability(row, $0) >= thresholds.values[$0] }
  }

  /// Whether every answer about a photo is right; what nobody knows is not looked at.
  func isRight(_ row: Int) -> Bool {
    switch labels {
    case .single(let labels): return answers(row) == [labels[row]]
    case .several(let rows):
      return classes.indices.allSatisfy { column in
        let answer = probability(row, column) >= thresholds.values[column]
        return rows.label(row, column).map { $0 == answer } ?? true
      }
    }
  }

  /// The probability of class `index` for photo `row`.
  func probability(_ row: Int, _ index: Int) -> Float { probabilities[row * classes.count + index] }

  /// One row a photo: its label and the answer, or where it may have several labels for each class the
  /// label, the answer and its probability.
  var csv: String {
    if let rows = labels.rows { return csv(rows) }
    // What thresholds decide has a column where they do.
    let rule = thresholds.decides ? thresholds.rule : nil
    var table = CSVWriter(
      header: ["path", "split", "label", "prediction", "probability", "label_probability"]
        + (rule == nil ? [] : ["decision"]))
    for (row, predicted) in predictions.enumerated() {
      table.append(
        [
          records[row].path.description, evaluation.split, classes[labels.label(row)],
          classes[predicted], "\(probability(row, predicted))",
          "\(probability(row, labels.label(row)))",
        ]
          + (rule.map { rule in
            let answer = rule.answer(classes.indices.map { probability(row, $0) })
            return [answer.map { classes[$0] } ?? ModelThresholds.undecidedLabel]
          } ?? []))
    }
    return table.text
  }

  private func csv(_ rows: TargetRows) -> String {
    var table = CSVWriter(
      header: ["path", "split", "class", "label", "prediction", "probability", "threshold"])
    for row in records.indices {
      for (column, name) in classes.enumerated() {
        let probability = probability(row, column)
        table.append([
          records[row].path.description, evaluation.split, name,
          rows.label(row, column).map { $0 ? "1" : "0" } ?? "",
          probability >= thresholds.values[column] ? "1" : "0", "\(probability)",
          "\(thresholds.values[column])",
        ])
      }
    }
    return table.text
  }
}

extension OpenRun {
  /// What the recipe's looks at the photos of a split give by a model file, or by its snapshots, for each of them
  /// and each view, [photos, classes]. All ranks compute features where there are several.
  func logits(
    of split: Split, by file: FilePath
  ) throws -> (members: [[Tensor<Float>]], views: TestTimeAugmentation) {
    try together(.evaluate, subject: [split.rawValue, (file.canonical ?? file).string]) {
      let settings = recipe.evaluate
      let files = settings.snapshots ? try SnapshotModels.members(of: file) : [file]
      // Whose augmentation it was matters only where photos are varied as in training.
      let training =
        settings.tta.drawsAsInTraining ? try TrainingRecord.read(directory.model) : nil
      let views = settings.tta.views(
        of: recipe.augmentation(isHeadAlone: training?.isHeadAlone ?? true), seed: recipe.seed)
      let photos = manifest.records(in: split)
      return (try files.map { try logits(of: photos, by: $0, views: views.views) }, views)
    }
  }

  /// The logits of photos for each view, [photos, classes], by a model file.
  private func logits(
    of photos: [Manifest.Record], by file: FilePath, views: [TestTimeView]
  ) throws -> [Tensor<Float>] {
    let model = try ModelFile.read(file)
    try requireContract(of: model.record, in: file)
    if file == directory.model || file == directory.model.canonical,
      let key = try TrainingRecord(of: model.record, file: file).photosKey,
      key != manifest.photosKey
    {
      context.console.warn(
        "\(file.displayed): the run's photos have changed since it was trained. Run: thaw fit or thaw"
          + " train --run \(directory.path.quoted)")
    }
    return try RunEvaluation.logits(
      of: photos, by: model.parameters, views: views, self, contract: model.record.preprocessing,
      file: file)
  }
}
