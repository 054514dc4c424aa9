// SPDX-License-Identifier: Apache-2.0

import Foundation
package import SystemPackage
import ThawBackbones
package import ThawCheckpoints
import ThawConsole
import ThawDatasets
import ThawFiles
package import ThawRecipes
import ThawTraining

/// How a model came about; travels in its file as `thaw.training`.
///
/// Nothing in it depends on the clock or on how often the training was interrupted, so that the same
/// training always writes the same file.
package struct TrainingRecord: Codable, Sendable {
  /// Hash of everything the training depended on.
  package var key: String
  /// The recipe, as YAML.
  package var recipe: String
  /// The card the backbone came from.
  package var backbone: String
  /// Hash of its weights.
  package var weightsHash: String
  /// Photos by split.
  package var photos: [String: Int]
  /// Hash of which photos there were, and what each was used for; nil in files of version 0.1.0.
  package var photosKey: String?
  /// The head's shape: with the architecture, all that is needed to build the graph again.
  package var head: Recipe.Head
  /// Whether only the head was trained, and the backbone is as it was published.
  package var isHeadAlone: Bool
  /// What training reported.
  package var outcome: TrainingOutcome
  /// What photos without labels were worth to the head; nil without any.
  package var unlabelled: UnlabelledResult?

  package init(
    key: String, recipe: String, backbone: String, weightsHash: String, photos: [String: Int],
    photosKey: String? = nil, head: Recipe.Head, isHeadAlone: Bool, outcome: TrainingOutcome,
    unlabelled: UnlabelledResult? = nil
  ) {
    self.unlabelled = unlabelled
    self.key = key
    self.recipe = recipe
    self.backbone = backbone
    self.weightsHash = weightsHash
    self.photos = photos
    self.photosKey = photosKey
    self.head = head
    self.isHeadAlone = isHeadAlone
    self.outcome = outcome
  }

  /// Reads what ``json()`` wrote.
  ///
  /// - Throws: `DecodingError`.
  package init(json: String) throws {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    self = try decoder.decode(TrainingRecord.self, from: Data(json.utf8))
  }

  /// Reads the record in a model file's metadata.
  ///
  /// - Parameter file: where it is, for the error.
  /// - Throws: ``PipelineError/data(_:)`` when it has none, or one of another version.
  package init(of record: ModelRecord, file: FilePath) throws {
    do { try self.init(json: record.training) } catch {
      throw PipelineError.data(
        "\(file.displayed): its training record, written by Thaw \(record.thawVersion), is not"
          + " understood. Use that version, or train again.")
    }
  }

  /// The record of the model file at `path`; nil when there is no such file.
  ///
  /// - Throws: `CheckpointError` for a damaged file; ``PipelineError/data(_:)``.
  package static func read(_ path: FilePath) throws -> TrainingRecord? {
    guard FileSystem.exists(path) else { return nil }
    return try TrainingRecord(of: ModelFile.read(path).record, file: path)
  }

  /// The 95 % interval of the accuracy, going by the validation photos; 0...1 without any.
  package var accuracyInterval: ClosedRange<Double> {
    let trials = photos[Split.valid.rawValue] ?? 0
    guard let accuracy = outcome.bestValidAccuracy, trials > 0 else { return 0...1 }
    return WilsonInterval.interval(
      successes: min(Int((accuracy * Double(trials)).rounded()), trials), trials: trials)
  }

  package func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}

/// What a training came to, apart from the time it took.
package struct TrainingOutcome: Codable, Sendable, Equatable {
  /// Passes over the training photos; 0 for a convex solver.
  package var epochs: Int
  /// Of the weights that were kept; nil without validation photos.
  package var bestValidAccuracy: Double?
  /// Their validation loss.
  package var bestValidLoss: Double?
  /// Numbers with a gradient.
  package var trainableParameters: Int
  /// Whether the frozen layers came from the cache.
  package var cached: Bool
  /// Where the weights lie between those that fine-tuning started from (0) and those it ended with
  /// (1); nil for a head, and without validation photos.
  package var interpolation: Double?

  package init(
    epochs: Int, bestValidAccuracy: Double?, bestValidLoss: Double?, trainableParameters: Int,
    cached: Bool, interpolation: Double? = nil
  ) {
    self.epochs = epochs
    self.bestValidAccuracy = bestValidAccuracy
    self.bestValidLoss = bestValidLoss
    self.trainableParameters = trainableParameters
    self.cached = cached
    self.interpolation = interpolation
  }
}
