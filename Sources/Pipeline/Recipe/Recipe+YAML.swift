// SPDX-License-Identifier: Apache-2.0

import Configuration
import Images
import Network

extension Recipe {
  /// Reads a recipe.
  ///
  /// - Parameters:
  ///   - yaml: the text of the file; what it leaves out keeps its default.
  ///   - file: the name to give in errors.
  /// - Throws: ``ConfigurationError`` with the line.
  public init(yaml: String, file: String) throws {
    self.init()
    var fields = try YAMLFields(file: file, text: yaml)
    try fields.read("name", into: &name)
    try fields.read("backbone", into: &backbone)
    try fields.read("seed", into: &seed)
    try fields.section("data") { fields in
      try fields.read("valid", into: &data.valid, in: 0...0.9)
      try fields.read("test", into: &data.test, in: 0...0.9)
      try fields.read("on_bad_image", into: &data.onBadImage)
    }
    try fields.section("image") { try $0.read("size", into: &image.size, in: 32...2048) }
    try fields.section("head") { fields in
      try fields.read("hidden", into: &head.hidden, in: 1...65536)
      try fields.read("dropout", into: &head.dropout, in: 0...0.99)
      try fields.readBatchNorm("frozen_batch_norm", into: &head.frozenBatchNorm)
    }
    try fields.section("train") { try train.read(&$0) }
    try fields.section("fine_tune") { try fineTune.read(&$0) }
    try fields.section("evaluate") { try $0.read("tta", into: &evaluate.tta, in: 1...64) }
    try fields.finish()
    guard data.valid + data.test < 1 else {
      throw ConfigurationError(
        file, line: nil, "data.valid and data.test leave nothing to train on.")
    }
  }

  /// This recipe, made from a valid one by changing fields, when they are valid as well.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` in the same words as for a file.
  public func checked() throws -> Recipe {
    do { return try Recipe(yaml: yaml, file: "options") } catch let error as ConfigurationError {
      throw PipelineError.usage("options: \(error.reason)")
    }
  }

  /// The recipe as a YAML file that reads back as the same recipe.
  public var yaml: String {
    """
    name: \(quoted(name))
    backbone: \(quoted(backbone))
    seed: \(seed)
    data:
      valid: \(data.valid)
      test: \(data.test)
      on_bad_image: \(data.onBadImage.rawValue)
    image:
      size: \(text(image.size))
    head:
      hidden: \(text(head.hidden))
      dropout: \(head.dropout)
      frozen_batch_norm: \((head.frozenBatchNorm ?? .inference).rawValue)
    train:
    \(train.yaml)
    fine_tune:
    \(fineTune.yaml)
    evaluate:
      tta: \(evaluate.tta)

    """
  }

  private func quoted(_ text: String) -> String {
    "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }
}

extension Recipe.Train {
  fileprivate mutating func read(_ fields: inout YAMLFields) throws {
    try fields.read("solver", into: &solver)
    try fields.read("epochs", into: &epochs, in: 1...100_000)
    try fields.read("batch", into: &batch, in: 1...65536)
    try fields.read("learning_rate", into: &learningRate, in: 0...1000)
    try fields.read("momentum", into: &momentum, in: 0...0.9999)
    try fields.read("weight_decay", into: &weightDecay, in: 0...10)
    try fields.read("regularization", into: &regularization, in: 1e-9...1e9)
    try fields.read("schedule", into: &schedule)
    try fields.read("cycle_length", into: &cycleLength, in: 1...100_000)
    try fields.read("cycle_mult", into: &cycleMultiplier, in: 1...10)
    try fields.read("label_smoothing", into: &labelSmoothing, in: 0...0.9)
    try fields.read("class_weights", into: &classWeights)
    try fields.read("augmentation", into: &augmentation)
    try fields.read("views", into: &views, in: 1...256)
    try fields.read("patience", into: &patience, in: 0...100_000)
  }

  fileprivate var yaml: String {
    """
      solver: \(solver.rawValue)
      epochs: \(epochs)
      batch: \(batch)
      learning_rate: \(text(learningRate))
      momentum: \(momentum)
      weight_decay: \(weightDecay)
      regularization: \(text(regularization))
      schedule: \(schedule.rawValue)
      cycle_length: \(cycleLength)
      cycle_mult: \(cycleMultiplier)
      label_smoothing: \(labelSmoothing)
      class_weights: \(classWeights.rawValue)
      augmentation: \(augmentation.rawValue)
      views: \(views)
      patience: \(patience)
    """
  }
}

extension Recipe.FineTune {
  fileprivate mutating func read(_ fields: inout YAMLFields) throws {
    try fields.read("freeze_to", into: &freezeTo, in: -1000...1000)
    var names = groups.joined(separator: ",")
    try fields.read("groups", into: &names)
    groups = names.split(separator: ",").map { $0.trimmed }
    var frozen: BatchNormMode? = frozenBatchNorm
    try fields.readBatchNorm("frozen_batch_norm", into: &frozen)
    frozenBatchNorm = frozen ?? .inference
    var trainable: BatchNormMode? = trainableBatchNorm
    try fields.readBatchNorm("trainable_batch_norm", into: &trainable, isFrozen: false)
    trainableBatchNorm = trainable ?? .inference
    try fields.read("lowest_learning_rate", into: &lowestLearningRate, in: 1e-12...1000)
    try train.read(&fields)
    guard train.solver != .lbfgs else {
      throw fields.error(at: "solver", "'fine_tune.solver' is lbfgs, expected sgd or adam.")
    }
  }

  fileprivate var yaml: String {
    """
      freeze_to: \(freezeTo)
      groups: "\(groups.joined(separator: ","))"
      frozen_batch_norm: \(frozenBatchNorm.rawValue)
      trainable_batch_norm: \(trainableBatchNorm.rawValue)
      lowest_learning_rate: \(text(lowestLearningRate))
    \(train.yaml)
    """
  }
}

extension Substring {
  /// Without blanks around it.
  fileprivate var trimmed: String {
    String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }
}

private func text(_ value: (some CustomStringConvertible)?) -> String {
  value?.description ?? "auto"
}
