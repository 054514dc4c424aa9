// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import Thaw
import ThawFiles
import ThawRecipes
import ThawRuns
import ThawTestSupport
import ThawTinyBackbone

/// Photos and models trained on them with the library, made once a test run.
final class TinyModel: Sendable {
  private let directory: TemporaryDirectory
  var photos: FilePath { directory.path.appending("photos") }
  /// A head of one dense layer.
  var model: FilePath { directory.path.appending("run").appending("model.safetensors") }
  /// A head with a hidden layer.
  var hiddenModel: FilePath { directory.path.appending("hidden").appending("model.safetensors") }
  let outcome: ImageTraining.Outcome

  private init() async throws {
    directory = try TemporaryDirectory()
    try TinyPhotos.write(to: directory.path.appending("photos"))
    let recipe = directory.path.appending("hidden.yml")
    try AtomicFile.write(recipe, text: "head:\n  hidden: 24\n")
    var options = TinyModel.options
    outcome = try await ImageTraining.start(
      photos: directory.path.appending("photos"), run: directory.path.appending("run"),
      options: options
    ).outcome
    options.recipe = recipe
    _ = try await ImageTraining.start(
      photos: directory.path.appending("photos"), run: directory.path.appending("hidden"),
      options: options
    ).outcome
  }

  /// The head alone, on the made-up backbone.
  static var options: ImageTraining.Options {
    var options = ImageTraining.Options()
    options.pretrained = TinyBackbone.directory
    options.backbone = TinyBackbone.name
    (options.headEpochs, options.fineTunes, options.threads) = (20, false, 2)
    return options
  }

  private static let making = Task { try await TinyModel() }

  static var shared: TinyModel { get async throws { try await making.value } }

  /// A classifier of the model with so many workers.
  func classifier(
    workers: Int, batch: Int = 8, capacity: Int = 4096, views: Views = .center,
    model: FilePath? = nil
  ) throws -> ImageClassifier {
    var configuration = ImageClassifier.Configuration()
    configuration.workers = workers
    configuration.maximumBatch = batch
    configuration.capacity = capacity
    configuration.views = views
    return try ImageClassifier(contentsOf: model ?? self.model, configuration: configuration)
  }

  /// Different photos, as JPEG and PNG.
  static func encoded(_ count: Int) throws -> [[UInt8]] {
    try (0..<count).map {
      $0 % 3 == 0
        ? try TinyPhotos.png(kind: $0 % 2, number: 100 + $0)
        : try TinyPhotos.jpeg(kind: $0 % 2, number: 100 + $0)
    }
  }
}

/// A photo that takes a worker some tenths of a second, with the views of `slow`.
enum SlowPhoto {
  static let photo = Result {
    try Photo(rgb: [UInt8](repeating: 90, count: 3 * 3000 * 3000), width: 3000, height: 3000)
  }

  static let views = Views.crops(64)
}

extension Classification {
  /// The logits and probabilities as bits: equal only if nothing at all differs.
  var bits: [UInt32] { (logits + probabilities).map(\.bitPattern) }
}

extension PredictStage.Options {
  /// So many classes and the logits, as `thaw predict --logits` gives them.
  static func withLogits(top: Int, tta: Recipe.TestTime = Recipe.TestTime()) -> Self {
    var options = PredictStage.Options()
    (options.top, options.tta, options.withLogits) = (top, tta, true)
    return options
  }
}
