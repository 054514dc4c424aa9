// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawConfiguration
import ThawImages
import ThawNetwork
import ThawTraining

// The values that may be written in more than one way.

extension RecipeValue where Value == BatchNormMode {
  /// A batch-norm mode, or the system whose way is meant.
  ///
  /// - Parameter isFrozen: whether the batch norms meant are in frozen groups.
  static func batchNorm(isFrozen: Bool) -> RecipeValue {
    RecipeValue(
      type: "mode", words: BatchNormMode.knownNames,
      read: { try $0.readBatchNorm($1, into: &$2, isFrozen: isFrozen) }, write: { $0.rawValue })
  }
}

extension RecipeValue where Value == BatchNormMode? {
  /// The same where nothing stands for `inference`.
  static var batchNorm: RecipeValue {
    RecipeValue(
      type: "mode", words: BatchNormMode.knownNames,
      read: { fields, name, mode in
        var known = mode ?? .inference
        try fields.readBatchNorm(name, into: &known)
        mode = known == .inference && mode == nil ? nil : known
      }, write: { ($0 ?? .inference).rawValue })
  }
}

extension RecipeValue where Value == ThawTraining.Schedule {
  /// A schedule's name, or its name with numbers.
  static var schedule: RecipeValue {
    RecipeValue(
      type: "see below", words: ScheduleKind.allCases.map(\.rawValue),
      read: { try $0.read($1, into: &$2) }, write: { $0.yaml })
  }
}

extension RecipeValue where Value == Recipe.LearningRate? {
  /// One rate, one for each layer group, or a range.
  static var learningRate: RecipeValue {
    RecipeValue(
      type: "see below", read: { try $0.read($1, into: &$2) }, write: { $0?.yaml ?? "auto" },
      yaml: { argument in
        let ends = argument.split(separator: ":", omittingEmptySubsequences: false)
        if ends.count == 2 {
          return "{" + (ends[0].isEmpty ? "" : "from: \(ends[0]), ") + "to: \(ends[1])}"
        }
        return argument.contains(",") ? "[\(argument)]" : nil
      })
  }
}

extension RecipeValue where Value == Augmentation {
  /// A preset's name, or settings.
  static var augmentation: RecipeValue {
    RecipeValue(
      type: "preset, or settings", words: Augmentation.Preset.allCases.map(\.rawValue),
      read: { try $0.read($1, decoding: &$2) }, write: { $0.yaml })
  }
}

extension RecipeValue where Value == BatchMixing? {
  /// `mixup` or `cutmix`, with or without an alpha, or `none`.
  static var mixing: RecipeValue {
    RecipeValue(
      type: "`none`, `mixup`, `cutmix`, or `{kind: mixup, alpha: 0.4}`",
      words: ["none", "mixup", "cutmix"],
      read: { fields, name, mixing in
        var word = ""
        if fields.kind(of: name) == .scalar { try fields.read(name, into: &word) }
        guard word != "none" else { return mixing = nil }
        if fields.kind(of: name) == .scalar, BatchMixing.Kind(rawValue: word) == nil {
          throw fields.error(
            at: name,
            "'\(name)' is '\(word)', expected none, mixup or cutmix, or one of these with its alpha:"
              + " mixup:0.4 on the command line, {kind: mixup, alpha: 0.4} in a recipe.")
        }
        try fields.read(name, decoding: &mixing)
      },
      write: { $0.map { "{kind: \($0.kind.rawValue), alpha: \($0.alpha)}" } ?? "none" },
      yaml: { argument in
        let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, BatchMixing.Kind(rawValue: String(parts[0])) != nil,
          Double(parts[1]).map({ $0 > 0 && $0.isFinite }) ?? false
        else { return nil }
        return "{kind: \(parts[0]), alpha: \(parts[1])}"
      })
  }
}

extension RecipeValue where Value == Recipe.Train.Views {
  /// A number, or `fresh`.
  static var views: RecipeValue {
    RecipeValue(
      type: "1 to 256, or `fresh`",
      read: { fields, name, views in
        var word = ""
        if fields.kind(of: name) == .scalar { try fields.read(name, into: &word) }
        guard word != "fresh" else { return views = .fresh }
        guard fields.kind(of: name) != .absent else { return }
        var count = 4
        try fields.read(name, into: &count, in: 1...256)
        views = .cached(count)
      }, write: { if case .cached(let count) = $0 { "\(count)" } else { "fresh" } })
  }
}

extension RecipeValue where Value == [Recipe.Phase] {
  /// Phases, each with its keys.
  static var phases: RecipeValue {
    RecipeValue(
      type: "list of settings",
      read: { fields, name, phases in
        guard fields.kind(of: name) != .absent else { return }
        var found: [Recipe.Phase] = []
        try fields.list(name) { fields in
          var phase = Recipe.Phase()
          for key in Recipe.Phase.keys { try key.read(&fields, into: &phase) }
          try phase.check(fields)
          found.append(phase)
        }
        phases = found
      }, write: { "[\($0.map(\.yaml).joined(separator: ", "))]" },
      document: { $0.isEmpty ? "none" : nil })
  }
}

extension RecipeValue {
  /// The same where a key that is absent is as for the whole, and is not written.
  ///
  /// - Parameter start: where reading starts.
  static func optional<Wrapped: Sendable>(
    _ value: RecipeValue<Wrapped>, from start: Wrapped
  ) -> RecipeValue where Value == Wrapped? {
    RecipeValue(
      type: value.type, words: value.words,
      read: { fields, name, target in
        var found = target ?? start
        let isThere = fields.kind(of: name) != .absent
        try value.read(&fields, name, &found)
        if isThere { target = found }
      }, write: { $0.flatMap(value.write) }, document: { $0.flatMap(value.write) ?? "" },
      yaml: value.yaml)
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
      target = try learningRates(name)
    }
  }

  private mutating func learningRates(_ name: String) throws -> Recipe.LearningRate {
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
    return decay.map { .layerwise(to: to, decay: $0) } ?? .range(from: from, to: to)
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

extension RecipeValue where Value == [String] {
  /// The same where an empty list is not written.
  var unlessEmpty: RecipeValue {
    RecipeValue(
      type: type, read: read, write: { [write] in $0.isEmpty ? nil : write($0) },
      document: { _ in "" })
  }
}

extension RecipeValue where Value == Recipe.LearningRate? {
  /// The same where no rate is not written.
  var unlessNil: RecipeValue {
    RecipeValue(
      type: type, read: read, write: { [write] in $0 == nil ? nil : write($0) },
      document: { _ in "" }, yaml: yaml)
  }
}
