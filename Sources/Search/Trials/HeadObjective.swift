// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawConsole
import ThawDatasets
import ThawInference
import ThawNetwork
package import ThawRecipes
package import ThawRuns
package import ThawTraining

/// Judges heads of a run: by cross-validation over its training and validation photos where those are few,
/// else on the validation photos.
///
/// - Cross-validation: rung after rung more of the folds are judged, each by a head that was trained on the
///   others for all of its epochs. No photo chooses anything of the head that judges it.
/// - Validation photos: the first rung trains a third of the epochs, the second all of them, as `thaw train`
///   would, which includes that the validation photos choose the epoch.
///
/// A repetition has another seed for the head's first weights, the order of photos, dropout, and the folds. Cached
/// views stay those of the run, so that each is computed once.
package final class HeadObjective: SearchObjective {
  /// Validation photos from which on they judge alone.
  package static let enough = 500

  /// Folds, or 0 for the validation photos.
  package let folds: Int
  private let heads: HeadTraining
  private let run: OpenRun
  private let base: Recipe
  private let records: [Manifest.Record]
  private var known: [String: [String: Double]]
  /// By seed.
  private var assignments: [UInt64: FoldAssignment] = [:]

  /// - Parameters:
  ///   - folds: 0 for the validation photos; nil to decide by their number.
  ///   - known: what networks cost that were measured before, by the values that decide it.
  /// - Throws: ``PipelineError/usage(_:)`` when there is nothing to judge by.
  package init(_ run: OpenRun, folds: Int? = nil, known: [SearchEntry] = []) throws {
    let valid = run.manifest.records(in: .valid)
    self.folds = folds ?? (valid.count >= HeadObjective.enough ? 0 : 5)
    guard self.folds != 1, self.folds != 0 || !valid.isEmpty else {
      throw PipelineError.usage(
        "--folds \(self.folds): give 2 or more, or 0 where the run has validation photos.")
    }
    self.run = run
    base = run.recipe
    heads = HeadTraining(run)
    records = run.manifest.records.filter { $0.split != .test }
    self.known = [:]
    for entry in known where !entry.costs.isEmpty {
      self.known[HeadObjective.costKey(entry.parameters)] = entry.costs
    }
  }

  package private(set) var preparation = 0.0

  /// Photos that judge a trial at the last rung.
  package var judges: Int {
    folds == 0 ? run.manifest.records(in: .valid).count : records.count
  }

  package var rungs: Int { folds == 0 ? 2 : foldsAtRungs.count }

  /// How many folds have been judged after each rung.
  private var foldsAtRungs: [Int] {
    var counts: [Int] = [1]
    while let last = counts.last, last < folds { counts.append(min(last * 2 + 1, folds)) }
    return counts
  }

  /// The recipe of a trial.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` for values that recipes do not take.
  package func recipe(
    _ parameters: [String: SearchValue], repetition: Int = 0
  ) throws(PipelineError) -> Recipe {
    try HeadObjective.recipe(base, with: parameters, repetition: repetition)
  }

  /// `base` with the values of a trial.
  package static func recipe(
    _ base: Recipe, with parameters: [String: SearchValue], repetition: Int = 0
  ) throws(PipelineError) -> Recipe {
    var recipe = base
    for (name, value) in parameters.sorted(by: { $0.key < $1.key }) {
      recipe = try recipe.setting(name, to: value.text)
    }
    // Where solvers are compared, logistic regression is what it is: one layer.
    if parameters["train.solver"] != nil, recipe.train.solver == .lbfgs { recipe.head.hidden = nil }
    // Far from the seeds that people choose next to each other.
    recipe.seed = base.seed &+ UInt64(repetition) &* 1_000_003
    return recipe
  }

  package func costs(of parameters: [String: SearchValue]) throws -> [String: Double] {
    let key = HeadObjective.costKey(parameters)
    if let costs = known[key] { return costs }
    let costs = try NetworkCosts(heads.network(recipe(parameters)), run.context).byName
    known[key] = costs
    return costs
  }

  /// What of a trial decides what its network costs.
  private static func costKey(_ parameters: [String: SearchValue]) -> String {
    ["backbone", "image.size", "precision", "head.hidden"].map { parameters[$0]?.text ?? "-" }
      .joined(separator: " ")
  }

  package func parts(of request: SearchRequest) -> Int {
    folds == 0 ? 1 : foldsToJudge(request).count
  }

  /// The folds that no rung below has judged.
  private func foldsToJudge(_ request: SearchRequest) -> Range<Int> {
    let first = request.earlier.isEmpty ? 0 : foldsAtRungs[request.earlier.count - 1]
    return first..<foldsAtRungs[request.rung]
  }

  private func assignment(_ recipe: Recipe) -> FoldAssignment {
    if let known = assignments[recipe.seed] { return known }
    let assignment = FoldAssignment(of: records, in: run.manifest, count: folds, seed: recipe.seed)
    assignments[recipe.seed] = assignment
    return assignment
  }

  package func prepare(_ request: SearchRequest) throws {
    let prepared = heads.preparation
    defer { preparation = heads.preparation - prepared }
    let recipe = try recipe(request.parameters, repetition: request.repetition)
    var training: Set<Int> = []
    if folds > 0 {
      let assignment = assignment(recipe)
      for fold in foldsToJudge(request) { training.formUnion(assignment.training(fold)) }
    }
    try heads.prepare(
      recipe, records,
      training: folds == 0
        ? run.manifest.records(in: .train) : training.sorted().map { records[$0] })
  }

  package func measure(_ request: SearchRequest, part: Int) throws -> SearchMeasurement? {
    try run.context.checkInterruption()
    var recipe = try recipe(request.parameters, repetition: request.repetition)
    guard folds == 0 else {
      let (assignment, fold) = (assignment(recipe), foldsToJudge(request).lowerBound + part)
      let held = assignment.held(fold)
      guard !held.isEmpty else { return nil }
      return try measurement(
        recipe, on: assignment.training(fold).map { records[$0] }, of: held.map { records[$0] },
        choosesEpoch: false)
    }
    if recipe.train.solver == .lbfgs, let last = request.earlier.last { return last }
    if request.rung == 0 { recipe.train.epochs = max(recipe.train.epochs / 3, 1) }
    let valid = run.manifest.records(in: .valid)
    return try measurement(
      recipe, on: run.manifest.records(in: .train), of: valid, choosesEpoch: true)
  }

  package func joined(
    _ parts: [SearchMeasurement?], of request: SearchRequest
  ) throws -> SearchMeasurement {
    var result = folds == 0 ? nil : request.earlier.last
    for part in parts.compactMap(\.self) { result = result.map { $0.joined(with: part) } ?? part }
    guard let result else {
      throw PipelineError.data(
        "no class has two photos, so none can be held out. Add photos, or search with --folds 0.")
    }
    return result
  }

  private func measurement(
    _ recipe: Recipe, on training: [Manifest.Record], of judged: [Manifest.Record],
    choosesEpoch: Bool
  ) throws -> SearchMeasurement {
    let network = try heads.network(recipe)
    let parameters = try heads.train(
      network, recipe, on: training, validation: choosesEpoch ? judged : [])
    return try measurement(network, recipe, parameters, of: judged)
  }

  private func measurement(
    _ network: TransferNetwork, _ recipe: Recipe, _ parameters: Parameters,
    of judged: [Manifest.Record]
  ) throws -> SearchMeasurement {
    let logits = try heads.logits(network, recipe, parameters, of: judged)
    do {
      return SearchMeasurement(
        try Evaluation(
          split: "held out", classNames: run.manifest.classes, logits: logits,
          labels: SampleLabels(of: judged, in: run.manifest)))
    } catch let error as TrainingError { throw SearchFailure("\(error)") }
  }

  /// The winner on the test photos, trained as `thaw train` trains it; nil without test photos.
  package func test(_ parameters: [String: SearchValue]) throws -> SearchMeasurement? {
    let manifest = run.manifest
    let photos = manifest.records(in: .test)
    guard !photos.isEmpty else { return nil }
    let recipe = try recipe(parameters)
    let network = try heads.network(recipe)
    let trained = try heads.train(
      network, recipe, on: manifest.records(in: .train), validation: manifest.records(in: .valid))
    return try measurement(network, recipe, trained, of: photos)
  }
}

extension SearchMeasurement {
  /// Of an evaluation.
  package init(_ evaluation: Evaluation) {
    self.init(
      count: evaluation.count, accuracy: evaluation.accuracy, loss: evaluation.loss,
      macroF1: evaluation.macroF1, meanAveragePrecision: evaluation.meanAveragePrecision)
  }
}
