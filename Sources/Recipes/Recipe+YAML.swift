// SPDX-License-Identifier: Apache-2.0

import ThawConfiguration
import ThawConsole
import ThawImages
import ThawNetwork

extension Recipe {
  /// Reads a recipe.
  ///
  /// - Parameters:
  ///   - yaml: the text of the file; what it leaves out keeps its default.
  ///   - file: the name to give in errors.
  /// - Throws: ``ConfigurationError`` with the line.
  package init(yaml: String, file: String) throws {
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
    try readSizes(&fields)
    try fields.section("image") { try $0.read("size", into: &image.size, in: Recipe.sides) }
    try fields.read("cache", into: &cache)
    try fields.section("head") { fields in
      try fields.read("hidden", into: &head.hidden, in: 1...65536)
      try fields.read("dropout", into: &head.dropout, in: 0...0.99)
      try fields.readBatchNorm("frozen_batch_norm", into: &head.frozenBatchNorm)
    }
    try fields.section("train") { try train.read(&$0) }
    try fields.section("fine_tune") { try fineTune.read(&$0) }
    try fields.section("evaluate") { try evaluate.read(&$0) }
    try fields.finish()
    guard data.valid + data.test < 1 else {
      throw ConfigurationError(
        file, line: nil, "data.valid and data.test leave nothing to train on.")
    }
  }

  /// Sides of images that networks take.
  package static let sides = 32...2048

  /// One list for both trainings; the last is the network's own size.
  private mutating func readSizes(_ fields: inout YAMLFields) throws {
    var sizes: [Int] = []
    try fields.read("sizes", into: &sizes, in: Recipe.sides)
    guard let last = sizes.last else { return }
    train.sizes = sizes
    fineTune.train.sizes = sizes
    image.size = last
  }

  /// This recipe, made from a valid one by changing fields, when they are valid as well.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` in the same words as for a file.
  package func checked() throws -> Recipe {
    do { return try Recipe(yaml: yaml, file: "options") } catch let error as ConfigurationError {
      throw PipelineError.usage("options: \(error.reason)")
    }
  }
}

extension Recipe.Train {
  fileprivate mutating func read(_ fields: inout YAMLFields) throws {
    try fields.read("solver", into: &solver)
    try fields.read("epochs", into: &epochs, in: 1...100_000)
    try fields.read("batch", into: &batch, in: 1...65536)
    try fields.read("accumulation", into: &accumulation, in: 1...4096)
    try fields.read("learning_rate", into: &learningRate)
    try readOptimizer(&fields)
    try fields.read("regularization", into: &regularization, in: 1e-9...1e9)
    try fields.read("schedule", into: &schedule)
    try fields.read("label_smoothing", into: &labelSmoothing, in: 0...0.9)
    try fields.read("class_weights", into: &classWeights)
    try fields.read("augmentation", decoding: &augmentation)
    try readMixing(&fields)
    try readViews(&fields)
    try fields.read("sizes", into: &sizes, in: Recipe.sides)
    try fields.read("patience", into: &patience, in: 0...100_000)
  }

  private mutating func readOptimizer(_ fields: inout YAMLFields) throws {
    try fields.read("momentum", into: &momentum, in: 0...0.9999)
    try fields.read("nesterov", into: &nesterov)
    try fields.read("beta1", into: &beta1, in: 0...0.99999)
    try fields.read("beta2", into: &beta2, in: 0...0.9999999)
    try fields.read("alpha", into: &alpha, in: 0...0.9999999)
    try fields.read("epsilon", into: &epsilon, in: 1e-30...1)
    try fields.read("weight_decay", into: &weightDecay, in: 0...10)
    try fields.read("weight_decay_kind", into: &weightDecayKind)
    try fields.read("decay_biases_and_norms", into: &decaysBiasesAndNorms)
    try fields.read("gradient_clip", into: &gradientClip, in: 1e-9...1e9)
    try fields.read("weight_averaging", into: &weightAveraging, in: 0...0.99999)
  }

  private mutating func readMixing(_ fields: inout YAMLFields) throws {
    var word = ""
    if fields.kind(of: "mixing") == .scalar { try fields.read("mixing", into: &word) }
    guard word != "none" else { return mixing = nil }
    try fields.read("mixing", decoding: &mixing)
  }

  private mutating func readViews(_ fields: inout YAMLFields) throws {
    var word = ""
    if fields.kind(of: "views") == .scalar { try fields.read("views", into: &word) }
    guard word != "fresh" else { return views = .fresh }
    var count = 4
    if case .cached(let known) = views { count = known }
    let isThere = fields.kind(of: "views") != .absent
    try fields.read("views", into: &count, in: 1...256)
    if isThere { views = .cached(count) }
  }
}

extension Recipe.FineTune {
  fileprivate mutating func read(_ fields: inout YAMLFields) throws {
    try fields.read("enabled", into: &enabled)
    try fields.read("freeze_to", into: &freezeTo, in: -1000...1000)
    try fields.read("groups", words: &groups)
    try fields.read("gradual", into: &gradual, in: 1...100_000)
    var phases: [Recipe.Phase] = []
    try fields.list("phases") { phases.append(try Recipe.Phase(&$0)) }
    if fields.kind(of: "phases") != .absent { self.phases = phases }
    try fields.readBatchNorm("frozen_batch_norm", into: &frozenBatchNorm)
    try fields.readBatchNorm("trainable_batch_norm", into: &trainableBatchNorm, isFrozen: false)
    try fields.read("interpolation", into: &interpolation)
    try train.read(&fields)
    guard train.solver != .lbfgs else {
      throw fields.error(
        at: "solver", "'fine_tune.solver' is lbfgs, expected sgd, rmsprop, adam or adamw.")
    }
    guard gradual.isEmpty || self.phases.isEmpty else {
      throw fields.error(
        at: "gradual", "'fine_tune.gradual' and 'fine_tune.phases' contradict each other.")
    }
  }
}

extension Recipe.Phase {
  fileprivate init(_ fields: inout YAMLFields) throws {
    self.init()
    try fields.read("epochs", into: &epochs, in: 1...100_000)
    try fields.read("freeze_to", into: &freezeTo, in: -1000...1000)
    try fields.read("groups", words: &groups)
    try fields.read("size", into: &size, in: Recipe.sides)
    try fields.read("learning_rate", into: &learningRate)
    if fields.kind(of: "schedule") != .absent {
      var own = ScheduleKind.cosine.schedule
      try fields.read("schedule", into: &own)
      schedule = own
    }
    try fields.readBatchNorm("frozen_batch_norm", into: &frozenBatchNorm)
    try fields.readBatchNorm("trainable_batch_norm", into: &trainableBatchNorm, isFrozen: false)
    guard groups.isEmpty || freezeTo == nil else {
      throw fields.error(
        at: "groups", "'groups' and 'freeze_to' of a phase contradict each other.")
    }
  }
}

extension Recipe.Evaluate {
  fileprivate mutating func read(_ fields: inout YAMLFields) throws {
    try fields.read("tta", into: &tta.count, in: 1...64)
    try fields.read("tta_mode", into: &tta.mode)
    try fields.read("tta_clean", into: &tta.cleanShare, in: 0...1)
    try fields.read("snapshots", into: &snapshots)
  }
}

extension YAMLFields {
  /// Reads `1e-2`, `[1e-4, 1e-3, 1e-2]`, `{from: 1e-5, to: 1e-3}`, `{to: 1e-3}` (a tenth for all but
  /// the last) or `{to: 1e-2, decay: 0.8}`; `auto` is nil.
  fileprivate mutating func read(
    _ name: String, into target: inout Recipe.LearningRate?
  ) throws {
    let range = 0.0...1000.0
    switch kind(of: name) {
    case .absent, .scalar:
      var rate: Double?
      let isThere = kind(of: name) != .absent
      try read(name, into: &rate, in: range)
      if isThere { target = rate.map(Recipe.LearningRate.single) }
    case .list:
      var rates: [Double] = []
      try read(name, into: &rates, in: range)
      target = .list(rates)
    case .mapping:
      var (from, to, decay): (Double?, Double?, Double?)
      try section(name) { fields in
        try fields.read("from", into: &from, in: 1e-12...1000)
        try fields.read("to", into: &to, in: 1e-12...1000)
        try fields.read("decay", into: &decay, in: 1e-6...1)
      }
      guard let to, from == nil || decay == nil else {
        throw error(
          at: name,
          to == nil
            ? "'\(name)' needs 'to', the largest rate."
            : "'from' and 'decay' of '\(name)' contradict each other.")
      }
      target = decay.map { .layerwise(to: to, decay: $0) } ?? .range(from: from, to: to)
    }
  }
}
