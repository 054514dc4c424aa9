// SPDX-License-Identifier: Apache-2.0

package import ThawConsole

/// What an option says about a key that both trainings have.
package struct StageSetting: Sendable {
  package let key: StageKey
  /// A value for whichever training can use it.
  let common: String?
  /// Values for one training.
  let own: [TrainingStage: String]

  /// Takes `3`, `head:3`, `fine-tune:8` or `head:3,fine-tune:8`.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` for a value that the key does not take.
  package init(_ key: StageKey, _ text: String) throws(PipelineError) {
    self.key = key
    var own: [TrainingStage: String] = [:]
    var stage: TrainingStage?
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      if let named = TrainingStage.allCases.first(where: { part.hasPrefix($0.rawValue + ":") }) {
        guard own[named] == nil, stage != nil || own.isEmpty else {
          throw .usage("\(key.option) \(text) names \(named.rawValue) twice.")
        }
        stage = named
        own[named] = String(part.dropFirst(named.rawValue.count + 1))
      } else if let stage {
        own[stage]?.append(",\(part)")
      } else {
        guard !text.contains(",head:"), !text.contains(",fine-tune:") else {
          throw .usage(
            "\(key.option) \(text): say either one value, or head:VALUE,fine-tune:VALUE.")
        }
      }
    }
    common = own.isEmpty ? text : nil
    self.own = own
    try check()
  }

  private func check() throws(PipelineError) {
    for stage in TrainingStage.allCases {
      var scratch = Recipe()
      if let value = own[stage] ?? common { try set(value, of: stage, in: &scratch) }
    }
  }

  /// The value for `stage`; nil to leave it.
  func value(of stage: TrainingStage) -> String? { own[stage] ?? common }

  /// Puts `value` in force.
  func set(_ value: String, of stage: TrainingStage, in recipe: inout Recipe)
    throws(PipelineError)
  { try key[stage].set(value, in: &recipe) }
}
