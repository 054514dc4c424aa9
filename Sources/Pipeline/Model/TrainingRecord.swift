// SPDX-License-Identifier: Apache-2.0

import Backbones
import Datasets
import Foundation
import Training

/// How a model came about; travels in its file as `thaw.training`.
///
/// Nothing in it depends on the clock or on how often the training was interrupted, so that the same
/// training always writes the same file.
struct TrainingRecord: Codable, Sendable {
  /// Hash of everything the training depended on.
  var key: String
  /// The recipe, as YAML.
  var recipe: String
  /// The card the backbone came from.
  var backbone: String
  /// Hash of its weights.
  var weightsHash: String
  /// Photos by split.
  var photos: [String: Int]
  /// The head's shape: with the architecture, all that is needed to build the graph again.
  var head: Recipe.Head
  /// Whether only the head was trained, and the backbone is as it was published.
  var isHeadAlone: Bool
  /// What training reported.
  var outcome: TrainingOutcome

  init(
    key: String, recipe: String, backbone: String, weightsHash: String, photos: [String: Int],
    head: Recipe.Head, isHeadAlone: Bool, outcome: TrainingOutcome
  ) {
    self.key = key
    self.recipe = recipe
    self.backbone = backbone
    self.weightsHash = weightsHash
    self.photos = photos
    self.head = head
    self.isHeadAlone = isHeadAlone
    self.outcome = outcome
  }

  init(json: String) throws {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    self = try decoder.decode(TrainingRecord.self, from: Data(json.utf8))
  }

  /// The 95 % interval of the accuracy, going by the validation photos; 0...1 without any.
  var accuracyInterval: ClosedRange<Double> {
    let trials = photos[Split.valid.rawValue] ?? 0
    guard let accuracy = outcome.bestValidAccuracy, trials > 0 else { return 0...1 }
    return WilsonInterval.interval(
      successes: min(Int((accuracy * Double(trials)).rounded()), trials), trials: trials)
  }

  func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}

/// What a training came to, apart from the time it took.
struct TrainingOutcome: Codable, Sendable, Equatable {
  /// Passes over the training photos; 0 for a convex solver.
  var epochs: Int
  /// Of the weights that were kept; nil without validation photos.
  var bestValidAccuracy: Double?
  /// Their validation loss.
  var bestValidLoss: Double?
  /// Numbers with a gradient.
  var trainableParameters: Int
  /// Whether the frozen layers came from the cache.
  var cached: Bool
  /// Where the weights lie between those that fine-tuning started from (0) and those it ended with
  /// (1); nil for a head, and without validation photos.
  var interpolation: Double?
}
