// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Images
import Pipeline
import Reports

/// `thaw fine-tune`
struct FineTune: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fine-tune",
    abstract: "Thaw layer groups of the backbone and train them.",
    discussion: """
      Starts from the model that `thaw train` left. What trains is printed first: group, parameters,
      batch norm, learning rate. Frozen layers are compiled as for inference and cached.
      """)

  @Option(name: .customLong("run"), help: "Run directory.")
  var directory: RunDirectory

  @Option(
    parsing: .unconditional,
    help: "Layer groups before this one stay frozen; -1 is the head alone, 0 thaws all.")
  var freezeTo: Int?

  @Flag(help: "Thaw everything; the same as --freeze-to 0.")
  var unfreeze = false

  @Option(help: "Names of the groups that train, separated by commas.")
  var unfreezeGroups: String?

  @Option(help: "Batch norms of frozen groups: a mode, or a system whose way is meant.")
  var frozenBatchNorm: FrozenBatchNorm?

  @Option(help: "Batch norms of the groups that train.")
  var trainableBatchNorm: TrainableBatchNorm?

  @Option(help: "Largest learning rate of the head.")
  var learningRate: Double?

  @Option(help: "Learning rate of the first group; rates rise geometrically to the head's.")
  var lowestLearningRate: Double?

  @Option(help: "Passes over the training photos.")
  var epochs: Int?

  @Option(help: "Photos in one step.")
  var batch: Int?

  @Option(help: "constant, cosine, sgdr or one_cycle.")
  var schedule: Recipe.Train.Schedule?

  @Option(help: "sgd or adam.")
  var solver: Recipe.Train.Solver?

  @Option(help: "How training photos are varied: none, photo, top-down or document.")
  var augmentation: Augmentation.Preset?

  @Option(help: "Augmented views of each training photo in the cache.")
  var views: Int?

  @Flag(help: "Print the plan and stop.")
  var planOnly = false

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    let ways = [freezeTo != nil, unfreeze, unfreezeGroups != nil].count { $0 }
    guard ways <= 1 else {
      throw ValidationError("--freeze-to, --unfreeze and --unfreeze-groups contradict each other.")
    }
  }

  func run() throws {
    let session = Session(global)
    try directory.change(try recipe())
    let stage = FineTuneStage(directory, context: try session.context())
    let plan = try stage.plan()
    if planOnly { return try session.print(plan, text: plan.text) }
    session.console.say(plan.text)
    let summary = try stage.fineTune()
    try session.print(summary, text: summary.text)
  }

  private func recipe() throws -> Recipe {
    var recipe = try directory.loadRecipe()
    if let seed = global.seed { recipe.seed = seed }
    if let freezeTo { recipe.fineTune.freezeTo = freezeTo }
    if unfreeze { recipe.fineTune.freezeTo = 0 }
    if freezeTo != nil || unfreeze { recipe.fineTune.groups = [] }
    if let unfreezeGroups {
      recipe.fineTune.groups = unfreezeGroups.split(separator: ",").map(String.init)
    }
    if let frozenBatchNorm { recipe.fineTune.frozenBatchNorm = frozenBatchNorm.mode }
    if let trainableBatchNorm {
      recipe.fineTune.trainableBatchNorm = trainableBatchNorm.mode
    }
    if let learningRate { recipe.fineTune.train.learningRate = learningRate }
    if let lowestLearningRate { recipe.fineTune.lowestLearningRate = lowestLearningRate }
    if let epochs { recipe.fineTune.train.epochs = epochs }
    if let batch { recipe.fineTune.train.batch = batch }
    if let schedule { recipe.fineTune.train.schedule = schedule }
    if let augmentation { recipe.fineTune.train.augmentation = augmentation }
    if let views { recipe.fineTune.train.views = views }
    if let solver { recipe.fineTune.train.solver = solver }
    return try recipe.checked()
  }
}

extension [FineTuneStage.GroupPlan] {
  /// A table for people.
  var text: String {
    var table = TextTable("group", ">parameters", ">trains", "batch norm", ">learning rate")
    for row in self {
      table.append([
        row.group, Format.grouped(row.parameters, separator: " "),
        row.trainable == 0 ? "frozen" : Format.grouped(row.trainable, separator: " "),
        row.batchNorm ?? "-", row.learningRate.map { Format.significant($0) } ?? "-",
      ])
    }
    return table.text()
  }
}

extension FineTuneStage.Summary {
  /// One line for people.
  var text: String {
    if unchanged { return "The fine-tuned model is up to date." }
    let before = startValidAccuracy.map { Format.percent($0) } ?? "?"
    let after = bestValidAccuracy.map { Format.percent($0) } ?? "?"
    return "Fine-tuned \(Format.grouped(trainableParameters, separator: " ")) parameters:"
      + " \(epochs) epochs in \(Format.duration(seconds: seconds)),"
      + " valid accuracy \(before) before, \(after) after."
  }
}
