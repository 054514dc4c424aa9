// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
package import ThawNetwork

/// What makes probabilities of the outputs of a checkpoint that holds weights alone.
///
/// Tensors do not say it. What does is what was kept beside them: the loss of the training, the kind of the
/// problem. Without such a word one class a photo is assumed; a single output can only be a sigmoid's.
package struct ForeignActivation: Sendable, Equatable {
  package let activation: OutputActivation
  /// Where that is from, as a sentence without its full stop.
  package let reason: String

  /// - Parameters:
  ///   - outputs: of the classifier in the file.
  ///   - endsWithSigmoid: whether a whole module ends so.
  package init(_ file: ForeignFile, outputs: Int, endsWithSigmoid: Bool = false) {
    let module = endsWithSigmoid ? "the module's last layer" : nil
    if let stated = module ?? ForeignActivation.stated(file) {
      activation = outputs == 1 ? .singleSigmoid : .independentSigmoids
      reason = "its outputs are \(activation.summary), as \(stated) says"
    } else if outputs == 1 {
      activation = .singleSigmoid
      reason =
        "its single output is taken for a logit, of which the sigmoid is the second class's probability"
    } else {
      activation = .softmax
      reason =
        "that a photo has one of the \(outputs) classes, by a softmax over them, is assumed; the file"
        + " does not say it"
    }
  }

  /// Whether a configuration says that the outputs are numbers.
  static func isRegression(_ configuration: JSONValue) -> Bool {
    configuration["problem_type"]?.text == "regression"
  }

  /// What says that a photo may have several classes; nil when nothing does.
  private static func stated(_ file: ForeignFile) -> String? {
    if let configuration = file.configuration, let key = key(in: configuration) {
      return "'\(key)' in config.json beside it"
    }
    guard let around = file.checkpoint.surroundings else { return nil }
    if let key = key(in: around.data) { return "'\(key)' in the file" }
    let several = around.losses.filter(losses.contains)
    return several.isEmpty || several.count < around.losses.count
      ? nil : "the loss \(several[0]) in the file"
  }

  /// Classes of losses that ask a question of each output.
  private static let losses: Set = [
    "BCEWithLogitsLoss", "BCEWithLogitsLossFlat", "BCELoss", "BCELossFlat",
    "MultiLabelSoftMarginLoss", "AsymmetricLoss", "AsymmetricLossMultiLabel",
  ]

  /// The key of an entry that says so, at most four levels deep.
  private static func key(in data: JSONValue) -> String? {
    var level = [data]
    for _ in 0..<4 {
      var next: [JSONValue] = []
      for case .object(let members) in level where members.count < 10_000 {
        for member in members {
          if says(member.name.lowercased(), member.value) { return member.name }
          if case .object = member.value { next.append(member.value) }
        }
      }
      level = Array(next.prefix(200))
    }
    return nil
  }

  private static func says(_ key: String, _ value: JSONValue) -> Bool {
    let word = (value.text ?? "").lowercased().filter { $0.isLetter }
    switch key {
    case "multilabel", "multi_label", "is_multilabel", "is_multi_label":
      return value == .boolean(true)
    case "problem_type", "task", "task_type", "classification_type":
      return word.contains("multilabel")
    case "loss", "criterion", "loss_fn", "loss_func", "loss_function", "objective":
      return word.hasPrefix("bce") || word.contains("binarycrossentropy")
    default: return false
    }
  }
}
