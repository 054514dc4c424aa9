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

/// Networks as the exporters that people use write them; `Tools/exported_graphs.py` made the files.
@Suite struct ExportedGraphTests {
  private static let answers: [String: [Float]] = {
    guard let data = try? Data(contentsOf: folder.appendingPathComponent("answers.json")) else {
      return [:]
    }
    return (try? JSONDecoder().decode([String: [Float]].self, from: data)) ?? [:]
  }()

  private static var folder: URL {
    (Bundle.module.resourceURL ?? URL(fileURLWithPath: ".")).appendingPathComponent(
      "Fixtures/exported")
  }

  private static func path(_ file: String) -> FilePath {
    FilePath(folder.appendingPathComponent(file).path)
  }

  private static func model(_ file: String) throws -> ONNXModel {
    guard file.hasSuffix(".pt2") else { return try ONNXReader.read(path(file)) }
    return try ATenTranslator.model(try #require(try TorchExportArchive(path(file))))
  }

  private static func network(_ file: String, apart: Bool = true) throws -> ONNXNetwork {
    try ONNXNetwork(model(file), file: path(file), size: 16, separatesArithmetic: apart)
  }

  /// What the network says of the photo under `contract`: probabilities where the file gives those.
  private static func results(
    _ network: ONNXNetwork, _ contract: Preprocessing, asLogits: Bool, _ engine: some Engine
  ) throws -> [Float] {
    let logits = try Compiler(inference: engine, training: engine).compileInference(
      network.graph, parameters: network.parameters, microBatch: 1, size: Extent2D(16)
    ).run(KerasFixture.photo(contract)).elements
    if asLogits { return logits }
    guard network.outputActivation == .softmax else { return logits.map { 1 / (1 + exp(-$0)) } }
    let total = logits.map { exp($0) }.reduce(0, +)
    return logits.map { exp($0) / total }
  }

  private static let files = [
    "torch9.onnx", "torch17.onnx", "dynamo.onnx", "dynamo23.onnx", "unoptimised.onnx",
    "service.onnx", "keras.onnx", "program.pt2",
  ]
  private static let endingWithLogits = ["torch9.onnx", "dynamo.onnx", "program.pt2"]

  @Test func everyFileHasItsAnswer() {
    #expect(Set(Self.answers.keys) == Set(Self.files))
  }

  @Test(arguments: files)
  func resultsAreTheRuntimesOnBothEngines(_ file: String) throws {
    let network = try Self.network(file)
    let expected = try #require(Self.answers[file])
    let contract = try #require(network.pixels.after(.kerasGeometry(16)))
    // Within the network, the arithmetic computes the same.
    let whole = try Self.network(file, apart: false)
    #expect(whole.pixels.isNone)
    let asLogits = Self.endingWithLogits.contains(file)
    let fast = OneDNNEngine(training: ReferenceEngine<Float>())
    for (what, actual) in [
      ("oneDNN", try Self.results(network, contract, asLogits: asLogits, fast)),
      (
        "reference",
        try Self.results(network, contract, asLogits: asLogits, ReferenceEngine<Float>())
      ),
      ("inside", try Self.results(whole, .kerasGeometry(16), asLogits: asLogits, fast)),
    ] {
      expectClose(actual, expected, relative: 0, absolute: 1e-4, "\(file): \(what)")
    }
  }

  @Test func arithmeticAtTheBeginningIsTheContract() throws {
    let torch = try #require(try Self.network("dynamo.onnx").pixels.after(.raw()))
    for (found, expected) in zip(
      torch.mean + torch.std, Preprocessing.torch().mean + Preprocessing.torch().std)
    {
      #expect(abs(found - expected) < 1e-6)
    }
    for file in ["dynamo23.onnx", "program.pt2"] {
      let caffe = try #require(try Self.network(file).pixels.after(.raw()))
      #expect(caffe.channelOrder == .bgr)
      #expect(abs(caffe.mean[0] - 103.939) < 1e-3)
    }
  }

  @Test func batchNormsOfTheFileAreTheOnlyOnes() throws {
    func norms(_ file: String) throws -> [String] {
      try Self.network(file, apart: false).graph.nodes.compactMap { node in
        guard case .batchNormalization = node.operation else { return nil }
        return node.path.description
      }
    }
    for file in ["torch9.onnx", "torch17.onnx", "unoptimised.onnx", "program.pt2"] {
      #expect(try norms(file) == ["bn", "dw_bn"], "\(file)")
    }
    // Folded by the exporter; arithmetic with pixels is no batch norm.
    #expect(try norms("dynamo.onnx").isEmpty)
  }

  @Test func labelsInTheFileNameTheClasses() throws {
    #expect(try Self.network("service.onnx").classNames == ["cat", "dog", "owl"])
    #expect(try Self.network("torch17.onnx").classNames == nil)
  }

  @Test func textsSurviveBeingWritten() throws {
    let model = try Self.model("service.onnx")
    let again = try ONNXReader.read(bytes: ONNXWriter.bytes(model), named: "again.onnx")
    #expect(again.graph.texts == ["labels": ["cat", "dog", "owl"]])
    #expect(
      try ONNXNetwork(again, file: "again.onnx", size: 16).classNames == ["cat", "dog", "owl"])
  }

  @Test(arguments: [
    ("Relu", "", "QuantizeLinear", "Export the network before it is quantised"),
    ("Relu", "", "If", "without torch.jit.script"),
    ("Relu", "com.microsoft", "FusedConv", "ONNX Runtime's optimiser"),
    ("BatchNormalization", "org.pytorch.aten", "ATen", "dynamo=True"),
  ])
  func refusalsNameTheExportersOption(
    _ operation: String, _ domain: String, _ other: String, _ advice: String
  ) throws {
    var model = try Self.model("torch17.onnx")
    let index = try #require(model.graph.nodes.firstIndex { $0.operation == operation })
    model.graph.nodes[index].operation = other
    model.graph.nodes[index].domain = domain
    do {
      _ = try ONNXNetwork(model, file: "changed.onnx", size: 16)
      Issue.record("It was imported.")
    } catch {
      #expect("\(error)".contains(advice), "\(error)")
      #expect("\(error)".contains(other))
    }
  }

  // MARK: Programs

  @Test func programsInTrainingModeAreRefused() throws {
    let archive = try #require(try TorchExportArchive(Self.path("program.pt2")))
    let program = archive.program.mapped { object in
      object["name"]?.text == "training"
        ? object.setting("arg", .object([JSONMember("as_bool", .boolean(true))])) : object
    }
    do {
      _ = try ATenTranslator.model(archive.describing(program))
      Issue.record("It was imported.")
    } catch { #expect("\(error)".contains("model.eval() before torch.export"), "\(error)") }
  }

  /// `x.int()` within a program rounds; `x.half()` and `x.float()` are the same numbers.
  @Test func integersWithinProgramsAreRefused() throws {
    let archive = try #require(try TorchExportArchive(Self.path("program.pt2")))
    func casting(to type: Int) throws -> ONNXModel {
      let program = archive.program.mapped { object in
        if object["target"]?.text == "torch.ops.aten.relu.default" {
          return object.setting("target", .string("torch.ops.aten.to.dtype"))
        }
        guard let value = object["relu"], value["dtype"] != nil else { return object }
        return object.setting("relu", value.setting("dtype", .integer(type)))
      }
      return try ATenTranslator.model(archive.describing(program))
    }
    for type in [4, 5, 1, 12] {
      let error = #expect(throws: GraphError.self) { try casting(to: type) }
      #expect(error?.description.contains("(aten.to.dtype): it makes integers") == true)
    }
    for type in [6, 7, 8, 13] {
      #expect(try casting(to: type).graph.nodes.contains { $0.operation == "Identity" })
    }
  }

  @Test func mutatedProgramsAreErrorsOrNetworks() throws {
    let archive = try #require(try TorchExportArchive(Self.path("program.pt2")))
    for round in 0..<150 {
      var random = RandomStream(seed: UInt64(round), purpose: .initialization, sample: 8)
      let program = archive.program.changedAtRandom(
        &random, words: ["relu", "x", "conv2d", "torch.ops.aten.relu.default", "as_none"],
        numbers: [0, -1, 1, 2, 3, 1 << 40, Int.max, Int.min])
      guard let model = try? ATenTranslator.model(archive.describing(program)) else { continue }
      _ = try? ONNXNetwork(model, file: "program.pt2", size: 16, separatesArithmetic: true)
    }
  }

  @Test func damagedArchivesAreErrors() throws {
    let bytes = try [UInt8](Data(contentsOf: Self.folder.appendingPathComponent("program.pt2")))
    for cut in stride(from: 1000, to: bytes.count, by: 4001) {
      #expect(throws: CheckpointError.self) {
        _ = try TorchExportArchive(bytes: Array(bytes[..<cut]), named: "cut.pt2")
      }
    }
  }
}
