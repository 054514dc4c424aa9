// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawCheckpoints
import ThawGraphs
import ThawNetwork
import ThawTensors
import ThawTestSupport

/// ConvNeXt V2's response normalisation as exporters spell it out.
@Suite struct ONNXResponseTests {
  private typealias Sample = ONNXImportTests.Sample

  /// Behind a convolution of six channels; `isLast` as transformers has it, channels last.
  private func sample(isLast: Bool, axis: Int? = nil, endsWithImage: Bool = true) -> Sample {
    var sample = Sample()
    sample.constant("conv.weight", [6, 3, 3, 3])
    sample.constant("grn.weight", isLast ? [1, 1, 1, 6] : [1, 6, 1, 1])
    sample.constant("grn.bias", isLast ? [1, 1, 1, 6] : [1, 6, 1, 1])
    sample.constant("fc.weight", [4, 6])
    sample.constants.append(StoredTensor("epsilon", Tensor([1e-6], shape: [])))
    sample.constants.append(StoredTensor("one", Tensor([1], shape: [])))
    sample.add("Conv", ["x", "conv.weight"], "c")
    if isLast { sample.add("Transpose", ["c"], "t", ["perm": .integers([0, 2, 3, 1])]) }
    let image = isLast ? "t" : "c"
    let axes = isLast ? [1, 2] : [-2, -1]
    sample.add("ReduceL2", [image], "norms", ["axes": .integers(axes)])
    sample.add(
      "ReduceMean", ["norms"], "mean", ["axes": .integers([axis ?? (isLast ? -1 : 1)])])
    sample.add("Add", ["epsilon", "mean"], "shifted")
    sample.add("Div", ["norms", "shifted"], "share")
    sample.add("Mul", isLast ? ["share", image] : [image, "share"], "product")
    sample.add("Mul", isLast ? ["product", "grn.weight"] : ["grn.weight", "product"], "scaled")
    // The older exporter multiplies by the factor of addcmul, 1.
    sample.add("Mul", ["scaled", "one"], "again")
    sample.add("Add", ["again", "grn.bias"], "moved")
    sample.add("Add", [image, endsWithImage ? "moved" : "norms"], "r")
    if isLast { sample.add("Transpose", ["r"], "back", ["perm": .integers([0, 3, 1, 2])]) }
    sample.add("GlobalAveragePool", [isLast ? "back" : "r"], "p")
    sample.add("Flatten", ["p"], "f")
    sample.add("Gemm", ["f", "fc.weight"], "logits", ["transB": .integer(1)])
    return sample
  }

  @Test(arguments: [true, false])
  func itIsOneOperationWhateverTheOrder(_ isLast: Bool) throws {
    let network = try ONNXNetwork(sample(isLast: isLast).model, file: "s.onnx")
    let node = try #require(network.graph.nodes.first { $0.path == "grn" })
    #expect(
      node.operation == .responseNormalization(ResponseNormalization(channels: 6, epsilon: 1e-6)))
    for leaf in ["weight", "bias"] {
      let expected = Tensor<Float>.procedural(
        "grn.\(leaf)", shape: isLast ? [1, 1, 1, 6] : [1, 6, 1, 1])
      #expect(network.parameters["grn.\(leaf)"]?.elements == expected.elements)
    }
    #expect(network.graph.nodes.count == 6)
  }

  @Test func whatOnlyResemblesItIsRefused() {
    for strange in [sample(isLast: false, axis: 2), sample(isLast: true, endsWithImage: false)] {
      let error = #expect(throws: GraphError.self) {
        try ONNXNetwork(strange.model, file: "s.onnx")
      }
      #expect(error?.description.contains("response normalisation") == true)
    }
  }

  /// Exporters that fold no constants turn weights in the graph.
  @Test func aTurnedWeightIsTheLayersOwn() throws {
    var sample = ONNXImportTests.plain()
    let expected = try ONNXImportTests.logits(sample)
    sample.nodes.removeLast()
    sample.add("Transpose", ["fc.weight"], "turned", ["perm": .integers([1, 0])])
    sample.add("MatMul", ["f", "turned"], "product")
    sample.add("Add", ["product", "fc.bias"], "logits")
    let network = try ONNXNetwork(sample.model, file: "s.onnx")
    #expect(network.graph.output.path == "fc")
    #expect(try ONNXImportTests.logits(sample) == expected)
  }
}
