// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawDiagnosis
import ThawImages
import ThawRecipes
import ThawTraining

/// How layers are trained: the same options for the head (`fit`, `prepare`, `train`) and for thawed
/// layers (`fine-tune`).
struct TrainingOptions: ParsableArguments {
  @Option(help: "sgd, rmsprop, adam, adamw, or lbfgs (head only).")
  var solver: Recipe.Train.Solver?

  @Option(help: "Passes over the training photos.")
  var epochs: Int?

  @Option(help: "Photos in one gradient.")
  var batch: Int?

  @Option(help: "Gradients added up before a step.")
  var accumulation: Int?

  @Option(
    help: """
      The schedule's largest rate: 1e-2 for all layer groups, 1e-5:1e-3 rising geometrically, \
      :1e-3 for the last group and a tenth for the others, 1e-4,1e-3,1e-2 for each.
      """)
  var learningRate: Recipe.LearningRate?

  @Option(help: "Each layer group's rate is so many times that of the next.")
  var layerDecay: Double?

  @Option(help: "Momentum of sgd and rmsprop.")
  var momentum: Double?

  @Option(help: "Pull of the weights towards zero; biases and norms are left out.")
  var weightDecay: Double?

  @Option(help: "Largest Euclidean norm of a gradient.")
  var gradientClip: Double?

  @Option(help: "Keep a moving average of the weights with this decay, such as 0.99.")
  var weightAveraging: Double?

  @Option(
    help: """
      constant, step, exponential, inverse_time, cosine, sgdr, warm_restarts, one_cycle or \
      flat_cosine.
      """)
  var schedule: ScheduleKind?

  @Option(help: "Epochs of the first cycle of sgdr and warm_restarts.")
  var cycleLength: Int?

  @Option(help: "Factor from one cycle's length to the next.")
  var cycleMult: Int?

  @Option(help: "Epochs in which the rate rises to the schedule's first.")
  var warmUp: Double?

  @Option(help: "Share of the target spread over all classes.")
  var labelSmoothing: Double?

  @Option(help: "none, balanced (every class counts the same) or square_root (half-way).")
  var classWeights: Recipe.Train.ClassWeights?

  @Option(help: "How training photos are varied: none, photo, top-down or document.")
  var augmentation: Augmentation.Preset?

  @Option(help: "mixup, cutmix or none; with a colon its alpha: mixup:0.2.")
  var mixing: MixingArgument?

  @Option(help: "Augmented views of each training photo in the cache, or fresh in every epoch.")
  var views: Recipe.Train.Views?

  @Option(help: "Input sizes to go through, the last being the network's: 128,224.")
  var sizes: NumberList?

  @Option(help: "Epochs without improvement before training stops; 0 never stops early.")
  var patience: Int?

  /// Changes what was given.
  ///
  /// - Parameter highest: the largest rate before any of these options.
  /// - Throws: `ValidationError` for options that do not go together.
  func apply(to train: inout Recipe.Train, highest: Double) throws {
    if let solver { train.solver = solver }
    if let epochs { train.epochs = epochs }
    if let batch { train.batch = batch }
    if let accumulation { train.accumulation = accumulation }
    if let momentum { train.momentum = momentum }
    if let weightDecay { train.weightDecay = weightDecay }
    if let gradientClip { train.gradientClip = gradientClip }
    if let weightAveraging { train.weightAveraging = weightAveraging }
    if let labelSmoothing { train.labelSmoothing = labelSmoothing }
    if let classWeights { train.classWeights = classWeights }
    if let augmentation { train.augmentation = Augmentation(augmentation) }
    if let mixing { train.mixing = mixing.mixing }
    if let views { train.views = views }
    if let sizes { train.sizes = sizes.numbers }
    if let patience { train.patience = patience }
    try applyRates(to: &train, highest: highest)
    try applySchedule(to: &train)
  }

  private func applyRates(to train: inout Recipe.Train, highest: Double) throws {
    if let learningRate { train.learningRate = learningRate }
    guard let layerDecay else { return }
    guard layerDecay > 0, layerDecay <= 1 else {
      throw ValidationError("--layer-decay is \(layerDecay), expected above 0 and at most 1.")
    }
    switch train.learningRate {
    case .list, .range(from: .some, to: _):
      throw ValidationError("--layer-decay needs a single --learning-rate, that of the head.")
    case let rate:
      train.learningRate = .layerwise(to: rate?.highest ?? highest, decay: layerDecay)
    }
  }

  private func applySchedule(to train: inout Recipe.Train) throws {
    if let schedule { train.schedule = schedule.schedule }
    if cycleLength != nil || cycleMult != nil {
      guard (cycleLength ?? 1) >= 1, (cycleMult ?? 1) >= 1 else {
        throw ValidationError("--cycle-length and --cycle-mult must be at least 1.")
      }
      guard let changed = train.schedule.withCycles(length: cycleLength, multiplier: cycleMult)
      else {
        throw ValidationError(
          "--cycle-length and --cycle-mult need --schedule sgdr or warm_restarts; it is"
            + " \(train.schedule.kind.rawValue).")
      }
      train.schedule = changed
    }
    guard let warmUp else { return }
    guard warmUp >= 0, warmUp.isFinite else {
      throw ValidationError("--warm-up is \(warmUp), expected at least 0.")
    }
    train.schedule = train.schedule.warmedUp(epochs: warmUp)
  }
}
