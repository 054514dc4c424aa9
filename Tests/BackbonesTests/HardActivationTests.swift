// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawBackbones
import ThawCheckpoints
import ThawExecution
import ThawGraphs
import ThawImages
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors
import ThawTestSupport

/// Hard-swish and hard-sigmoid as files have them; `Tools/hard_graphs.py` made the files.
@Suite struct HardActivationTests {
  private static let files = [
    "hard17.onnx", "hard11.onnx", "spelled.onnx", "program.pt2", "hard.keras",
  ]

  private static let answers: [String: [Float]] = {
    guard let data = try? Data(contentsOf: folder.appendingPathComponent("answers.json")) else {
      return [:]
    }
    return (try? JSONDecoder().decode([String: [Float]].self, from: data)) ?? [:]
  }()

  private static var folder: URL {
    (Bundle.module.resourceURL ?? URL(fileURLWithPath: ".")).appendingPathComponent("Fixtures/hard")
  }

  private static func path(_ file: String) -> FilePath {
    FilePath(folder.appendingPathComponent(file).path)
  }

  private static func model(_ file: String) throws -> ONNXModel {
    guard file.hasSuffix(".pt2") else { return try ONNXReader.read(path(file)) }
    return try ATenTranslator.model(try #require(try TorchExportArchive(path(file))))
  }

  private static func keras(_ checkpoint: Checkpoint) throws -> KerasNetwork {
    try #require(try KerasNetwork(checkpoint))
  }

  private static func graph(_ file: String) throws -> Graph {
    file.hasSuffix(".keras")
      ? try keras(CheckpointReader.read(path(file))).graph
      : try ONNXNetwork(model(file), file: path(file), size: 16).graph
  }

  private static func functions(_ graph: Graph) -> [Activation] {
    graph.nodes.compactMap {
      if case .activation(let function) = $0.operation { function } else { nil }
    }
  }

  private static func logits(
    _ graph: Graph, _ parameters: Parameters, _ contract: Preprocessing, _ engine: some Engine
  ) throws -> [Float] {
    try Compiler(inference: engine, training: engine).compileInference(
      graph, parameters: parameters, microBatch: 1, size: Extent2D(16)
    ).run(KerasFixture.photo(contract)).elements
  }

  @Test func everyFileHasItsAnswer() {
    #expect(Set(Self.answers.keys) == Set(Self.files))
  }

  /// Whether named or written out, they are our operations, and nothing is left of what spelled them.
  @Test(arguments: files)
  func theyAreRecognised(_ file: String) throws {
    let graph = try Self.graph(file)
    let isKeras = file == "hard.keras"
    #expect(
      Self.functions(graph)
        == (isKeras
          ? [.hardSwish, .relu, .hardSigmoid, .hardSwish, .hardSwish]
          : [.hardSwish, .hardSwish, .relu, .hardSigmoid, .hardSwish]))
    #expect(!graph.nodes.contains { if case .channelScale = $0.operation { true } else { false } })
    #expect(graph.nodes.count { $0.operation == .gate } == 1)
  }

  @Test(arguments: files)
  func resultsAreTheRuntimesOnBothEngines(_ file: String) throws {
    let expected = try #require(Self.answers[file])
    let fast = OneDNNEngine(training: ReferenceEngine<Float>())
    let slow = ReferenceEngine<Float>()
    if file == "hard.keras" {
      let network = try Self.keras(CheckpointReader.read(Self.path(file)))
      let contract = try #require(network.preprocessing(.kerasGeometry(16)))
      #expect(abs(contract.scale - 1 / 64) < 1e-9)
      for actual in [
        try KerasFixture.probabilities(network, contract, fast),
        try KerasFixture.probabilities(network, contract, slow),
      ] { expectClose(actual, expected, relative: 0, absolute: 1e-5, "\(file)") }
      return
    }
    let network = try ONNXNetwork(
      Self.model(file), file: Self.path(file), size: 16, separatesArithmetic: true)
    let contract = try #require(network.pixels.after(.kerasGeometry(16)))
    for actual in [
      try Self.logits(network.graph, network.parameters, contract, fast),
      try Self.logits(network.graph, network.parameters, contract, slow),
    ] { expectClose(actual, expected, relative: 0, absolute: 2e-5, "\(file)") }
  }

  /// min(max(0.2 x + 0.5, 0), 1), ONNX's standard and Keras 2's, is the usual one of 1.2 x.
  @Test func anotherSlopeIsAFactorBefore() throws {
    var model = try Self.model("hard17.onnx")
    let index = try #require(model.graph.nodes.firstIndex { $0.operation == "HardSigmoid" })
    model.graph.nodes[index].attributes = [:]
    let network = try ONNXNetwork(model, file: "changed.onnx", size: 16)
    let place = try #require(
      network.graph.nodes.firstIndex { $0.operation == .activation(.hardSigmoid) })
    let factor = network.graph[network.graph.nodes[place].inputs[0]]
    #expect(factor.operation == .channelScale(ChannelScale(channels: 8)))
    let values = network.parameters[factor.path.appending("weight")]?.elements ?? []
    #expect(values.count == 8 && values.allSatisfy { abs($0 - 1.2) < 1e-6 })
    model.graph.nodes[index].attributes = ["beta": .float(0.4)]
    let error = #expect(throws: GraphError.self) {
      try ONNXNetwork(model, file: "changed.onnx", size: 16)
    }
    #expect(error?.description.contains("found alpha 0.2 and beta 0.4") == true)
  }

  /// 5 instead of 3, or 7 instead of 6, is another function, and stays one that is spelled out.
  @Test(arguments: [(Float(3), Float(5)), (6, 7)])
  func otherNumbersAreNotTakenForThem(_ number: Float, _ other: Float) throws {
    var model = try Self.model("spelled.onnx")
    for (index, node) in model.graph.nodes.enumerated() {
      guard case .tensor(let tensor)? = node.attributes["value"], tensor.shape.count == 1,
        let value = try? tensor.floats()[0], value == number
      else { continue }
      model.graph.nodes[index].attributes["value"] = .tensor(
        StoredTensor(tensor.name, Tensor([other], shape: tensor.shape)))
    }
    do {
      let graph = try ONNXNetwork(model, file: "changed.onnx", size: 16).graph
      #expect(!Self.functions(graph).contains(.hardSwish))
    } catch {
      #expect("\(error)".contains("product") || "\(error)".contains("bounds"), "\(error)")
    }
  }

  @Test func theHardSigmoidOfKeras2IsAnotherFunction() throws {
    let original = try CheckpointReader.read(Self.path("hard.keras"))
    let model = try #require(original.kerasModel)
    let configuration = try #require(model.configuration).mapped {
      $0["config"]?["name"]?.text == "swish"
        ? $0.configured("activation", .string("hard_sigmoid")) : $0
    }
    #expect(original.metadata["keras.version"] == "3.15.1")
    func network(_ version: String?) throws -> KerasNetwork? {
      var metadata = original.metadata
      metadata["keras.version"] = version
      return try KerasNetwork(
        Checkpoint(
          tensors: original.tensors, metadata: metadata,
          format: original.format, path: original.path,
          kerasModel: KerasModel(configuration: configuration, weights: model.weights)))
    }
    let error = #expect(throws: GraphError.self) { try network(nil) }
    #expect(error?.description.contains("does not say which Keras wrote it") == true)
    for (version, factor) in [("2.15.0", Float(1.2)), ("3.1.0", nil)] {
      let found = try #require(try network(version))
      #expect(Self.functions(found.graph).first == .hardSigmoid)
      #expect(try found.parameters()["swish_slope.weight"]?[0] == factor)
    }
  }

  /// Keras 3 writes training=True of every augmentation, and overrides it when it predicts; Keras 2 keeps it.
  @Test func trainingInACallCountsInKeras2Alone() throws {
    let original = try CheckpointReader.read(Self.path("hard.keras"))
    let model = try #require(original.kerasModel)
    let text = try #require(model.configuration).serialized
    let called = text.replacingOccurrences(
      of: #""kwargs":{"mask""#, with: #""kwargs":{"training":true,"mask""#)
    #expect(called.contains("\"training\":true"))
    let configuration = try JSONValue(parsing: called)
    func network(_ version: String) throws -> KerasNetwork? {
      try KerasNetwork(
        Checkpoint(
          tensors: original.tensors, metadata: ["keras.version": version],
          format: original.format, path: original.path,
          kerasModel: KerasModel(configuration: configuration, weights: model.weights)))
    }
    #expect(try network("3.1.0")?.graph.nodes.count == Self.keras(original).graph.nodes.count)
    let error = #expect(throws: GraphError.self) { try network("2.15.0") }
    #expect(error?.description.contains("called with training=True") == true)
  }

  @Test func exportedOperationsHaveTheirSlope() throws {
    let graph = try Architecture(named: "mobilenet_v3_small").graph(Head(classes: 3))
    let model = try ONNXExporter.model(
      of: graph, .procedural(for: graph), preprocessing: ONNXRoundTripTests.contract())
    let gates = model.graph.nodes.filter { $0.operation == "HardSigmoid" }
    let slopes = gates.compactMap {
      if case .float(let slope)? = $0.attributes["alpha"] { slope } else { nil }
    }
    #expect(slopes == [Float](repeating: 1 / 6, count: 9))
    #expect(model.graph.nodes.count { $0.operation == "HardSwish" } == 19)
  }
}
