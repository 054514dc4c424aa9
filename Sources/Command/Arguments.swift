// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawDatasets
import ThawImages
import ThawInference
import ThawRecipes
import ThawRuns

// An empty argument is most often a shell variable that is not set. As a path it would mean the
// working directory, which nobody asked for.

extension RunDirectory: ExpressibleByArgument {
  /// The directory of this name; nil for an empty name.
  public init?(argument: String) {
    guard !argument.isEmpty else { return nil }
    self.init(FilePath(argument))
  }
}

extension FilePath: @retroactive ExpressibleByArgument {
  /// The path; nil for an empty one.
  public init?(argument: String) {
    guard !argument.isEmpty else { return nil }
    self.init(argument)
  }
}

extension Split: ExpressibleByArgument {}
extension Recipe.Data.BadImagePolicy: ExpressibleByArgument {}
extension Recipe.Train.Solver: ExpressibleByArgument {}
extension ScheduleKind: ExpressibleByArgument {}
extension Recipe.TestTime.Mode: ExpressibleByArgument {}
extension Recipe.CachePrecision: ExpressibleByArgument {}
extension Recipe.Train.ClassWeights: ExpressibleByArgument {}
extension Augmentation.Preset: ExpressibleByArgument {}
extension StageContext.EngineChoice: ExpressibleByArgument {}

extension Recipe.LearningRate: ExpressibleByArgument {
  /// `1e-2`, `1e-5:1e-3`, `:1e-3` or `1e-4,1e-3,1e-2`; nil for anything else.
  public init?(argument: String) {
    func rate(_ text: Substring) -> Double? {
      Double(text).flatMap { $0 > 0 && $0 <= 1000 ? $0 : nil }
    }
    if argument.contains(":") {
      let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 2, let to = rate(parts[1]) else { return nil }
      let from = rate(parts[0])
      guard from != nil || parts[0].isEmpty else { return nil }
      self = .range(from: from, to: to)
    } else {
      let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
      let rates = parts.compactMap(rate)
      guard rates.count == parts.count, !rates.isEmpty else { return nil }
      self = rates.count == 1 ? .single(rates[0]) : .list(rates)
    }
  }
}

extension Recipe.Train.Views: ExpressibleByArgument {
  /// A number, or `fresh`.
  public init?(argument: String) {
    if argument == "fresh" {
      self = .fresh
    } else if let count = Int(argument) {
      self = .cached(count)
    } else {
      return nil
    }
  }
}

/// Whole numbers separated by commas.
struct NumberList: ExpressibleByArgument {
  let numbers: [Int]

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    numbers = parts.compactMap { Int($0) }
    guard numbers.count == parts.count, !numbers.isEmpty else { return nil }
  }
}

/// `mixup`, `cutmix:0.5` or `none`.
struct MixingArgument: ExpressibleByArgument {
  let mixing: BatchMixing?

  init?(argument: String) {
    if argument == "none" {
      mixing = nil
      return
    }
    let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
    guard let kind = BatchMixing.Kind(rawValue: String(parts[0])), parts.count <= 2 else {
      return nil
    }
    guard parts.count == 2 else {
      mixing = kind == .mixup ? .mixup() : .cutmix()
      return
    }
    guard let alpha = Double(parts[1]), alpha > 0, alpha.isFinite else { return nil }
    mixing = BatchMixing(kind, alpha: alpha)
  }
}
