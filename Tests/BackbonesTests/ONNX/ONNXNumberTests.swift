// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints
import ThawGraphs
import ThawNetwork
import ThawTensors
import ThawTestSupport

/// Arithmetic with the photo, types of numbers, and orders of dimensions that an ONNX graph is read with.
@Suite struct ONNXNumberTests {
  private typealias Sample = ONNXImportTests.Sample

  private static func network(
    _ sample: Sample, _ type: ElementType = .float32
  ) throws -> ONNXNetwork {
    var model = sample.model
    model.graph.inputs[0].elementType = type
    return try ONNXNetwork(model, file: "s.onnx", separatesArithmetic: true)
  }

  private static func complaint(_ sample: Sample, _ type: ElementType = .float32) -> String {
    do {
      _ = try network(sample, type)
      return "none"
    } catch { return "\(error)" }
  }

  /// x, doubled, into the convolution, and x itself into a second one that is added.
  private static func branched() -> Sample {
    var sample = ONNXImportTests.plain()
    sample.constants.append(StoredTensor("two", Tensor([2], shape: [1])))
    sample.nodes[0].inputs[0] = "doubled"
    sample.nodes.insert(
      ONNXNode("Mul", name: "double", inputs: ["x", "two"], outputs: ["doubled"]), at: 0)
    return sample
  }

  @Test func arithmeticOnTheWholePhotoIsTheContract() throws {
    #expect(try Self.network(Self.branched()).pixels.scale == [2, 2, 2])
  }

  /// What only one of two branches does is no part of the contract.
  @Test func arithmeticOnOneBranchStaysInTheNetwork() throws {
    var sample = Self.branched()
    sample.constant("second.weight", [6, 3, 3, 3])
    sample.add("Conv", ["x", "second.weight"], "s", ["pads": .integers([1, 1, 1, 1])])
    sample.add("Add", ["r", "s"], "both")
    let pooling = try #require(sample.nodes.firstIndex { $0.operation == "GlobalAveragePool" })
    sample.nodes[pooling].inputs[0] = "both"
    let network = try Self.network(sample)
    #expect(network.pixels.isNone)
    #expect(network.graph.nodes.contains { $0.path == "double" })
  }

  /// Exporters ask for the photo's shape to compute the batch of a later reshape.
  @Test func askingForTheShapeIsNoUse() throws {
    var sample = Self.branched()
    sample.add("Shape", ["x"], "shape")
    #expect(try Self.network(sample).pixels.scale == [2, 2, 2])
  }

  // MARK: Types

  private static func cast(_ code: Int, of value: String, into operation: String) -> Sample {
    var sample = ONNXImportTests.plain()
    sample.add("Cast", [value], "cast", ["to": .integer(code)])
    if let index = sample.nodes.firstIndex(where: { $0.operation == operation }) {
      sample.nodes[index].inputs[0] = "cast"
    }
    return sample
  }

  @Test func integersWithinTheNetworkAreRefused() {
    #expect(
      Self.complaint(Self.cast(6, of: "c", into: "Relu")).contains("it makes I32 of an image"))
    #expect(
      Self.complaint(Self.cast(9, of: "c", into: "Relu")).contains("it makes BOOL of an image"))
    for code in [1, 10, 11, 16] {
      #expect(Self.complaint(Self.cast(code, of: "c", into: "Relu")) == "none")
    }
    // A normalised photo is not made of integers, samples are.
    #expect(
      Self.complaint(Self.cast(6, of: "x", into: "Conv")).contains("it makes I32 of an image"))
    #expect(Self.complaint(Self.cast(6, of: "x", into: "Conv"), .uint8) == "none")
    #expect(
      Self.complaint(Self.cast(3, of: "x", into: "Conv"), .uint8).contains(
        "it makes I8 of an image"))
  }

  @Test func arithmeticWithIntegersIsRefused() {
    #expect(Self.complaint(Self.branched(), .uint8).contains("it computes with integers"))
    var sample = Self.branched()
    sample.nodes[0].inputs[0] = "real"
    sample.add("Cast", ["x"], "real", ["to": .integer(1)])
    #expect(Self.complaint(sample, .uint8) == "none")
  }

  @Test func aDropoutInTrainingModeIsRefused() {
    for mode in [UInt8(0), 1] {
      var sample = ONNXImportTests.plain()
      sample.constants.append(StoredTensor("half", Tensor([0.5], shape: [])))
      sample.constants.append(StoredTensor("mode", .bool, [], bytes: [mode]))
      sample.add("Dropout", ["f", "half", "mode"], "d")
      let index = sample.nodes.firstIndex { $0.operation == "Gemm" } ?? 0
      sample.nodes[index].inputs[0] = "d"
      let text = Self.complaint(sample)
      #expect(mode == 0 ? text == "none" : text.contains("exported in training mode"), "\(text)")
    }
  }

  // MARK: Orders

  @Test func aNormalisationBehindAFlattenedImageIsRefused() {
    var sample = ONNXImportTests.plain()
    sample.nodes.removeLast(3)
    sample.constants.removeLast(2)
    for name in ["scale", "shift", "mean"] { sample.constant("bn.\(name)", [384]) }
    let spread = [Float](repeating: 0.5, count: 384)
    sample.constants.append(StoredTensor("bn.spread", Tensor(spread, shape: [384])))
    sample.constant("wide.weight", [4, 384])
    sample.add("Transpose", ["r"], "t", ["perm": .integers([0, 2, 3, 1])])
    sample.add("Flatten", ["t"], "flat")
    sample.add(
      "BatchNormalization", ["flat", "bn.scale", "bn.shift", "bn.mean", "bn.spread"], "n")
    sample.add("Gemm", ["n", "wide.weight"], "logits", ["transB": .integer(1)])
    #expect(Self.complaint(sample).contains("a flattened image goes into it"))
    // In the network's own order it is a row like another.
    let index = sample.nodes.firstIndex { $0.operation == "Flatten" } ?? 0
    sample.nodes[index].inputs[0] = "r"
    #expect(Self.complaint(sample) == "none")
  }

  /// A row whose channels stand in another order is not the row.
  @Test func channelsThatChangePlacesAreRefused() {
    for isShuffled in [false, true] {
      var sample = ONNXImportTests.plain()
      sample.nodes.removeLast(2)
      sample.integers("parts", [0, 2, 3])
      sample.integers("whole", [0, 6])
      sample.integers("row", [0, 1, 6])
      sample.add("Reshape", ["p", "row"], "tokens")
      sample.add("Reshape", ["tokens", "parts"], "parted")
      sample.add(
        "Transpose", ["parted"], "turned",
        ["perm": .integers(isShuffled ? [0, 2, 1] : [0, 1, 2])])
      sample.add("Reshape", ["turned", "whole"], "f")
      sample.add("Gemm", ["f", "fc.weight", "fc.bias"], "logits", ["transB": .integer(1)])
      let text = Self.complaint(sample)
      #expect((text == "none") == !isShuffled, "\(text)")
    }
  }

  /// Rounding tokens is not computed, so it must not be passed over.
  @Test func tokensThatAreMadeIntegersAreRefused() {
    var sample = ONNXImportTests.plain()
    sample.nodes.removeLast(3)
    sample.integers("row", [0, 6, 64])
    sample.add("Reshape", ["r", "row"], "tokens")
    sample.add("Cast", ["tokens"], "whole", ["to": .integer(6)])
    sample.add("Cast", ["whole"], "real", ["to": .integer(1)])
    sample.add("ReduceMean", ["real"], "f", ["axes": .integers([2]), "keepdims": .integer(0)])
    sample.add("Gemm", ["f", "fc.weight", "fc.bias"], "logits", ["transB": .integer(1)])
    #expect(Self.complaint(sample).contains("it makes integers of numbers of tokens"))
  }

  /// The open end of a slice is the largest number there is; arithmetic with it is an error, no trap.
  @Test(arguments: [Int.max, Int.min]) func numbersBeyondExtentsAreErrors(number: Int) {
    var sample = ONNXImportTests.plain()
    sample.integers("end", [number])
    sample.integers("one", [1])
    sample.integers("row", [0, 6, 64])
    sample.nodes.removeLast(3)
    sample.add("Mul", ["end", "one"], "product")
    sample.add("Reshape", ["r", "product"], "f")
    sample.add("Gemm", ["f", "fc.weight", "fc.bias"], "logits", ["transB": .integer(1)])
    #expect(Self.complaint(sample) != "none")
  }

  // MARK: Windows

  /// Four zeros around an image: a window of two lies in them alone.
  @Test(arguments: [
    ("MaxPool", 4, 2, 2, false), ("MaxPool", 1, 2, 2, true), ("MaxPool", 2, 2, 2, false),
    ("MaxPool", 2, 3, 3, true), ("AveragePool", 2, 2, 2, false), ("AveragePool", 1, 3, 2, true),
  ])
  func aWindowInPaddingAloneIsRefused(
    _ operation: String, _ padding: Int, _ kernel: Int, _ stride: Int, _ isKnown: Bool
  ) {
    var sample = ONNXImportTests.plain()
    sample.add(
      operation, ["r"], "w",
      [
        "kernel_shape": .integers([kernel, kernel]), "strides": .integers([stride, stride]),
        "pads": .integers([padding, padding, padding, padding]),
      ])
    let index = sample.nodes.firstIndex { $0.operation == "GlobalAveragePool" } ?? 0
    sample.nodes[index].inputs[0] = "w"
    let text = Self.complaint(sample)
    #expect(isKnown ? text == "none" : text.contains("a window lies in it alone"), "\(text)")
  }
}
