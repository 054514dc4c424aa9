// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawInference
import ThawNetwork
import ThawRecipes
import ThawTraining

/// Trains a head without a hidden layer as multinomial logistic regression, or where photos may have
/// several labels as one of two classes for each, by L-BFGS.
struct ConvexTraining {
  let run: OpenRun
  let network: TransferNetwork
  let train: CachedFeatures
  let valid: CachedFeatures

  private var recipe: Recipe { run.recipe }
  private var classes: [String] { run.manifest.classes }
  private var context: StageContext { run.context }

  /// - Throws: ``PipelineError/usage(_:)`` when the head has a hidden layer.
  func solve() throws -> TrainedNetwork {
    guard recipe.head.hidden == nil else {
      throw PipelineError.usage(
        "the solver lbfgs trains a single layer. Remove the hidden layer or use sgd or adam.")
    }
    let clock = ContinuousClock.now
    let weights = recipe.train.weights(train.labels, classes: classes.count)
    let solver = LogisticRegression(
      regularization: recipe.train.regularization.map(Regularization.inverseStrength) ?? .automatic,
      classWeights: weights, seed: recipe.seed)
    let progress = context.console.progress(
      "Solving the logistic regression", total: nil, unit: "solutions")
    let model = try solver.fit(
      train, classes: classes.count,
      onSolve: {
        progress.advance()
        try context.checkInterruption()
      })
    progress.finish()
    if let complaint = model.complaint { context.console.warn(complaint) }
    var parameters = network.parameters
    parameters[network.classifier.appending("weight")] = model.weight
    parameters[network.classifier.appending("bias")] = model.bias
    try run.directory.history.write([])
    let seconds = clock.duration(to: .now) / .seconds(1)
    let judged = try validation(parameters)
    return TrainedNetwork(
      parameters: parameters,
      outcome: TrainingOutcome(
        epochs: 0, bestValidAccuracy: judged?.accuracy, bestValidLoss: judged?.loss,
        trainableParameters: model.weight.count + model.bias.count, cached: true),
      time: TrainingTime(photos: train.count, seconds: seconds))
  }

  private func validation(_ parameters: Parameters) throws -> Evaluation? {
    guard valid.count > 0 else { return nil }
    let logits = try network.logits(
      of: valid.tensor, parameters: parameters, compiler: context.compiler)
    return try Evaluation(
      split: "valid", classNames: classes, logits: logits, labels: valid.labels)
  }
}
