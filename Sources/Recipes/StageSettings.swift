// SPDX-License-Identifier: Apache-2.0

package import ThawConsole

/// What options say about the trainings that a command runs, put in force together: whether one has
/// an effect depends on the others.
package struct StageSettings {
  private let settings: [StageSetting]
  private let stages: [TrainingStage]
  private let usualRate: (TrainingStage, Recipe) -> Double?

  /// - Parameters:
  ///   - settings: in the order of the keys.
  ///   - stages: the trainings that the command, or the run that it prepares, has.
  ///   - usualRate: the largest learning rate of a training without one in the recipe; nil when it
  ///     is not known yet.
  package init(
    _ settings: [StageSetting], stages: [TrainingStage],
    usualRate: @escaping (TrainingStage, Recipe) -> Double?
  ) {
    self.settings = settings
    self.stages = stages
    self.usualRate = usualRate
  }

  /// Changes `recipe`.
  ///
  /// - Returns: with two trainings, what each setting means for both of them: a sentence a setting.
  /// - Throws: ``PipelineError/usage(_:)`` for a setting without effect, or that must say which
  ///   training it means.
  package func apply(to recipe: inout Recipe) throws(PipelineError) -> [String] {
    for setting in settings { try refuseOthers(setting) }
    let all = try applied(to: recipe) { _, _ in true }
    // With everything in force, which settings does nothing read?
    var idle: [[TrainingStage: String]] = []
    for setting in settings {
      var reasons: [TrainingStage: String] = [:]
      for stage in stages {
        guard let value = setting.value(of: stage) else { continue }
        var trial = all
        try set(setting, value, of: stage, in: &trial)
        reasons[stage] = setting.key[stage].idle(trial)
      }
      try judge(setting, idle: reasons)
      idle.append(reasons)
    }
    let before = recipe
    recipe = try applied(to: before) { idle[$0][$1] == nil }
    guard stages.count > 1 else { return [] }
    let result = recipe
    return settings.indices.map { remark(settings[$0], in: result, idle: idle[$0]) }
  }

  /// `recipe` with the settings that `isWanted`.
  private func applied(
    to recipe: Recipe, where isWanted: (Int, TrainingStage) -> Bool
  ) throws(PipelineError) -> Recipe {
    var result = recipe
    for (index, setting) in settings.enumerated() {
      for stage in stages where isWanted(index, stage) {
        guard let value = setting.value(of: stage) else { continue }
        var trial = result
        try set(setting, value, of: stage, in: &trial)
        // A solver that the stage does not have must not make other settings look idle.
        let isRefused = setting.key[stage].name == "solver" && setting.key[stage].idle(trial) != nil
        if !isRefused { result = trial }
      }
    }
    return result
  }

  private func set(
    _ setting: StageSetting, _ value: String, of stage: TrainingStage, in recipe: inout Recipe
  ) throws(PipelineError) {
    let key = setting.key[stage]
    if key.name == "layer_decay", key.idle(recipe) == nil {
      let rate = stage == .head ? recipe.train.learningRate : recipe.fineTune.train.learningRate
      switch rate {
      case .list, .range(from: .some, to: _):
        throw .usage("--layer-decay needs a single --learning-rate, that of the head.")
      case .none:
        guard let usual = usualRate(stage, recipe) else {
          throw .usage(
            "--layer-decay needs the rate of the last layer group, and the usual one of fine-tuning"
              + " follows from the trained head. Add --learning-rate fine-tune:RATE.")
        }
        if stage == .fineTune { recipe.fineTune.train.learningRate = .single(usual) }
      default: break
      }
    }
    try setting.set(value, of: stage, in: &recipe)
  }

  private func refuseOthers(_ setting: StageSetting) throws(PipelineError) {
    for (stage, value) in setting.own where !stages.contains(stage) {
      throw .usage(
        "\(setting.key.option) \(stage.rawValue):\(value) has no effect: \(stage.phrase) is not part"
          + " of this.")
    }
  }

  /// - Throws: when no training uses the setting, or not the one that it names, or when it must name
  ///   one.
  private func judge(_ setting: StageSetting, idle: [TrainingStage: String]) throws(PipelineError) {
    let option = setting.key.option
    for (stage, value) in setting.own {
      if let reason = idle[stage] {
        throw .usage("\(option) \(stage.rawValue):\(value) has no effect: \(reason).")
      }
    }
    guard let value = setting.common else { return }
    let reasons = stages.compactMap { idle[$0] }
    guard reasons.count < stages.count else {
      let all = reasons.allSatisfy { $0 == reasons.first }
      let text =
        all
        ? reasons.first ?? ""
        : stages.map { "for \($0.phrase), \(idle[$0] ?? "")" }.joined(separator: "; ")
      throw .usage("\(option) \(value) has no effect: \(text).")
    }
    guard setting.key.suitsBoth || stages.count - reasons.count < 2 else {
      throw .usage(
        "\(option) \(value) would be the rate of the head and of fine-tuning, whose good rates lie"
          + " far apart. Say which: \(option) head:\(value), \(option) fine-tune:\(value), or"
          + " \(option) head:RATE,fine-tune:RATE.")
    }
  }

  /// For example `--epochs: 3 for the head, 3 for fine-tuning.`
  private func remark(
    _ setting: StageSetting, in recipe: Recipe, idle: [TrainingStage: String]
  ) -> String {
    let parts = stages.map { stage in
      let value = setting.key[stage].write(recipe) ?? ""
      if let reason = idle[stage] { return "no effect on \(stage.phrase) (\(reason))" }
      return setting.value(of: stage) == nil
        ? "\(stage.phrase) keeps \(value)" : "\(value) for \(stage.phrase)"
    }
    return "\(setting.key.option): \(parts.joined(separator: ", "))."
  }
}
