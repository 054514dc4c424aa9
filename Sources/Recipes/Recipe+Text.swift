// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawImages

extension Recipe {
  /// The recipe as a YAML file that reads back as the same recipe.
  package var yaml: String {
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
    cache: \(cache.rawValue)
    head:
      hidden: \(text(head.hidden))
      dropout: \(head.dropout)
      frozen_batch_norm: \((head.frozenBatchNorm ?? .inference).rawValue)
    train:
    \(train.yaml)
    fine_tune:
    \(fineTune.yaml)
    evaluate:
      tta: \(evaluate.tta.count)
      tta_mode: \(evaluate.tta.mode.rawValue)
      tta_clean: \(text(evaluate.tta.cleanShare))
      snapshots: \(evaluate.snapshots)

    """
  }

  private func quoted(_ text: String) -> String {
    "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }
}

extension Recipe.Train {
  /// The section, indented by two blanks; every key is there.
  package var yaml: String {
    """
      solver: \(solver.rawValue)
      epochs: \(epochs)
      batch: \(batch)
      accumulation: \(accumulation)
      learning_rate: \(learningRate?.yaml ?? "auto")
      momentum: \(text(momentum))
      nesterov: \(nesterov)
      beta1: \(beta1)
      beta2: \(beta2)
      alpha: \(alpha)
      epsilon: \(epsilon)
      weight_decay: \(weightDecay)
      weight_decay_kind: \(weightDecayKind.rawValue)
      decay_biases_and_norms: \(decaysBiasesAndNorms)
      gradient_clip: \(text(gradientClip))
      weight_averaging: \(text(weightAveraging))
      regularization: \(text(regularization))
      schedule: \(schedule.yaml)
      label_smoothing: \(labelSmoothing)
      class_weights: \(classWeights.rawValue)
      augmentation: \(augmentation.yaml)
      mixing: \(mixing.map { "{kind: \($0.kind.rawValue), alpha: \($0.alpha)}" } ?? "none")
      views: \(views.yaml)
      sizes: \(sizes)
      patience: \(patience)
    """
  }
}

extension Recipe.FineTune {
  /// The section, indented by two blanks; every key is there.
  package var yaml: String {
    """
      enabled: \(enabled)
      freeze_to: \(freezeTo)
      groups: \(list(groups))
      gradual: \(gradual)
      phases: [\(phases.map(\.yaml).joined(separator: ", "))]
      frozen_batch_norm: \(frozenBatchNorm.rawValue)
      trainable_batch_norm: \(trainableBatchNorm.rawValue)
      interpolation: \(interpolation)
    \(train.yaml)
    """
  }
}

extension Recipe.Phase {
  /// On one line, with the keys that differ from the whole.
  fileprivate var yaml: String {
    let pairs: [(String, String?)] = [
      ("epochs", epochs?.description), ("freeze_to", freezeTo?.description),
      ("groups", groups.isEmpty ? nil : list(groups)), ("size", size?.description),
      ("learning_rate", learningRate?.yaml), ("schedule", schedule?.yaml),
      ("frozen_batch_norm", frozenBatchNorm?.rawValue),
      ("trainable_batch_norm", trainableBatchNorm?.rawValue),
    ]
    return "{"
      + pairs.compactMap { key, value in value.map { "\(key): \($0)" } }
      .joined(separator: ", ") + "}"
  }
}

extension Recipe.LearningRate {
  fileprivate var yaml: String {
    switch self {
    case .single(let rate): "\(rate)"
    case .list(let rates): "\(rates)"
    case .range(nil, let to): "{to: \(to)}"
    case .range(let from?, let to): "{from: \(from), to: \(to)}"
    case .layerwise(let to, let decay): "{to: \(to), decay: \(decay)}"
    }
  }
}

extension Recipe.Train.Views {
  fileprivate var yaml: String {
    switch self {
    case .cached(let count): "\(count)"
    case .fresh: "fresh"
    }
  }
}

extension Augmentation {
  /// A preset's name, or what differs from no augmentation, on one line (JSON is YAML too).
  fileprivate var yaml: String {
    if let preset { return preset.rawValue }
    let plain = Augmentation.none.settings
    let own = settings.filter { plain[$0.key] != $0.value }.sorted { $0.key < $1.key }
    return "{" + own.map { "\($0.key): \($0.value)" }.joined(separator: ", ") + "}"
  }

  /// Each setting as JSON.
  private var settings: [String: String] {
    let object = try? JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
    return (object ?? [:]).mapValues { value in
      let options: JSONSerialization.WritingOptions = [.fragmentsAllowed, .sortedKeys]
      let data = try? JSONSerialization.data(withJSONObject: value, options: options)
      return String(decoding: data ?? Data(), as: UTF8.self)
    }
  }
}

private func list(_ words: [String]) -> String {
  "[" + words.map { "\"\($0)\"" }.joined(separator: ", ") + "]"
}

private func text(_ value: (some CustomStringConvertible)?) -> String {
  value?.description ?? "auto"
}
