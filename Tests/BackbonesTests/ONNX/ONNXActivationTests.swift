// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawCheckpoints
import ThawGraphs
import ThawNetwork
import ThawTensors
import ThawTestSupport

/// Which activation an ONNX file ends with, written and read.
@Suite struct ONNXActivationTests {
  private typealias Sample = ONNXImportTests.Sample

  private func read(_ model: ONNXModel) throws -> ONNXNetwork {
    try ONNXNetwork(
      try ONNXReader.read(bytes: try ONNXWriter.bytes(model), named: "a.onnx"), file: "a.onnx")
  }

  @Test(arguments: OutputActivation.allCases)
  func whatIsWrittenIsReadBack(_ activation: OutputActivation) throws {
    let names = activation == .singleSigmoid ? ["no", "yes"] : ["a", "b", "c"]
    let graph = try Architecture(named: "resnet18").graph(
      Head(classes: activation.outputs(classes: names.count)))
    let parameters = Parameters.procedural(for: graph)
    let record = ModelRecord(
      thawVersion: "1", architecture: "resnet18", classNames: names, outputActivation: activation,
      preprocessing: ONNXRoundTripTests.contract().json)
    for results in ONNXExporter.Results.allCases {
      var options = ONNXExporter.Options()
      options.results = results
      options.activation = activation
      let model = try ONNXExporter.model(
        of: graph, parameters, preprocessing: ONNXRoundTripTests.contract(),
        metadata: try record.onnxMetadata(for: "a.onnx"), options: options)
      let operations = model.graph.nodes.map(\.operation)
      #expect(operations.contains("Sigmoid") == (activation != .softmax && results != .logits))
      let network = try read(model)
      #expect(network.outputActivation == activation)
      #expect(network.record?.outputActivation == activation)
      #expect(network.classCount == names.count)
      #expect(network.graph.nodes == graph.nodes)
      // Without the metadata the graph says it, unless it ends with the logits.
      var foreign = model
      foreign.metadata = [:]
      let expected = results == .logits && activation == .independentSigmoids
      #expect(try read(foreign).outputActivation == (expected ? .softmax : activation))
    }
  }

  /// Whichever output comes first, and whether something is flattened behind the sigmoid.
  @Test func aSigmoidOfAnotherProgramIsFound() throws {
    var sample = ONNXImportTests.plain()
    sample.add("Sigmoid", ["logits"], "p1")
    sample.output = "p1"
    #expect(try read(sample.model).outputActivation == .independentSigmoids)
    #expect(try ONNXImportTests.logits(sample) == ONNXImportTests.logits(ONNXImportTests.plain()))
    var model = sample.model
    model.graph.outputs.insert(ONNXValue("logits", .float32, nil), at: 0)
    #expect(try read(model).outputActivation == .independentSigmoids)
    sample.add("Flatten", ["p1"], "flat")
    sample.output = "flat"
    #expect(try read(sample.model).outputActivation == .independentSigmoids)
    #expect(try ONNXImportTests.logits(sample) == ONNXImportTests.logits(ONNXImportTests.plain()))
  }

  /// The logarithm of a softmax has the softmax's probabilities, by one operation or by two.
  @Test func aLogSoftmaxIsASoftmax() throws {
    let expected = try ONNXImportTests.logits(ONNXImportTests.plain())
    for operations in [["LogSoftmax"], ["Softmax", "Log"]] {
      var sample = ONNXImportTests.plain()
      for (index, operation) in operations.enumerated() {
        let input = index == 0 ? "logits" : "p0"
        sample.add(operation, [input], "p\(index)")
        sample.output = "p\(index)"
      }
      #expect(try read(sample.model).outputActivation == .softmax)
      #expect(try ONNXImportTests.logits(sample) == expected)
    }
    var elsewhere = ONNXImportTests.plain()
    elsewhere.add("Log", ["logits"], "logarithm")
    elsewhere.output = "logarithm"
    let error = #expect(throws: GraphError.self) { try read(elsewhere.model) }
    #expect(error?.description.contains("of a softmax at the end alone") == true)
  }

  @Test func metadataThatContradictTheGraphAreRefused() throws {
    var sample = ONNXImportTests.plain()
    sample.add("Sigmoid", ["logits"], "p1")
    sample.output = "p1"
    var model = sample.model
    model.metadata = try ModelRecord(
      thawVersion: "1", architecture: "x", classNames: ["a", "b", "c", "d"],
      preprocessing: ONNXRoundTripTests.contract().json
    ).onnxMetadata(for: "a.onnx")
    let error = #expect(throws: GraphError.self) { try read(model) }
    #expect(
      error?.description.contains(
        "its metadata name a softmax over the classes, its graph has one sigmoid a class") == true)
  }
}
