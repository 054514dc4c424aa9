// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawCheckpoints
import ThawGraphs
import ThawNetwork
import ThawTensors

/// Views by strides, as PyTorch's newer exporter writes them behind a pooling.
@Suite struct ONNXStridesTests {
  private typealias Sample = ONNXImportTests.Sample

  private func pooled(batch: ONNXDimension) -> Sample {
    var sample = Sample()
    sample.input[0] = batch
    sample.constant("conv.weight", [6, 3, 3, 3])
    sample.constant("fc.weight", [4, 6])
    sample.integers("all", [-1])
    sample.integers("pixels", [-1, -2])
    sample.integers("flat", [-1, 6])
    sample.add("Conv", ["x", "conv.weight"], "c")
    sample.add("ReduceMean", ["c", "pixels"], "mean")
    sample.add("Reshape", ["mean", "all"], "row")
    return sample
  }

  private static func bytes(_ values: [Int]) -> [UInt8] {
    values.flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
  }

  private func end(_ sample: inout Sample) {
    sample.add("Reshape", ["strided", "flat"], "f")
    sample.add("Gemm", ["f", "fc.weight"], "logits", ["transB": .integer(1)])
  }

  /// With a fixed batch the places are a constant.
  private func fixed(_ places: [Int], batch: Int = 1) -> Sample {
    var sample = pooled(batch: .size(batch))
    let shape: Shape = [batch, places.count / batch, 1, 1]
    sample.constants.append(StoredTensor("places", .int64, shape, bytes: Self.bytes(places)))
    sample.add("Gather", ["row", "places"], "strided")
    end(&sample)
    return sample
  }

  /// With a free one they are computed of the photo's number.
  private func free(stride: Int, from first: Int = 0) -> Sample {
    var sample = pooled(batch: .named("n"))
    func numbers(_ name: String, _ values: [Int], _ shape: Shape) {
      sample.constants.append(StoredTensor(name, .int64, shape, bytes: Self.bytes(values)))
    }
    numbers("none", [first], [])
    numbers("one", [1], [])
    numbers("stride", [stride], [])
    numbers("offsets", Array(0..<6), [1, 6, 1, 1])
    numbers("nought", [0], [1, 1, 1, 1])
    sample.integers("behind", [1, 2, 3])
    sample.add("Shape", ["x"], "batch", ["start": .integer(0), "end": .integer(1)])
    sample.add("Squeeze", ["batch"], "count")
    sample.add("Range", ["none", "count", "one"], "photos")
    sample.add("Mul", ["photos", "stride"], "starts")
    sample.add("Unsqueeze", ["starts", "behind"], "wide")
    sample.add("Add", ["wide", "offsets"], "moved")
    sample.add("Add", ["moved", "nought"], "places")
    sample.add("Gather", ["row", "places"], "strided")
    end(&sample)
    return sample
  }

  private func plain() throws -> Tensor<Float> {
    var sample = pooled(batch: .named("n"))
    sample.nodes.removeLast()
    sample.add("Flatten", ["mean"], "f")
    sample.add("Gemm", ["f", "fc.weight"], "logits", ["transB": .integer(1)])
    return try ONNXImportTests.logits(sample)
  }

  @Test func allNumbersInTheirOrderAreTheSameImage() throws {
    let expected = try plain()
    #expect(try ONNXImportTests.logits(fixed(Array(0..<6))) == expected)
    #expect(try ONNXImportTests.logits(free(stride: 6)) == expected)
  }

  @Test func otherChoicesAreRefused() {
    for strange in [
      fixed([0, 1, 2, 3, 5, 4]), fixed([0, 1, 2, 3, 4]), fixed(Array(1..<7)), free(stride: 5),
    ] {
      let error = #expect(throws: GraphError.self) {
        try ONNXNetwork(strange.model, file: "s.onnx")
      }
      #expect(error?.description.contains("view by strides") == true)
    }
    let error = #expect(throws: GraphError.self) {
      try ONNXNetwork(free(stride: 6, from: 1).model, file: "s.onnx")
    }
    #expect(error?.description.contains("photos' numbers") == true)
  }

  /// Axes count from either end, in an attribute or an input, and what they are not is said.
  @Test func reductionsReadTheirAxesAlike() throws {
    let expected = try plain()
    func sample(_ operation: String, _ axes: [Int], asInput: Bool) -> Sample {
      var sample = pooled(batch: .named("n"))
      sample.nodes.removeLast(2)
      sample.integers("axes", axes)
      sample.add(
        operation, asInput ? ["c", "axes"] : ["c"], "mean",
        asInput ? [:] : ["axes": .integers(axes)])
      sample.add("Flatten", ["mean"], "f")
      sample.add("Gemm", ["f", "fc.weight"], "logits", ["transB": .integer(1)])
      return sample
    }
    for axes in [[2, 3], [3, 2], [-1, -2], [2, -1]] {
      for asInput in [true, false] {
        let found = try ONNXImportTests.logits(sample("ReduceMean", axes, asInput: asInput))
        #expect(found == expected)
      }
    }
    for axes in [[], [1], [1, 2, 3], [2], [2, 4], [2, -2, 3], [-5, 2]] {
      for operation in ["ReduceMean", "ReduceMax", "ReduceL2"] {
        #expect(throws: GraphError.self) {
          try ONNXNetwork(sample(operation, axes, asInput: false).model, file: "s.onnx")
        }
      }
    }
  }
}
