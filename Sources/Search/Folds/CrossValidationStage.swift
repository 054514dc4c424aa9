// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDatasets
import ThawFiles
import ThawInference
import ThawNetwork
package import ThawReports
package import ThawRuns
import ThawTensors
import ThawTraining

/// Judge every photo of a run by a head that has not seen it, and find out what more photos would bring.
///
/// The heads are those of the run's recipe on the frozen backbone, trained for all of their epochs: no photo
/// chooses anything of the head that judges it. Each fold's training is repeated with an eighth, a quarter and a
/// half of its photos. The run's model stays what it is: this says how good heads like it are.
package struct CrossValidationStage {
  private let run: OpenRun
  private let folds: Int
  /// Parts of the training photos, the last being all of them.
  static let shares = [0.125, 0.25, 0.5, 1]

  /// Works in `run`.
  package init(_ run: OpenRun, folds: Int = 5) {
    self.run = run
    self.folds = folds
  }

  /// Answers for photos by heads that were trained on a part of the others.
  private struct Answers {
    var probabilities: [Tensor<Float>?]
    var trained: [Int] = []
  }

  /// Whether photos can be judged so, which is known once they were looked at.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` where photos may have several labels.
  package static func check(severalLabels: Bool) throws {
    guard !severalLabels else {
      throw PipelineError.usage(
        "cross-validation compares classes of which a photo has one; here it may have several. Leave"
          + " --folds out; thaw evaluate judges the validation photos.")
    }
  }

  /// Judges all training and validation photos; writes `cross_validation.json` and `.csv`.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` for settings that are not of a head on cached features;
  ///   ``PipelineError/interrupted``.
  package func judge() throws -> CrossValidationResult {
    let manifest = run.manifest
    try CrossValidationStage.check(severalLabels: manifest.severalLabels)
    let records = manifest.records.filter { $0.split != .test }
    let assignment = FoldAssignment(
      of: records, in: manifest, count: folds, seed: run.recipe.seed)
    let judged = records.indices.filter { assignment.folds[$0] >= 0 }
    guard !judged.isEmpty else {
      throw PipelineError.data("no class has two photos, so none can be held out. Add photos.")
    }
    let answers = try self.answers(records, assignment)
    let result = try result(records, assignment, judged, answers)
    try run.write(result, to: run.directory.crossValidation)
    try AtomicFile.write(
      run.directory.heldOutPredictions,
      text: table(records, assignment, judged, answers[answers.count - 1]))
    return result
  }

  /// For each share a row of probabilities for every photo that is held out once.
  private func answers(
    _ records: [Manifest.Record], _ assignment: FoldAssignment
  ) throws -> [Answers] {
    let heads = HeadTraining(run)
    let recipe = run.recipe
    let network = try heads.network(recipe)
    _ = try heads.store(network, recipe, filledWith: records)
    let progress = run.context.console.progress(
      "Cross-validating", total: folds * Self.shares.count, unit: "heads")
    var answers = Self.shares.map { _ in
      Answers(probabilities: [Tensor<Float>?](repeating: nil, count: records.count))
    }
    for fold in 0..<folds {
      let held = assignment.held(fold)
      guard !held.isEmpty else { continue }
      let order = nested(assignment.training(fold), records, fold: fold)
      for (index, share) in Self.shares.enumerated() {
        try run.context.checkInterruption()
        let training = part(order, records, share: share)
        let parameters: Parameters
        do {
          parameters = try heads.train(network, recipe, on: training.map { records[$0] })
        } catch let failure as SearchFailure {
          throw PipelineError.diverged(failure.description)
        }
        let logits = try heads.logits(
          network, recipe, parameters, of: held.map { records[$0] })
        let probabilities = Probabilities.softmax(logits)
        let width = run.manifest.classes.count
        for (row, photo) in held.enumerated() {
          answers[index].probabilities[photo] = Tensor(
            (0..<width).map { probabilities[row * width + $0] }, shape: [width])
        }
        answers[index].trained.append(training.count)
        progress.advance()
      }
    }
    progress.finish()
    return answers
  }

  /// The photos class by class, each class in a random order: beginnings are smaller trainings.
  private func nested(
    _ photos: [Int], _ records: [Manifest.Record], fold: Int
  ) -> [[Int]] {
    let classes = Dictionary(grouping: photos) { records[$0].className }
    return classes.sorted { $0.key < $1.key }.enumerated().map { index, item in
      var stream = RandomStream(
        seed: run.recipe.seed, purpose: .resampling, epoch: 7 + fold, sample: index)
      return stream.permutation(of: item.value.count).map { item.value[$0] }
    }
  }

  private func part(_ classes: [[Int]], _ records: [Manifest.Record], share: Double) -> [Int] {
    classes.flatMap { photos in
      photos.prefix(max(Int((Double(photos.count) * share).rounded()), 1))
    }.sorted()
  }

  private func result(
    _ records: [Manifest.Record], _ assignment: FoldAssignment, _ judged: [Int],
    _ answers: [Answers]
  ) throws -> CrossValidationResult {
    let manifest = run.manifest
    let width = manifest.classes.count
    guard case .single(let labels) = SampleLabels(of: records, in: manifest) else {
      throw PipelineError.interrupted
    }
    let correct = answers.map { answer in
      judged.map { photo in
        answer.probabilities[photo].map { Probabilities.predictions($0.rowMatrix)[0] }
          == labels[photo]
      }
    }
    let last = answers[answers.count - 1]
    let all = Tensor(
      judged.flatMap { last.probabilities[$0]?.elements ?? [Float](repeating: 0, count: width) },
      shape: [judged.count, width])
    let evaluation = try Evaluation(
      split: "held out", classNames: manifest.classes, probabilities: all,
      labels: judged.map { labels[$0] })
    let groups = manifest.sameness(of: judged.map { records[$0] })
    let sizes = answers.map { Double($0.trained.reduce(0, +)) / Double(max($0.trained.count, 1)) }
    let curve = LearningCurve(
      sizes: sizes, correct: correct, groups: groups, seed: run.recipe.seed)
    let interval = WilsonInterval.interval(
      share: evaluation.accuracy, trials: Double(groups.count))
    let doubled = curve.doubled()
    return CrossValidationResult(
      folds: folds, count: judged.count, independent: groups.count,
      accuracy: evaluation.accuracy, lower: interval.lowerBound, upper: interval.upperBound,
      loss: evaluation.loss, macroF1: evaluation.macroF1,
      foldAccuracies: (0..<folds).compactMap { fold in
        let places = judged.indices.filter { assignment.folds[judged[$0]] == fold }
        guard !places.isEmpty else { return nil }
        return Double(places.count { correct[correct.count - 1][$0] }) / Double(places.count)
      },
      perClass: classes(evaluation, curve, judged.map { labels[$0] }),
      learningCurve: zip(sizes, correct).map { size, right in
        let share = Double(right.count { $0 }) / Double(right.count)
        let interval = WilsonInterval.interval(share: share, trials: Double(groups.count))
        return .init(
          photos: Int(size.rounded()), accuracy: share, lower: interval.lowerBound,
          upper: interval.upperBound)
      },
      doubled: doubled.map {
        .init(
          photos: Int((2 * sizes[sizes.count - 1]).rounded()), accuracy: $0.accuracy.value,
          lower: $0.accuracy.lower, upper: $0.accuracy.upper)
      }, conclusion: CrossValidationStage.conclusion(doubled?.gain),
      key: manifest.crossValidationKey(run.recipe),
      predictions: run.directory.heldOutPredictions.string)
  }

  private func classes(
    _ evaluation: Evaluation, _ curve: LearningCurve, _ labels: [Int]
  ) -> [CrossValidationResult.ClassShare] {
    evaluation.perClass.enumerated().map { index, item in
      let own = Set(labels.indices.filter { labels[$0] == index })
      let gain = curve.doubled(of: own)?.gain
      return .init(
        name: item.name, count: item.count, recall: item.recall, gain: gain?.value,
        gainLower: gain?.lower, gainUpper: gain?.upper)
    }
  }

  /// For people: `Twice the photos would bring about 2 points.`
  package static func conclusion(_ gain: LearningCurve.Estimate?) -> String {
    guard let gain else { return "There are too few photos to say what more of them would bring." }
    func points(_ share: Double) -> String { Format.fixed(100 * share, 1) }
    let range = "(between \(points(gain.lower)) and \(points(gain.upper)))"
    if gain.upper < 0.01 {
      return "Twice the photos would bring next to nothing \(range) to a head on this backbone."
    }
    return
      "Twice the photos would bring about \(points(gain.value)) points \(range) to a head on this"
      + " backbone."
  }

  private func table(
    _ records: [Manifest.Record], _ assignment: FoldAssignment, _ judged: [Int], _ answers: Answers
  ) -> String {
    let classes = run.manifest.classes
    var csv = CSVWriter(
      header: ["path", "label", "fold", "predicted", "probability", "probability_of_label"])
    for photo in judged {
      guard let row = answers.probabilities[photo] else { continue }
      let predicted = Probabilities.predictions(row.rowMatrix)[0]
      let own = run.manifest.classIndices[records[photo].className] ?? 0
      csv.append([
        "\(records[photo].path)", records[photo].className, "\(assignment.folds[photo])",
        classes[predicted], Format.fixed(Double(row[predicted]), 6),
        Format.fixed(Double(row[own]), 6),
      ])
    }
    return csv.text
  }
}

extension Tensor where Scalar == Float {
  /// A vector as a matrix of one row.
  fileprivate var rowMatrix: Tensor<Float> { Tensor(elements, shape: [1, count]) }
}
