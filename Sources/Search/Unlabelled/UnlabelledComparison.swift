// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import ThawConsole
import ThawDatasets
import ThawInference
import ThawRecipes
import ThawRuns
import ThawTensors
import ThawTraining

/// Finds out by cross-validation whether photos without labels help a head, and trains it with them if they do.
///
/// Every labelled training photo is judged by heads that were trained without its fold, with photos that were
/// answered by a head that has not seen the fold either, whose probabilities were calibrated on the other folds. No
/// photo that is held out for validation or for the test has a say in which photos are used, as what, or whether.
struct UnlabelledComparison {
  private let heads: HeadTraining
  private let run: OpenRun
  private let network: TransferNetwork
  private let pool: [Manifest.Record]
  private let labelled: [Manifest.Record]
  private let labels: [Int]
  private let assignment: FoldAssignment
  private let folder: FilePath

  static let folds = 5
  /// What is tried: probabilities from which on an answer counts, and how often the labelled photos of a class
  /// those without labels may outweigh.
  static let candidates: [(confidence: Double, weight: Double)] = [
    (0.5, 1), (0.5, 3), (0.8, 1), (0.8, 3), (0.95, 1), (0.95, 3),
  ]

  init(
    _ heads: HeadTraining, _ network: TransferNetwork, pool: [Manifest.Record],
    in folder: FilePath
  ) {
    run = heads.run
    (self.heads, self.network, self.pool, self.folder) = (heads, network, pool, folder)
    labelled = run.manifest.records(in: .train)
    let indices = run.manifest.classIndices
    labels = labelled.map { indices[$0.className] ?? 0 }
    assignment = FoldAssignment(
      of: labelled, in: run.manifest, count: UnlabelledComparison.folds, seed: run.recipe.seed)
  }

  /// Labelled photos by their numbers, and what a head makes of them.
  private struct Answers {
    var photos: [Int] = []
    var logits: [Float] = []

    mutating func add(_ photos: [Int], _ logits: Tensor<Float>) {
      self.photos += photos
      self.logits += logits.elements
    }
  }

  /// What was found out, added to `result`, and the head; nil where it stays as it is.
  func head(_ result: inout UnlabelledResult) throws -> HelpedHead? {
    let judged = labelled.indices.filter { assignment.folds[$0] >= 0 }
    guard !judged.isEmpty else { return nil }
    let recipe = try preparedRecipe()
    let all = Array(labelled.indices)
    let count = (0..<assignment.count).count { !assignment.held($0).isEmpty }
    let progress = run.context.console.progress(
      "Comparing heads with and without unlabelled photos",
      total: count * (count - 1) / 2 + count * (1 + Self.candidates.count) + 1, unit: "heads")
    func answered(_ answers: Answers) -> Temperature? {
      guard !answers.photos.isEmpty else { return nil }
      return Temperature.fitted(
        Tensor(answers.logits, shape: [answers.photos.count, width]),
        labels: answers.photos.map { labels[$0] },
        independent: run.manifest.pictures(of: answers.photos.map { labelled[$0] }))
    }
    let inner = try calibrating(recipe, progress)
    var without = Answers()
    var with = [Answers](repeating: Answers(), count: Self.candidates.count)
    for fold in 0..<assignment.count where !assignment.held(fold).isEmpty {
      let (training, held) = (assignment.training(fold), assignment.held(fold))
      guard let teacher = try trained(recipe, on: training, nil, progress) else { return nil }
      let own = try logits(teacher, recipe, held.map { labelled[$0] })
      without.add(held, own)
      let answers = try poolAnswers(teacher, recipe, answered(inner[fold]))
      for (index, candidate) in Self.candidates.enumerated() {
        let pseudo = chosen(answers, candidate, training)
        guard pseudo.count > 0,
          let head = try trained(recipe, on: training, pseudo, progress)
        else {
          with[index].add(held, own)
          continue
        }
        with[index].add(held, try logits(head, recipe, held.map { labelled[$0] }))
      }
    }
    guard let teacher = try trained(recipe, on: all, nil, progress) else { return nil }
    progress.finish()
    let answers = try poolAnswers(teacher, recipe, answered(without))
    let verdict = PairedFolds(
      folds: without.photos.map { assignment.folds[$0] },
      labels: without.photos.map { labels[$0] },
      groups: run.manifest.sameness(of: without.photos.map { labelled[$0] }),
      without: without.logits, with: with.map(\.logits), classes: width)
    result.judges = without.photos.count
    result.without = verdict.without
    result.with = verdict.with
    result.gain = verdict.gain
    result.error = verdict.error
    let pseudo = Self.candidates.map { chosen(answers, $0, all) }
    result.candidates = zip(Self.candidates.indices, pseudo).map { index, pseudo in
      UnlabelledResult.Candidate(
        confidence: Self.candidates[index].confidence, weight: Self.candidates[index].weight,
        used: pseudo.count, judged: verdict.candidates[index])
    }
    let best = verdict.best
    result.chosen = result.candidates[best]
    guard verdict.isHelp, pseudo[best].count > 0 else { return nil }
    let head = try finalHead(recipe, pseudo[best])
    guard let head else { return nil }
    result.isKept = true
    result.classes = zip(run.manifest.classes, pseudo[best].classes).map {
      .init(name: $0, count: $1.photos.count)
    }
    return head
  }

  private var width: Int { run.manifest.classes.count }

  /// The recipe with a penalty that is the same for all heads: where it is to be chosen, by the training photos.
  private func preparedRecipe() throws -> Recipe {
    var recipe = run.recipe
    let views = recipe.train.cachedViews(seed: recipe.seed)
    _ = try heads.store(network, recipe, filledWith: labelled)
    if !views.isEmpty {
      _ = try heads.store(network, recipe, filledWith: pool, views: views, in: folder)
    }
    if recipe.train.solver == .lbfgs, recipe.train.regularization == nil {
      recipe.train.regularization =
        try heads.trained(network, recipe, on: labelled).inverseStrength
    }
    return recipe
  }

  /// For each fold what heads without it make of photos that they have not seen either: of each two folds one
  /// head that knows neither answers for both.
  private func calibrating(_ recipe: Recipe, _ progress: ProgressLine) throws -> [Answers] {
    var inner = [Answers](repeating: Answers(), count: assignment.count)
    let folds = (0..<assignment.count).filter { !assignment.held($0).isEmpty }
    for (place, first) in folds.enumerated() {
      for second in folds[(place + 1)...] {
        let training = labelled.indices.filter {
          assignment.folds[$0] != first && assignment.folds[$0] != second
        }
        guard let head = try trained(recipe, on: training, nil, progress) else { continue }
        for (fold, other) in [(first, second), (second, first)] {
          let held = assignment.held(other)
          inner[fold].add(held, try logits(head, recipe, held.map { labelled[$0] }))
        }
      }
    }
    return inner
  }

  /// A head; nil where these photos do not suffice for one.
  private func trained(
    _ recipe: Recipe, on photos: [Int], _ pseudo: PseudoLabels?, _ progress: ProgressLine
  ) throws -> HeadTraining.Trained? {
    try run.context.checkInterruption()
    defer { progress.advance() }
    do {
      return try heads.trained(
        network, recipe, on: photos.map { labelled[$0] },
        beside: pseudo.map { PseudoLabelledPhotos($0, of: pool) })
    } catch is SearchFailure { return nil }
  }

  private func logits(
    _ head: HeadTraining.Trained, _ recipe: Recipe, _ records: [Manifest.Record]
  ) throws -> Tensor<Float> {
    try heads.logits(network, recipe, head.parameters, of: records)
  }

  /// Calibrated probabilities for the photos without labels, a few thousand at a time.
  private func poolAnswers(
    _ head: HeadTraining.Trained, _ recipe: Recipe, _ temperature: Temperature?
  ) throws -> Tensor<Float> {
    var elements: [Float] = []
    elements.reserveCapacity(pool.count * width)
    for start in stride(from: 0, to: pool.count, by: 4096) {
      let part = try logits(head, recipe, Array(pool[start..<min(start + 4096, pool.count)]))
      elements +=
        (temperature?.probabilities(ofLogits: part) ?? Probabilities.softmax(part)).elements
    }
    return Tensor(elements, shape: [pool.count, width])
  }

  private func chosen(
    _ answers: Tensor<Float>, _ candidate: (confidence: Double, weight: Double),
    _ training: [Int]
  ) -> PseudoLabels {
    var counts = [Int](repeating: 0, count: width)
    for photo in training { counts[labels[photo]] += 1 }
    return PseudoLabels(
      answers, above: candidate.confidence, weight: candidate.weight, labelled: counts)
  }

  /// The head that the run gets, trained as `thaw train` trains: its epoch is chosen by the validation photos.
  private func finalHead(_ recipe: Recipe, _ pseudo: PseudoLabels) throws -> HelpedHead? {
    let valid = run.manifest.records(in: .valid)
    let clock = ContinuousClock.now
    let head: HeadTraining.Trained
    do {
      head = try heads.trained(
        network, recipe, on: labelled, validation: valid,
        beside: PseudoLabelledPhotos(pseudo, of: pool))
    } catch is SearchFailure { return nil }
    let seconds = clock.duration(to: .now) / .seconds(1)
    var judged: Evaluation?
    if !valid.isEmpty {
      judged = try Evaluation(
        split: "valid", classNames: run.manifest.classes, logits: logits(head, recipe, valid),
        labels: SampleLabels(of: valid, in: run.manifest))
    }
    return HelpedHead(
      parameters: head.parameters, history: head.result?.history ?? [],
      validAccuracy: judged?.accuracy, validLoss: judged?.loss,
      samples: labelled.count
        + pseudo.classes.reduce(0) {
          $0 + (head.result == nil ? $1.photos.count : $1.turn)
        }, seconds: seconds)
  }
}
