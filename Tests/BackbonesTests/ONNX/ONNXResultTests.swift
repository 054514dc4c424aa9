// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints
import ThawGraphs
import ThawNetwork
import ThawTensors

/// Which of several results of an ONNX graph is the classifier's, and what is none.
@Suite struct ONNXResultTests {
  private typealias Sample = ONNXImportTests.Sample

  private static func network(_ sample: Sample, _ outputs: [String]) throws -> ONNXNetwork {
    var model = sample.model
    model.graph.outputs = outputs.map { ONNXValue($0, .float32, nil) }
    return try ONNXNetwork(model, file: "s.onnx")
  }

  private static func complaint(_ sample: Sample, _ outputs: [String]) -> String {
    do {
      _ = try network(sample, outputs)
      return "none"
    } catch { return "\(error)" }
  }

  /// A second dense layer of three classes beside the first.
  private static func twoHeads() -> Sample {
    var sample = ONNXImportTests.plain()
    sample.constant("other.weight", [3, 6])
    sample.constant("other.bias", [3])
    sample.add("Gemm", ["f", "other.weight", "other.bias"], "other", ["transB": .integer(1)])
    sample.add("Softmax", ["other"], "chances")
    sample.add("Sigmoid", ["logits"], "signs")
    sample.add("Softmax", ["logits"], "parts")
    sample.add("Sigmoid", ["f"], "squashed")
    sample.add("Flatten", ["signs"], "flat")
    sample.add("Flatten", ["p"], "again")
    sample.add("ArgMax", ["other"], "label")
    sample.add("ArgMax", ["parts"], "own")
    return sample
  }

  @Test(arguments: [
    ["f", "logits"], ["logits", "f"], ["r", "p", "logits"], ["logits", "parts"],
    ["again", "logits"],
  ])
  func whatTheLogitsAreComputedFromIsNoSecondAnswer(_ outputs: [String]) throws {
    let network = try Self.network(Self.twoHeads(), outputs)
    #expect(network.classCount == 4)
    #expect(network.outputActivation == .softmax)
    #expect(network.graph.nodes.last?.path == "fc")
  }

  @Test(arguments: [["flat", "logits"], ["logits", "flat"], ["signs", "f"], ["flat", "signs"]])
  func sigmoidsOfTheLogitsAreTheirs(_ outputs: [String]) throws {
    let network = try Self.network(Self.twoHeads(), outputs)
    #expect(network.classCount == 4 && network.outputActivation == .independentSigmoids)
    #expect(
      network.graph.nodes.allSatisfy {
        if case .activation(.sigmoid) = $0.operation { false } else { true }
      })
  }

  @Test func aLabelOfTheSameLogitsIsLeftOut() throws {
    #expect(try Self.network(Self.twoHeads(), ["own", "parts"]).classCount == 4)
    #expect(
      Self.complaint(Self.twoHeads(), ["label", "parts"]).contains("'label' [N, 3], a label"))
  }

  @Test(arguments: [
    (["logits", "other"], "'logits' [N, 4]; 'other' [N, 3]"),
    (["chances", "logits"], "'chances' [N, 3], a softmax over the classes; 'logits' [N, 4]"),
    (["signs", "chances"], "'signs' [N, 4], one sigmoid a class"),
    (["chances", "signs"], "'signs' [N, 4], one sigmoid a class"),
    (["signs", "parts"], "'parts' [N, 4], a softmax over the classes"),
    (["squashed", "logits"], "'squashed' [N, 6]"),
  ])
  func anotherQuestionIsRefusedByName(_ outputs: [String], _ expected: String) {
    let text = Self.complaint(Self.twoHeads(), outputs)
    #expect(text.contains("not made of each other") && text.contains(expected), "\(text)")
  }

  // MARK: Results that are no classes

  @Test func anImageIsNoClassifiersResult() {
    let expected = "output 'c': it is an image of 8 x 8 pixels with 6 numbers each"
    #expect(Self.complaint(ONNXImportTests.plain(), ["c"]).contains(expected))
    var sigmoid = ONNXImportTests.plain()
    sigmoid.add("Sigmoid", ["c"], "mask")
    #expect(Self.complaint(sigmoid, ["mask"]).contains("output 'mask': it is an image"))
    var softmax = ONNXImportTests.plain()
    softmax.add("Softmax", ["c"], "mask", ["axis": .integer(1)])
    #expect(Self.complaint(softmax, ["mask"]).contains("a softmax at each pixel"))
  }

  @Test func aSinglePixelIsARow() throws {
    let network = try Self.network(ONNXImportTests.plain(), ["p"])
    #expect(network.classCount == 6)
  }

  /// [N, H, W, C] flattened: the file's first classes are not ours.
  @Test func classesInTheOrderOfChannelsLastAreRefused() {
    var sample = ONNXImportTests.plain()
    sample.add("Transpose", ["r"], "t", ["perm": .integers([0, 2, 3, 1])])
    sample.add("Flatten", ["t"], "wide")
    #expect(Self.complaint(sample, ["wide"]).contains("rows, columns, channels"))
    sample.add("Softmax", ["wide"], "soft", ["axis": .integer(1)])
    #expect(Self.complaint(sample, ["soft"]).contains("rows, columns, channels"))
  }

  /// The axis of a softmax is counted in the file's order of dimensions.
  @Test(arguments: [
    ([0, 2, 3, 1], 3, true), ([0, 2, 3, 1], -1, true), ([0, 2, 3, 1], 1, false),
    ([0, 1, 2, 3], 1, true), ([0, 1, 2, 3], -3, true), ([0, 1, 2, 3], 3, false),
  ])
  func theAxisOfASoftmaxIsThatOfTheChannels(_ order: [Int], _ axis: Int, _ isKnown: Bool) {
    var sample = ONNXImportTests.plain()
    sample.add("Transpose", ["p"], "t", ["perm": .integers(order)])
    sample.add("Softmax", ["t"], "soft", ["axis": .integer(axis)])
    let text = Self.complaint(sample, ["soft"])
    #expect(isKnown ? text == "none" : text.contains("a softmax over the classes"), "\(text)")
  }
}
