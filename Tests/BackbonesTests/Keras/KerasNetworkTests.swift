// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawCheckpoints
import ThawGraphs
import ThawImages
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors
import ThawTestSupport

/// Keras models as their own configuration describes them.
@Suite struct KerasNetworkTests {
  private static func network(_ checkpoint: Checkpoint) throws -> KerasNetwork {
    try #require(try KerasNetwork(checkpoint))
  }

  private static func contract(_ network: KerasNetwork, _ file: String) throws -> Preprocessing {
    let usual = Preprocessing.kerasGeometry(KerasFixture.side)
    // What the trainer does before its model; all others do it within.
    let before = file == "trainer.h5" ? usual.withValues(of: .tf()) : usual
    return try #require(network.preprocessing(before, isBefore: true))
  }

  @Test func everyFileHasItsAnswer() {
    #expect(Set(KerasFixture.answers.keys) == Set(KerasFixture.files))
  }

  @Test(arguments: KerasFixture.files)
  func probabilitiesAreKerassOnBothEngines(_ file: String) throws {
    let network = try Self.network(KerasFixture.checkpoint(file))
    let contract = try Self.contract(network, file)
    let expected = try #require(KerasFixture.answers[file])
    for (engine, actual) in [
      (
        "oneDNN",
        try KerasFixture.probabilities(
          network, contract, OneDNNEngine(training: ReferenceEngine<Float>()))
      ),
      ("reference", try KerasFixture.probabilities(network, contract, ReferenceEngine<Float>())),
    ] {
      expectClose(actual, expected, relative: 0, absolute: 1e-5, "\(file) on \(engine)")
    }
  }

  @Test func activationsAreTheFiles() throws {
    func activation(_ file: String) throws -> OutputActivation? {
      try Self.network(KerasFixture.checkpoint(file)).outputActivation
    }
    #expect(try activation("nested.keras") == .softmax)
    #expect(try activation("single.keras") == .singleSigmoid)
    #expect(try activation("flipped.keras") == .independentSigmoids)
  }

  /// A loss of probabilities behind a layer without an activation: Keras answers with the outputs.
  @Test(arguments: [
    (#"{"loss": "binary_crossentropy"}"#, true),
    (#"{"loss": {"class_name": "BinaryCrossentropy", "config": {"from_logits": false}}}"#, true),
    (#"{"loss": {"class_name": "BinaryCrossentropy", "config": {"from_logits": true}}}"#, false),
  ])
  func aLossOfProbabilitiesBehindLogitsIsSaid(_ compilation: String, _ isSaid: Bool) throws {
    let plain = try KerasFixture.changed("single.keras") { json in
      json.mapped { one in
        guard let settings = one["config"], settings["activation"]?.text == "sigmoid",
          settings["units"]?.integer == 1
        else { return one }
        return one.setting("config", settings.setting("activation", .string("linear")))
      }
    }
    var model = try #require(plain.kerasModel)
    model.compilation = try JSONValue(parsing: compilation)
    let network = try Self.network(
      Checkpoint(
        tensors: plain.tensors, metadata: plain.metadata, format: plain.format, path: plain.path,
        kerasModel: model))
    #expect(network.outputActivation == .singleSigmoid)
    #expect(network.notes.contains { $0.contains("from_logits is not set") } == isSaid)
  }

  @Test func arithmeticWithPixelsIsTheContract() throws {
    let flipped = try Self.network(KerasFixture.checkpoint("flipped.keras"))
    let contract = try #require(flipped.preprocessing(.kerasGeometry(16)))
    #expect(contract.channelOrder == .bgr)
    #expect(abs(contract.mean[0] / contract.scale - 100) < 1e-9)
    #expect(abs(contract.std[0] / contract.scale - 60) < 1e-9)
    // What is usual is no part of a contract that the file states.
    #expect(try #require(flipped.preprocessing(.caffe())).mean == contract.mean)
    let nested = try Self.network(KerasFixture.checkpoint("nested.keras"))
    #expect(nested.preprocessing(.kerasGeometry(16))?.scale == 1 / 127.5)
    #expect(nested.notes.contains { $0.contains("RandomFlip") })
  }

  @Test func batchNormsStayWhatTheyAre() throws {
    let network = try Self.network(KerasFixture.checkpoint("nested.keras"))
    let norms = network.graph.nodes.compactMap { node -> String? in
      guard case .batchNormalization(let layer) = node.operation else { return nil }
      #expect(layer.runningVarianceCorrection == .none)
      #expect(abs(layer.momentum - 0.01) < 1e-12)
      return node.path.description
    }
    #expect(norms == ["bn", "dw_bn", "head_bn"])
    #expect(network.graph.groups.map(\.name) == ["early", "middle", "late", "head"])
    #expect(network.source(of: "head_bn.running_mean")?.hasSuffix("head_bn/moving_mean") == true)
  }

  @Test func sizesOfThePhotoAreTheContract() throws {
    let resized = try KerasFixture.changing("nested.keras", layer: "rescale") {
      // As many results as before, of another size: the body does not mind.
      $0.setting("class_name", .string("Resizing")).configured("height", .integer(24))
        .configured("width", .integer(24)).configured("interpolation", .string("bilinear"))
    }
    let contract = try #require(try Self.network(resized).preprocessing(.kerasGeometry(16)))
    #expect(contract.inputSize == 24 && contract.interpolation == .bilinear)
    #expect(contract.resizeRule == .squash && contract.resizeTarget == 24)
    let cut = try KerasFixture.changing("nested.keras", layer: "rescale") {
      $0.setting("class_name", .string("CenterCrop")).configured("height", .integer(12))
        .configured("width", .integer(12))
    }
    let middle = try #require(try Self.network(cut).preprocessing(.kerasGeometry(16)))
    #expect(middle.inputSize == 12 && middle.resizeTarget == 16)
  }

  // MARK: Obstacles

  private static func complaint(_ checkpoint: Checkpoint) -> String {
    do {
      _ = try KerasNetwork(checkpoint)
      return "none"
    } catch { return "\(error)" }
  }

  @Test(arguments: [
    ("rescale", "Lambda", "layer 'rescale' (Lambda): it is Python code"),
    ("hidden", "UnitNormalization", "layer 'hidden' (UnitNormalization): networks here have no"),
    ("drop", "LeakyReLU", "layer 'drop' (LeakyReLU)"),
    ("relu", "ELU", "layer 'base/relu' (ELU)"),
    ("pool", "GlobalAveragePooling1D", "layer 'pool' (GlobalAveragePooling1D)"),
  ])
  func layersInTheWayAreNamed(_ layer: String, _ other: String, _ expected: String) throws {
    let changed = try KerasFixture.changing("nested.keras", layer: layer) {
      $0.setting("class_name", .string(other))
    }
    #expect(Self.complaint(changed).contains(expected), "\(Self.complaint(changed))")
  }

  @Test(arguments: [
    (
      "hidden", "activation", JSONValue.string("tanh"),
      "'hidden' (Dense): networks here have no activation 'tanh'"
    ),
    ("answer", "activation", .string("tanh"), "activation 'tanh'"),
    ("relu", "max_value", .number(3), "cut off at 6"),
    ("relu", "negative_slope", .number(0.1), "slope below zero"),
    ("bn", "axis", .integer(1), "axis [1]"),
    ("dw", "data_format", .string("channels_first"), "channels come first"),
    (
      "photo", "batch_shape", .array([.null, .integer(16), .integer(16), .integer(1)]),
      "1 channels, grey ones"
    ),
    (
      "photo", "batch_shape", .array([.null, .integer(16), .integer(20), .integer(3)]),
      "photos are prepared as squares"
    ),
  ])
  func argumentsInTheWayAreNamed(
    _ layer: String, _ argument: String, _ value: JSONValue, _ expected: String
  ) throws {
    let changed = try KerasFixture.changing("nested.keras", layer: layer) {
      $0.configured(argument, value)
    }
    #expect(Self.complaint(changed).contains(expected), "\(Self.complaint(changed))")
  }

  @Test func classesOfTheAuthorsAreNamed() throws {
    let changed = try KerasFixture.changing("nested.keras", layer: "drop") {
      $0.setting("class_name", .string("MyPool")).setting("module", .null)
        .setting("registered_name", .string("mine>MyPool")).setting("module", .string("mine"))
    }
    #expect(Self.complaint(changed).contains("(MyPool): it is a class of its author's"))
  }

  @Test func severalOutputsAreNamed() throws {
    let changed = try KerasFixture.changed("flipped2.h5") { json in
      json.configured(
        "output_layers",
        .array(
          ["answer", "hidden"].map { .array([.string($0), .integer(0), .integer(0)]) }))
    }
    #expect(Self.complaint(changed).contains("2 outputs, 'answer', 'hidden'"))
  }

  @Test func cyclesAndMissingLayersAreErrors() throws {
    let cycle = try KerasFixture.changing("flipped2.h5", layer: "first") {
      $0.setting(
        "inbound_nodes",
        .array([.array([.array([.string("pool"), .integer(0), .integer(0), .object([])])])]))
    }
    #expect(Self.complaint(cycle).contains("cycle"))
    let missing = try KerasFixture.changing("flipped2.h5", layer: "first") {
      $0.setting(
        "inbound_nodes",
        .array([.array([.array([.string("nobody"), .integer(0), .integer(0), .object([])])])]))
    }
    #expect(Self.complaint(missing).contains("'nobody'"))
  }

  // MARK: Hostile configurations

  /// Numbers, texts and lists of a configuration changed at random: an error or a network, never a trap.
  @Test func mutatedConfigurationsAreErrorsOrNetworks() throws {
    let words = [
      "Dense", "Conv2D", "Flatten", "Lambda", "valid", "relu", "softmax", "pool", "base", "answer",
    ]
    let numbers = [0, -1, 1, 2, 3, 7, 4096, 1 << 40, Int.max, Int.min]
    for file in ["nested.keras", "flipped2.h5", "trainer.h5"] {
      for round in 0..<100 {
        var random = RandomStream(seed: UInt64(round), purpose: .initialization, sample: 7)
        let changed = try KerasFixture.changed(file) { json in
          json.changedAtRandom(&random, words: words, numbers: numbers)
        }
        _ = try? KerasNetwork(changed)
      }
    }
  }
}

extension JSONValue {
  /// About one value in a hundred replaced.
  func changedAtRandom(
    _ random: inout RandomStream, words: [String], numbers: [Int]
  ) -> JSONValue {
    func chance(_ below: Double) -> Bool { random.uniform(in: 0...1) < below }
    func pick<T>(_ all: [T]) -> T {
      all[min(Int(random.uniform(in: 0...1) * Double(all.count)), all.count - 1)]
    }
    switch self {
    case .array(let all):
      if !all.isEmpty, chance(0.005) { return .array(Array(all.dropLast())) }
      return .array(all.map { $0.changedAtRandom(&random, words: words, numbers: numbers) })
    case .object(let members):
      return .object(
        members.filter { _ in !chance(0.003) }.map {
          JSONMember($0.name, $0.value.changedAtRandom(&random, words: words, numbers: numbers))
        })
    case .string: return chance(0.01) ? .string(pick(words)) : self
    case .integer, .number: return chance(0.02) ? .integer(pick(numbers)) : self
    default: return chance(0.01) ? .integer(pick(numbers)) : self
    }
  }
}
