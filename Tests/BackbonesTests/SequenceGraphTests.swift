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

/// Vision transformers as PyTorch's exporters write them; `Tools/sequence_graphs.py` made the files.
@Suite struct SequenceGraphTests {
  private static let files = [
    "timm_14.onnx", "timm_17.onnx", "timm_dynamo.onnx", "timm.pt2", "pooled_17.onnx", "pooled.pt2",
    "registers_17.onnx", "registers.pt2", "torchvision_14.onnx", "torchvision_17.onnx",
    "torchvision_dynamo.onnx", "torchvision.pt2", "transformers_14.onnx", "transformers_17.onnx",
    "transformers_dynamo.onnx", "transformers.pt2", "rotary_17.onnx", "rotary_dynamo.onnx",
    "gated_dynamo.onnx", "queried_17.onnx", "queried_dynamo.onnx", "queried.pt2", "siglip_17.onnx",
    "siglip_dynamo.onnx",
  ]

  private static let answers: [String: [Float]] = {
    guard let data = try? Data(contentsOf: folder.appendingPathComponent("answers.json")) else {
      return [:]
    }
    return (try? JSONDecoder().decode([String: [Float]].self, from: data)) ?? [:]
  }()

  private static var folder: URL {
    (Bundle.module.resourceURL ?? URL(fileURLWithPath: ".")).appendingPathComponent(
      "Fixtures/sequences")
  }

  private static func path(_ file: String) -> FilePath {
    FilePath(folder.appendingPathComponent(file).path)
  }

  private static func model(_ file: String) throws -> ONNXModel {
    guard file.hasSuffix(".pt2") else { return try ONNXReader.read(path(file)) }
    return try ATenTranslator.model(try #require(try TorchExportArchive(path(file))))
  }

  private static func network(_ file: String) throws -> ONNXNetwork {
    try ONNXNetwork(model(file), file: path(file), size: 16, separatesArithmetic: true)
  }

  private static func logits(
    _ graph: Graph, _ parameters: Parameters, _ input: Tensor<Float>, _ engine: some Engine
  ) throws -> [Float] {
    try Compiler(inference: engine, training: engine).compileInference(
      graph, parameters: parameters, microBatch: 1,
      size: Extent2D(height: input.shape[2], width: input.shape[3])
    ).run(input).elements
  }

  @Test func everyNetworkHasItsAnswer() {
    let names = Set(Self.files.map { String($0.prefix { $0 != "_" && $0 != "." }) })
    #expect(names == Set(Self.answers.keys))
  }

  @Test(arguments: files)
  func logitsArePyTorchsOnBothEngines(_ file: String) throws {
    let network = try Self.network(file)
    let expected = try #require(Self.answers[String(file.prefix { $0 != "_" && $0 != "." })])
    let contract = try #require(network.pixels.after(.kerasGeometry(16)))
    let photo = KerasFixture.photo(contract)
    for actual in [
      try Self.logits(
        network.graph, network.parameters, photo, OneDNNEngine(training: ReferenceEngine<Float>())),
      try Self.logits(network.graph, network.parameters, photo, ReferenceEngine<Float>()),
    ] { expectClose(actual, expected, relative: 0, absolute: 5e-5, "\(file)") }
  }

  /// Whatever spells them out, they are the operations that our own transformers have.
  @Test(arguments: files)
  func operationsAreOurs(_ file: String) throws {
    let graph = try Self.network(file).graph
    func count(_ isIt: (ThawNetwork.Operation) -> Bool) -> Int {
      graph.nodes.count { isIt($0.operation) }
    }
    #expect(count { if case .attention = $0 { true } else { false } } == 2)
    #expect(count { if case .tokens = $0 { true } else { false } } == 1)
    // A query that pools, which is a constant here, has dense layers of its own behind it.
    let pools = file.hasPrefix("queried") || file.hasPrefix("siglip")
    let pooling = AttentionPooling(channels: 8, heads: 2, hasProjection: false)
    #expect(count { $0 == .attentionPooling(pooling) } == (pools ? 1 : 0))
    #expect(
      count { if case .layerNormalization = $0 { true } else { false } } == (pools ? 6 : 5))
    let isGated = file.hasPrefix("gated")
    let byTanh = file.hasPrefix("transformers") || file.hasPrefix("siglip")
    let function: Activation = byTanh ? .geluTanh : isGated ? .silu : .gelu
    #expect(count { $0 == .multiply } == (isGated ? 2 : 0))
    let rotary = RotaryEmbedding(prefix: 3)
    let turns = isGated || file.hasPrefix("rotary")
    #expect(
      count { if case .attention(let layer) = $0 { layer.rotary == rotary } else { false } }
        == (turns ? 2 : 0))
    #expect(count { $0 == .activation(function) } == (pools ? 3 : 2))
    #expect(count { $0 == .add } == (pools ? 5 : 4))
  }

  /// Our own export, read back, computes what it did.
  @Test(arguments: TransformerParityTests.networks)
  func anExportedTransformerIsReadBack(_ key: String) throws {
    let fixture = try #require(TransformerFixture.all[key])
    let graph = try fixture.graph()
    let parameters = Parameters.procedural(for: graph)
    let model = try ONNXExporter.model(
      of: graph, parameters, preprocessing: .torch(inputSize: 32))
    let read = try ONNXReader.read(bytes: try ONNXWriter.bytes(model), named: "vit.onnx")
    let network = try ONNXNetwork(read, file: "vit.onnx")
    let image = Tensor<Float>.procedural("image", shape: [1, 3, 32, 32])
    let engine = ReferenceEngine<Float>()
    let expected = try Self.logits(graph, parameters, image, engine)
    let largest = expected.map(abs).max() ?? 0
    expectClose(
      try Self.logits(network.graph, network.parameters, image, engine), expected, relative: 0,
      absolute: 1e-4 * Double(max(largest, 1)), key)
  }

  /// A model trained on an imported transformer carries its structure, and not its weights, in a text.
  @Test(arguments: [
    "timm_17.onnx", "pooled.pt2", "registers_17.onnx", "transformers_14.onnx", "rotary_17.onnx",
    "gated_dynamo.onnx", "queried.pt2",
  ])
  func theStructureTravelsWithoutTheWeights(_ file: String) throws {
    let network = try Self.network(file)
    let text = try ONNXStructure.text(
      of: network.graph, network.parameters, preprocessing: .torch(inputSize: 16))
    let record = ModelRecord(
      thawVersion: "1", architecture: Architecture.onnxName, classNames: ["a", "b", "c"],
      preprocessing: try #require(network.pixels.after(.kerasGeometry(16))).json, structure: text)
    let graph = try Architecture.graph(
      of: record, network.parameters, head: Head(classes: 3), file: "model.safetensors")
    try network.parameters.validate(for: graph)
    let image = Tensor<Float>.procedural("image", shape: [1, 3, 16, 16])
    let engine = ReferenceEngine<Float>()
    expectClose(
      try Self.logits(graph, network.parameters, image, engine),
      try Self.logits(network.graph, network.parameters, image, engine), relative: 1e-5,
      absolute: 1e-5, file)
  }

  // MARK: Refusals

  private static func refusal(
    _ file: String, _ change: (inout ONNXModel) throws -> Void
  ) throws -> String {
    var model = try model(file)
    try change(&model)
    do {
      _ = try ONNXNetwork(model, file: "changed.onnx", size: 16)
      Issue.record("It was imported.")
      return ""
    } catch { return "\(error)" }
  }

  @Test func anotherOperationOfTokensIsNamed() throws {
    let text = try Self.refusal("timm_dynamo.onnx") { model in
      let index = try #require(model.graph.nodes.firstIndex { $0.operation == "Gelu" })
      model.graph.nodes[index].operation = "Elu"
    }
    #expect(text.contains("(Elu)") && text.contains("state_dict()"), "\(text)")
  }

  @Test func anotherScaleOfScoresIsRefused() throws {
    let text = try Self.refusal("registers_17.onnx") { model in
      let index = try #require(model.graph.nodes.firstIndex { $0.operation == "Softmax" })
      let scores = model.graph.nodes[index].inputs[0]
      model.graph.nodes[index].inputs[0] = "doubled"
      model.graph.initializers.append(StoredTensor("two", Tensor([2], shape: [])))
      model.graph.nodes.insert(
        ONNXNode("Mul", name: "twice", inputs: [scores, "two"], outputs: ["doubled"]), at: index)
    }
    #expect(text.contains("known here is 1 / sqrt(4) = 0.5"), "\(text)")
  }

  @Test func aMaskIsRefused() throws {
    let text = try Self.refusal("registers_17.onnx") { model in
      let index = try #require(model.graph.nodes.firstIndex { $0.operation == "Softmax" })
      let scores = model.graph.nodes[index].inputs[0]
      model.graph.nodes[index].inputs[0] = "masked"
      model.graph.initializers.append(
        StoredTensor("mask", Tensor([0, 0, 0, -1, 0, 0, 0], shape: [7])))
      model.graph.nodes.insert(
        ONNXNode("Add", name: "hide", inputs: [scores, "mask"], outputs: ["masked"]), at: index)
    }
    #expect(text.contains("'hide' (Add)") && text.contains("mask"), "\(text)")
  }

  @Test func mutatedGraphsAreErrorsOrNetworks() throws {
    for file in ["timm_17.onnx", "torchvision_17.onnx", "transformers_dynamo.onnx"] {
      let model = try Self.model(file)
      for round in 0..<120 {
        var random = RandomStream(seed: UInt64(round), purpose: .initialization, sample: 9)
        var changed = model
        for _ in 0..<3 {
          let index =
            Int(random.uniform(in: 0...Double(model.graph.nodes.count))) % model.graph.nodes.count
          let other =
            Int(random.uniform(in: 0...Double(model.graph.nodes.count))) % model.graph.nodes.count
          switch round % 4 {
          case 0: changed.graph.nodes[index].attributes = model.graph.nodes[other].attributes
          case 1: changed.graph.nodes[index].operation = model.graph.nodes[other].operation
          case 2: changed.graph.nodes[index].inputs = model.graph.nodes[other].inputs
          default: changed.graph.nodes[index].inputs.reverse()
          }
        }
        _ = try? ONNXNetwork(changed, file: "changed.onnx", size: 16, separatesArithmetic: true)
      }
    }
  }
}
