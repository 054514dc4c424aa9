// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawDatasets
import ThawExecution
import ThawFiles
import ThawImages
import ThawInference
import ThawNetwork
import ThawOneDNN
import ThawRecipes
import ThawReference
import ThawRuns
import ThawTestSupport

/// The keys of caches, pinned: a toolchain, a renamed type or a renamed field must not change them.
struct KeyTests {
  /// Every operation once; never executed, so the shapes need not be sensible.
  static let operations: [Operation] = [
    .convolution(
      Convolution2D(
        inputs: 3, outputs: 4,
        window: Window2D(
          kernel: 3, stride: 2, padding: .explicit(EdgeInsets(top: 0, left: 1, bottom: 2, right: 3))
        ))),
    .convolution(
      Convolution2D(
        inputs: 4, outputs: 4, window: Window2D(kernel: 5, dilation: 2, padding: .same), groups: 4,
        hasBias: true)),
    .convolution(
      Convolution2D(inputs: 4, outputs: 4, window: Window2D(kernel: 1), storesMatrix: true)),
    .batchNormalization(
      BatchNormalization(
        channels: 4, epsilon: 1e-3, momentum: 0.01, hasScale: false,
        runningVarianceCorrection: .none)),
    .activation(.relu6), .layerNormalization(LayerNormalization(channels: 4)),
    .channelScale(ChannelScale(channels: 4, name: "gamma \"g\"")), .add, .gate, .concatenate,
    .pooling(.maximum, Window2D(kernel: 2, stride: 2, roundsUp: true)),
    .pooling(.average(includesPadding: true), Window2D(kernel: 3)),
    .pooling(.average(includesPadding: false), Window2D(kernel: 3)), .globalAveragePooling,
    .globalMaximumPooling, .adaptiveAveragePooling(Extent2D(height: 7, width: 6)), .flatten,
    .dropout(probability: 0.2), .stochasticDepth(probability: 0.1),
    .dense(Dense(inputs: 4, outputs: 2, hasBias: false)),
  ]

  static func key(
    _ operations: [Operation] = operations, engine: String = "engine 1"
  ) -> FeatureCacheKey {
    var builder = GraphBuilder(name: "pinned", inputChannels: 3)
    var last = builder.input
    for (index, operation) in operations.enumerated() {
      last = builder.add(ParameterPath("layer.\(index)"), operation, [last])
    }
    let graph = builder.build()
    return FeatureCacheKey(
      graph, upTo: last, parameters: .procedural(for: graph),
      preprocessing: Preprocessing(
        inputSize: 8, scale: 0.5, channelOrder: .rgb, mean: [0.5, 0.25, 0.125], std: [1, 2, 4]),
      engine: engine)
  }

  @Test func theKeyOfCachedFeaturesIsPinned() throws {
    let key = try KeyTests.key().key()
    #expect(key == "01dd68c1113bd410a9024562123bf870b6d8b66318c3e52d0c24f9f32be7c92a")
  }

  /// What Thaw 0.1.0 computed for the same network.
  @Test func theFormerKeyOfCachedFeaturesIsPinned() throws {
    let key = try KeyTests.key().formerKey()
    #expect(key == "b842c97c4f4cead089a3b1f21be6e2a42da1eec1878d5decf2f119ff29ea6a1a")
  }

  /// A head that another engine trained is not the one that the usual engine would have trained.
  @Test func theEngineThatTrainsIsInTheKeyOfAHead() throws {
    let temporary = try TemporaryDirectory()
    let file = temporary.path.appending("manifest.json")
    try AtomicFile.write(
      file,
      text: #"{"version":1,"root":"/photos","layout":"classes","classes":["a","b"],"records":[],"#
        + #""bad":[],"notes":[],"duplicates":[],"seed":1}"#)
    let manifest = try Manifest(contentsOf: file)
    func key(_ engine: String?) throws -> String {
      try HeadTrainingKey(
        Recipe(), manifest, features: KeyTests.key(), trainingEngine: engine
      ).key()
    }
    #expect(try key(nil) != key("reference (Float)"))
    #expect(try key("oneDNN 2.6.3, reference (Float)") != key("reference (Float)"))
  }

  /// What is kept of photos is in a key where it changes pixels, and only there: what was trained before
  /// there was a choice is found again.
  @Test func keptPixelsAreInTheKeyWhereTheyChangePixels() throws {
    func record(_ key: String, _ recipe: String, isHead: Bool) -> TrainingRecord {
      TrainingRecord(
        key: key, recipe: recipe, backbone: "b", weightsHash: "w", photos: ["train": 5],
        head: Recipe().head, isHeadAlone: isHead,
        outcome: TrainingOutcome(
          epochs: 1, bestValidAccuracy: nil, bestValidLoss: nil, trainableParameters: 1,
          cached: false))
    }
    let head = record("head", Recipe().yaml, isHead: true)
    func key(_ kept: Recipe.Train.KeptPixels, shrinks: Bool) -> String {
      var recipe = Recipe()
      recipe.fineTune.train.keptPixels = kept
      return FineTuningKey(recipe, head: head, engine: "e", shrinksPhotos: shrinks).key
    }
    let before = key(.whole, shrinks: true)
    // As the program hashed it that knew no choice.
    let lines = Recipe().fineTune.yaml.replacing("  kept_pixels: shrunk\n", with: "")
    var hash = SHA256()
    for piece in [
      "fine-tuning 4", "engine", "e", "head", "head", "seed", "42", "cache", "float32",
      "single rate", String(3e-4.bitPattern, radix: 16), "settings", lines,
    ] { hash.update(piece) }
    #expect(before == hash.hexadecimalDigest)
    #expect(key(.whole, shrinks: false) == before && key(.shrunk, shrinks: false) == before)
    #expect(key(.shrunk, shrinks: true) != before)
    // A model of the former program, whose recipe does not know the choice.
    let text = Recipe().yaml.replacing("  kept_pixels: shrunk\n", with: "")
    let made = record(before, text, isHead: false)
    var now = try Recipe(written: text, file: "r")
    #expect(FineTuningKey(now, head: head, engine: "e", shrinksPhotos: true).made(made))
    now.fineTune.train.keptPixels = .shrunk
    #expect(FineTuningKey(now, head: head, engine: "e", shrinksPhotos: false).made(made))
    #expect(!FineTuningKey(now, head: head, engine: "e", shrinksPhotos: true).made(made))
  }

  /// Features of one precision are never taken for those of another.
  @Test func precisionIsInTheNameOfTheEngine() throws {
    var graph = GraphBuilder(name: "n", inputChannels: 3).build()
    let engine = OneDNNEngine(training: ReferenceEngine<Float>())
    #expect(engine.name(for: graph) == engine.name)
    graph.precision = .bfloat16
    let computed = OneDNNEngine.hasBFloat16 ? engine.name + " bfloat16" : engine.name
    #expect(engine.name(for: graph) == computed)
    #expect(ReferenceEngine<Float>().name(for: graph) == "reference (Float)")
  }

  @Test func everyOperationHasAKeyOfItsOwn() throws {
    let keys = try KeyTests.operations.map { try KeyTests.key([$0]).key() }
    #expect(Set(keys).count == keys.count)
    #expect(try KeyTests.key([.add]).key() != KeyTests.key([.add], engine: "engine 2").key())
  }
}
