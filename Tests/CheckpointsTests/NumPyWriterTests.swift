// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawCheckpoints
import ThawFiles
import ThawTensors
import ThawTestSupport

/// What is written as NumPy archives is what NumPy, and our own reader, find in them.
struct NumPyWriterTests {
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private let tensors = [
    StoredTensor("conv/kernel", Tensor((0..<24).map { Float($0) / 7 }, shape: [2, 3, 4]))
      .permuted([2, 0, 1]),
    StoredTensor("Conv/bias", Tensor([1, -2, 3], shape: [3])),
    StoredTensor("count", .int64, [], bytes: [5, 0, 0, 0, 0, 0, 0, 0]),
  ]

  @Test func whatIsWrittenIsRead() throws {
    let path = directory.path.appending("a.npz")
    try NumPyWriter.write(path, tensors)
    let read = try CheckpointReader.read(path)
    #expect(
      read.format == .numPy && read.tensors.map(\.name) == ["Conv/bias", "conv/kernel", "count"])
    for tensor in tensors {
      let same = try #require(read[tensor.name])
      #expect(same.shape == tensor.shape && same.elementType == tensor.elementType)
      #expect(try same.floats().elements == tensor.floats().elements)
    }
    // No times: the same tensors are the same bytes.
    let again = directory.path.appending("b.npz")
    try NumPyWriter.write(again, tensors.reversed())
    #expect(try FileSystem.read(path) == FileSystem.read(again))
  }

  @Test func impossibleArchivesAreRefused() throws {
    let path = directory.path.appending("a.npz")
    #expect(throws: CheckpointError.self) { try NumPyWriter.write(path, tensors + tensors) }
    let brain = StoredTensor("x", .bfloat16, [1], bytes: [0, 0])
    let error = #expect(throws: CheckpointError.self) { try NumPyWriter.write(path, [brain]) }
    #expect(error?.description.contains("BF16") == true)
    #expect(!FileSystem.exists(path))
  }
}
