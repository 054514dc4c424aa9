// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawCheckpoints
import ThawExecution
import ThawGraphs
import ThawImages
import ThawNetwork
import ThawReference
import ThawTensors
import ThawTestSupport

@Suite struct ONNXRoundTripTests {
  static let side = 64

  static func contract(_ order: Preprocessing.ChannelOrder = .rgb) -> Preprocessing {
    Preprocessing(
      inputSize: side, scale: 1 / 255, channelOrder: order, mean: [0.485, 0.456, 0.406],
      std: [0.229, 0.224, 0.225])
  }

  static func logits(_ graph: Graph, _ parameters: Parameters) throws -> Tensor<Float> {
    let input = Tensor<Float>.procedural("image", shape: [2, 3, side, side])
    let engine = ReferenceEngine<Float>()
    let plan = try Compiler(inference: engine, training: engine).compileInference(
      graph, parameters: parameters, microBatch: 2, size: Extent2D(side))
    return try plan.run(input)
  }

  /// Exported and read back, a network computes what it did: bit for bit, unless batch norms were
  /// folded.
  @Test(arguments: [
    "efficientnet_lite0", "resnet18", "mobilenet_v2", "densenet121", "mobilenet_v3_small",
    "mobilenetv3_small_050", "convnextv2_atto",
  ])
  func aNetworkSurvivesExportAndImport(name: String) throws {
    let graph = try Architecture(named: name).graph(Head(classes: 5, dropout: 0.2))
    let parameters = Parameters.procedural(for: graph)
    let expected = try Self.logits(graph, parameters)
    for folds in [false, true] {
      var options = ONNXExporter.Options()
      options.foldsBatchNormalization = folds
      options.includesPreprocessing = folds
      let model = try ONNXExporter.model(
        of: graph, parameters, preprocessing: Self.contract(),
        metadata: folds ? try Self.record.onnxMetadata(for: "a.onnx") : [:], options: options)
      let read = try ONNXReader.read(bytes: try ONNXWriter.bytes(model), named: "a.onnx")
      let network = try ONNXNetwork(read, file: "a.onnx")
      let found = try Self.logits(network.graph, network.parameters)
      if folds {
        expectClose(found, expected, relative: 1e-3, absolute: 1e-3, name)
      } else {
        #expect(found == expected)
        #expect(network.graph.groups == graph.groups)
        #expect(network.parameters.paths == parameters.paths)
      }
    }
  }

  static let record = ModelRecord(
    thawVersion: "1", architecture: "x", classNames: ["a", "b", "ä", "d", "e"],
    preprocessing: contract().json, notes: ["license": "CC0-1.0"])

  @Test func theMetadataIsReadBack() throws {
    let graph = try Architecture(named: "resnet18").graph(Head(classes: 5))
    let model = try ONNXExporter.model(
      of: graph, .procedural(for: graph), preprocessing: Self.contract(),
      metadata: try Self.record.onnxMetadata(for: "a.onnx"))
    let network = try ONNXNetwork(
      try ONNXReader.read(bytes: try ONNXWriter.bytes(model), named: "a.onnx"), file: "a.onnx")
    #expect(network.record == Self.record)
    #expect(network.preprocessing == Self.contract())
    #expect(network.inputSize == Extent2D(Self.side))
  }

  @Test func theBatchIsFreeAndTheOutputsAreNamed() throws {
    let graph = try Architecture(named: "resnet18").graph(Head(classes: 5))
    let parameters = Parameters.procedural(for: graph)
    var options = ONNXExporter.Options()
    let plain = try ONNXExporter.model(of: graph, parameters, preprocessing: Self.contract())
    #expect(plain.graph.inputs.map(\.name) == ["input"])
    #expect(
      plain.graph.inputs[0].dimensions == [.named("batch"), .size(3), .size(64), .size(64)])
    #expect(plain.graph.outputs.map(\.name) == ["probabilities", "logits"])
    #expect(plain.graph.outputs[0].dimensions == [.named("batch"), .size(5)])
    options.includesPreprocessing = true
    options.results = .logits
    let whole = try ONNXExporter.model(
      of: graph, parameters, preprocessing: Self.contract(.bgr), options: options)
    #expect(whole.graph.inputs[0].elementType == .uint8)
    #expect(whole.graph.outputs.map(\.name) == ["logits"])
    #expect(
      whole.graph.nodes.prefix(5).map(\.operation) == ["Cast", "Transpose", "Gather", "Sub", "Mul"])
  }

  @Test func aNewHeadTakesTheOldOnesPlace() throws {
    let graph = try Architecture(named: "resnet18").graph(Head(classes: 5))
    let model = try ONNXExporter.model(
      of: graph, .procedural(for: graph), preprocessing: Self.contract())
    let network = try ONNXNetwork(model, file: "a.onnx")
    let other = network.graph(head: Head(classes: 3, hidden: 7, dropout: 0.5))
    #expect(other.nodes.filter { $0.group == 3 }.map(\.path) == ["fc.0", "fc.1", "fc.2", "fc.3"])
    #expect(try other.shapes(batch: 2, size: Extent2D(Self.side)).last == [2, 3])
  }

  @Test func theStructureOfAModelFileBuildsTheGraphAgain() throws {
    let graph = try Architecture(named: "resnet18").graph(Head(classes: 5))
    let parameters = Parameters.procedural(for: graph)
    var record = Self.record
    record.architecture = Architecture.onnxName
    record.structure = try ONNXStructure.text(of: graph, parameters, preprocessing: Self.contract())
    let again = try Architecture.graph(
      of: record, parameters, head: Head(classes: 5), file: "m.safetensors")
    #expect(again.nodes == graph.nodes)
    #expect(try Self.logits(again, parameters) == Self.logits(graph, parameters))
    record.structure = nil
    #expect(throws: GraphError.self) {
      try Architecture.graph(of: record, parameters, head: Head(classes: 5), file: "m")
    }
  }
}
