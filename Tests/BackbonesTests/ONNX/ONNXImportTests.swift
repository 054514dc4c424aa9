// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawCheckpoints
import ThawExecution
import ThawGraphs
import ThawNetwork
import ThawReference
import ThawTensors
import ThawTestSupport

/// Graphs as other programs write them, and graphs that nobody should.
@Suite struct ONNXImportTests {
  /// An image of 8 x 8, a 3x3 convolution with a bias, global pooling and a dense layer of 4 classes.
  struct Sample {
    var nodes: [ONNXNode] = []
    var constants: [StoredTensor] = []
    var input: [ONNXDimension] = [.named("n"), .size(3), .size(8), .size(8)]
    var output = "logits"

    mutating func add(
      _ operation: String, _ inputs: [String], _ output: String,
      _ attributes: [String: ONNXAttribute] = [:]
    ) {
      nodes.append(
        ONNXNode(
          operation, name: "/\(output)/\(operation)", inputs: inputs, outputs: [output],
          attributes: attributes))
    }

    mutating func constant(_ name: String, _ shape: Shape) {
      constants.append(StoredTensor(name, .procedural(ParameterPath(name), shape: shape)))
    }

    mutating func integers(_ name: String, _ values: [Int]) {
      let bytes = values.flatMap { value in
        (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
      }
      constants.append(StoredTensor(name, .int64, [values.count], bytes: bytes))
    }

    var model: ONNXModel {
      ONNXModel(
        graph: ONNXGraph(
          name: "sample", nodes: nodes, initializers: constants,
          inputs: [ONNXValue("x", .float32, input)], outputs: [ONNXValue(output, .float32, nil)]))
    }
  }

  static func plain() -> Sample {
    var sample = Sample()
    sample.constant("conv.weight", [6, 3, 3, 3])
    sample.constant("conv.bias", [6])
    sample.constant("fc.weight", [4, 6])
    sample.constant("fc.bias", [4])
    sample.add(
      "Conv", ["x", "conv.weight", "conv.bias"], "c", ["pads": .integers([1, 1, 1, 1])])
    sample.add("Relu", ["c"], "r")
    sample.add("GlobalAveragePool", ["r"], "p")
    sample.add("Flatten", ["p"], "f")
    sample.add("Gemm", ["f", "fc.weight", "fc.bias"], "logits", ["transB": .integer(1)])
    return sample
  }

  static func logits(_ sample: Sample) throws -> Tensor<Float> {
    let network = try ONNXNetwork(
      try ONNXReader.read(bytes: try ONNXWriter.bytes(sample.model), named: "s.onnx"),
      file: "s.onnx")
    let engine = ReferenceEngine<Float>()
    return try Compiler(inference: engine, training: engine).compileInference(
      network.graph, parameters: network.parameters, microBatch: 2, size: Extent2D(8)
    ).run(Tensor<Float>.procedural("image", shape: [2, 3, 8, 8]))
  }

  @Test func layersAreNamedForTheirWeights() throws {
    let network = try ONNXNetwork(Self.plain().model, file: "s.onnx")
    #expect(network.graph.nodes.map(\.path) == ["input", "conv", "r", "p", "f", "fc"])
    #expect(network.classCount == 4)
    #expect(network.graph.groups.last?.name == "head")
    #expect(network.record == nil)
  }

  @Test func paddingOfItsOwnGoesIntoTheConvolution() throws {
    var sample = Self.plain()
    sample.nodes[0].attributes = [:]
    sample.nodes[0].inputs[0] = "padded"
    sample.integers("pads", [0, 0, 1, 1, 0, 0, 1, 1])
    sample.nodes.insert(
      ONNXNode("Pad", name: "pad", inputs: ["x", "pads"], outputs: ["padded"]), at: 0)
    #expect(try Self.logits(sample) == Self.logits(Self.plain()))
  }

  @Test func aMatrixProductAndASumAreADenseLayer() throws {
    var sample = Self.plain()
    let weight = Tensor<Float>.procedural("fc.weight", shape: [4, 6])
    let transposed = Tensor(shape: [6, 4]) { target in
      for row in 0..<4 {
        for column in 0..<6 { target[column * 4 + row] = weight[row * 6 + column] }
      }
    }
    sample.constants[2] = StoredTensor("fc.weight", transposed)
    sample.nodes.removeLast()
    sample.add("MatMul", ["f", "fc.weight"], "m")
    sample.add("Add", ["m", "fc.bias"], "logits")
    #expect(try Self.logits(sample) == Self.logits(Self.plain()))
  }

  @Test func aReshapeByComputedExtentsIsAFlattening() throws {
    var sample = Self.plain()
    sample.nodes.removeLast(2)
    sample.integers("zero", [0])
    sample.integers("rest", [-1])
    sample.add("Shape", ["p"], "shape")
    sample.add("Gather", ["shape", "zero"], "batch")
    sample.add("Concat", ["batch", "rest"], "target", ["axis": .integer(0)])
    sample.add("Reshape", ["p", "target"], "f")
    sample.add("Gemm", ["f", "fc.weight", "fc.bias"], "g", ["transB": .integer(1)])
    sample.add("Softmax", ["g"], "logits", ["axis": .integer(-1)])
    #expect(try Self.logits(sample) == Self.logits(Self.plain()))
  }

  /// As tf2onnx writes it: channels last outside, transposed for the convolution, flattened in the
  /// order H, W, C, which the dense weights follow.
  @Test func channelsLastIsReordered() throws {
    var first = Self.plain()
    first.nodes.removeLast(3)
    first.constants.removeLast(2)
    first.constant("fc.bias", [4])
    var last = first
    let columns = 6 * 64
    let weight = Tensor<Float>.procedural("wide", shape: [4, columns])
    let reordered = Tensor(shape: [4, columns]) { target in
      for row in 0..<4 {
        for channel in 0..<6 {
          for pixel in 0..<64 {
            target[row * columns + pixel * 6 + channel] =
              weight[row * columns + channel * 64 + pixel]
          }
        }
      }
    }
    first.constants.append(StoredTensor("fc.weight", weight))
    first.add("Flatten", ["r"], "f")
    first.add("Gemm", ["f", "fc.weight", "fc.bias"], "logits", ["transB": .integer(1)])
    last.constants.append(StoredTensor("fc.weight", reordered))
    last.input = [.unknown, .size(8), .size(8), .size(3)]
    last.nodes[0].inputs[0] = "planes"
    last.nodes.insert(
      ONNXNode(
        "Transpose", inputs: ["x"], outputs: ["planes"],
        attributes: ["perm": .integers([0, 3, 1, 2])]), at: 0)
    last.add("Transpose", ["r"], "t", ["perm": .integers([0, 2, 3, 1])])
    last.add("Flatten", ["t"], "f")
    last.add("Gemm", ["f", "fc.weight", "fc.bias"], "logits", ["transB": .integer(1)])
    #expect(try Self.logits(last) == Self.logits(first))
  }

  // MARK: What is refused

  private func expectRefused(
    _ sample: Sample, _ text: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    do {
      _ = try ONNXNetwork(sample.model, file: "s.onnx")
      Issue.record("accepted, '\(text)' expected", sourceLocation: sourceLocation)
    } catch {
      #expect("\(error)".contains(text), "\(error)", sourceLocation: sourceLocation)
    }
  }

  @Test func theFirstUnknownOperationIsNamed() {
    var sample = Self.plain()
    sample.nodes[1].operation = "Elu"
    expectRefused(
      sample, "node '/r/Relu' (Elu): no network here has such an operation. Known are Add")
  }

  @Test func cyclesAndMissingValuesAreNamed() {
    var cycle = Self.plain()
    cycle.nodes[0].inputs[0] = "r"
    expectRefused(cycle, "the graph has a cycle")
    var missing = Self.plain()
    missing.nodes[1].inputs[0] = "nowhere"
    expectRefused(missing, "nothing makes its input 'nowhere'")
    var twice = Self.plain()
    twice.nodes[1].outputs[0] = "c"
    expectRefused(twice, "the name of another value")
  }

  @Test func layersThatDoNotFitAreNamed() {
    var channels = Self.plain()
    channels.input[1] = .size(4)
    expectRefused(channels, "does not fit 4 channels")
    var padding = Self.plain()
    padding.nodes[0].attributes["pads"] = .integers([-1, 0, 0, 0])
    expectRefused(padding, "pads [-1, 0, 0, 0]")
    var stride = Self.plain()
    stride.nodes[0].attributes["strides"] = .integers([0, 1 << 40])
    expectRefused(stride, "strides")
    var groups = Self.plain()
    groups.nodes[0].attributes["group"] = .integer(0)
    expectRefused(groups, "in 0 groups")
    var dense = Self.plain()
    dense.constants[2] = StoredTensor("fc.weight", Tensor(zeros: [4, 7]))
    expectRefused(dense, "6 features do not fit a matrix of [4, 7]")
    var nothing = Self.plain()
    nothing.output = "conv.bias"
    expectRefused(nothing, "no output of the graph depends on the image")
  }

  /// A file whose few numbers claim to be many parameters cannot fill the memory.
  @Test func oneTensorUsedManyTimesIsBounded() {
    var sample = Self.plain()
    sample.constants[0] = StoredTensor(
      "conv.weight", Tensor(zeros: [512, 512, 1, 1]))
    sample.constants[1] = StoredTensor("conv.bias", Tensor(zeros: [512]))
    sample.constants[2] = StoredTensor("fc.weight", Tensor(zeros: [4, 512]))
    sample.input = [.named("n"), .size(512), .size(8), .size(8)]
    sample.nodes[0].attributes = [:]
    for index in 0..<12 {
      sample.nodes.insert(
        ONNXNode(
          "Conv", inputs: [index == 0 ? "x" : "c\(index - 1)", "conv.weight"],
          outputs: ["c\(index)"]), at: index)
    }
    sample.nodes[12].inputs[0] = "c11"
    expectRefused(sample, "stored numbers")
  }
}
