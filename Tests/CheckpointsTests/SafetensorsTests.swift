// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing
import ThawCheckpoints
import ThawFiles
import ThawTensors
import ThawTestSupport

struct SafetensorsTests {
  private func file(_ header: String, data: Int = 0, length: UInt64? = nil) -> [UInt8] {
    littleEndian(length ?? UInt64(header.utf8.count)) + Array(header.utf8)
      + [UInt8](repeating: 0, count: data)
  }

  private func tensor(
    _ name: String = "t", _ dtype: String = "F32", _ shape: String = "[2]", _ start: String = "0",
    _ end: String = "8"
  ) -> String {
    #""\#(name)":{"dtype":"\#(dtype)","shape":\#(shape),"data_offsets":[\#(start),\#(end)]}"#
  }

  @Test func lengthsAreChecked() {
    expectRefused([], "an empty file", .wrongFormat)
    expectRefused([UInt8](repeating: 0, count: 7), "7 bytes", .truncated)
    expectRefused(file(""), "does not begin with '{'", .malformed)
    expectRefused(file("{}", length: .max), "18446744073709551615", .tooLarge)
    expectRefused(file("{}", length: 100_000_001), "100000001", .tooLarge)
    expectRefused(file("{}", length: 3), "header has 3 bytes, 2 are left", .truncated)
  }

  @Test func emptyFilesScalarsAndSpacesAreRead() throws {
    #expect(try read(file("{}")).count == 0)
    let scalar = try read(file(" \n{" + tensor("s", "F32", "[]", "0", "4") + "}  ", data: 4))
    #expect(try scalar["s"]?.floats() == Tensor([0], shape: []))
    let empty = try read(file("{" + tensor("e", "F32", "[0,3]", "0", "0") + "}"))
    #expect(empty["e"]?.shape == [0, 3])
  }

  @Test func theDataMustBeCoveredExactly() {
    let next = tensor("u", "F32", "[1]", "8", "12")
    func refused(_ header: String, _ data: Int, _ text: String) {
      expectRefused(file("{" + header + "}", data: data), text)
    }
    refused(tensor() + "," + tensor("u", "F32", "[1]", "4", "8"), 8, "'u' has the data from 4")
    refused(tensor() + "," + tensor("u", "F32", "[1]", "12", "16"), 16, "it should begin at 8")
    refused(tensor("t", "F32", "[2]", "8", "16"), 16, "it should begin at 0")
    refused(tensor("t", "F32", "[2]", "0", "4"), 4, "F32 [2] has 4 bytes")
    refused(tensor("t", "F32", "[0]", "8", "0"), 8, "'t' has the data from 8 to 0")
    refused(tensor() + "," + next, 11, "11 bytes of tensors, the header announces 12")
    refused(tensor() + "," + next, 10, "10 bytes of tensors")
    refused(tensor() + "," + next, 13, "1 bytes follow the last tensor")
  }

  @Test(arguments: [
    "[2,18446744073709551614]", "[2,9223372036854775807]", "[-1]", "[2.0]", "[2e0]", "[1e2]",
    "[\"2\"]", "[9223372036854775808]", "2", "null", "[1,1,1,1,1,1,1,1,2]",
  ])
  func impossibleShapesAreRefused(_ shape: String) {
    expectRefused(file("{" + tensor("t", "F32", shape) + "}", data: 8), "tensor 't'", .malformed)
  }

  @Test func aProductThatOverflowsInBytesIsRefused() {
    let shape = "[4611686018427387904]"
    expectRefused(file("{" + tensor("t", "F32", shape) + "}", data: 8), "has 8 bytes", .malformed)
  }

  @Test func headersAreReadStrictly() {
    let good = tensor()
    let cases: [(String, String)] = [
      ("{" + good + "," + good + "}", "'t' occurs twice"),
      ("{" + tensor("\u{E9}") + "," + tensor("e\u{301}") + "}", "occurs twice"),
      (#"{"t":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, "occurs twice"),
      ("\u{FEFF}{" + good + "}", "does not begin with '{'"),
      ("[" + good + "]", "does not begin with '{'"),
      ("{" + good + "} x", "something follows"), ("{" + good + ",}", "a name in quotes"),
      ("{" + good, "',' or '}'"),
      ("{\"a\":" + String(repeating: "[", count: 100_000), "128 levels"),
      (#"{"__metadata__":{"a":1},"# + good + "}", "'a' is not a text"),
      (#"{"__metadata__":null,"# + good + "}", "not an object"),
      ("{" + tensor("t", "F8_E4M3") + "}", "dtype 'F8_E4M3' is not supported"),
      ("{" + tensor("t", "F32", "[2]", "0", "8.0") + "}", "data_offsets"),
      ("{" + tensor("t", "F32", "[2]", "-0", "8") + "}", "data_offsets"),
      (#"{"t":{"shape":[2],"data_offsets":[0,8]}}"#, "no dtype"), (#"{"t":1}"#, "no dtype"),
    ]
    for (header, text) in cases { expectRefused(file(header, data: 8), text) }
    let invalid = littleEndian(UInt64(9)) + Array("{\"".utf8) + [0xFF] + Array("\":{}} ".utf8)
    expectRefused(invalid, "not UTF-8", .malformed)
  }

  @Test func aHugeNumberOfTensorsIsRefusedInTime() {
    let start = threadSeconds()
    let all = (0..<200_000).map { tensor("t\($0)", "U8", "[0]", "0", "0") }
    expectRefused(
      file("{" + all.joined(separator: ",") + "}"), "more than 100000 entries", .tooLarge)
    #expect(threadSeconds() - start < 5)
  }

  // MARK: Writing

  private var tensors: [StoredTensor] {
    [
      StoredTensor("z", Tensor([1, -2, .nan], shape: [3])),
      StoredTensor("b", .bool, [1], bytes: [1]),
      StoredTensor("a", Tensor([0.5], shape: [])),
      StoredTensor("counter", .int64, [1], bytes: littleEndian(Int64(-7))),
      StoredTensor("h", .float16, [2], bytes: [0, 0x3C, 0, 0xC0]),
    ]
  }

  @Test func tensorsAreWrittenInOrderAndReadBack() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path.appending("a.safetensors")
    let metadata = ["zeta": "\u{1}\"\\\n\u{e9}", "alpha": ""]
    try SafetensorsWriter.write(path, tensors, metadata: metadata)
    let bytes = try FileSystem.read(path)
    let length = Int(bytes[0]) + Int(bytes[1]) << 8
    #expect(length % 8 == 0)
    let header = String(decoding: bytes[8..<8 + length], as: UTF8.self)
    #expect(
      header.hasPrefix(
        #"{"__metadata__":{"alpha":"","zeta":"\u0001\"\\\n"# + "\u{e9}\"},\"counter\""))
    let checkpoint = try CheckpointReader.read(path)
    #expect(checkpoint.names == ["counter", "a", "z", "h", "b"])
    #expect(checkpoint.metadata == metadata)
    #expect(try checkpoint["counter"]?.floats().elements == [-7])
    #expect(try checkpoint["h"]?.floats().elements == [1, -2])
    let z = try #require(try checkpoint["z"]?.floats())
    #expect(z[0] == 1 && z[1] == -2 && z[2].isNaN)
  }

  @Test func theBytesDependOnTheContentsAlone() throws {
    let directory = try TemporaryDirectory()
    let metadata = Dictionary(uniqueKeysWithValues: (0..<50).map { ("k\($0)", "v\($0)") })
    let paths = ["a", "b", "c"].map { directory.path.appending($0) }
    try SafetensorsWriter.write(paths[0], tensors, metadata: metadata)
    try SafetensorsWriter.write(paths[1], tensors.reversed(), metadata: metadata)
    let read = try CheckpointReader.read(paths[0])
    try SafetensorsWriter.write(paths[2], read.tensors, metadata: read.metadata)
    let bytes = try paths.map { try FileSystem.read($0) }
    #expect(bytes[0] == bytes[1] && bytes[0] == bytes[2])
  }

  @Test func twoTensorsOfOneNameAreNotWritten() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path.appending("a.safetensors")
    for name in ["z", "__metadata__"] {
      #expect(throws: CheckpointError.self) {
        try SafetensorsWriter.write(path, tensors + [StoredTensor(name, Tensor([1], shape: [1]))])
      }
    }
    #expect(try FileSystem.list(directory.path).isEmpty)
  }

  @Test func aFileMayBeRewrittenFromItself() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path.appending("a.safetensors")
    try SafetensorsWriter.write(path, tensors)
    let before = try FileSystem.read(path)
    try SafetensorsWriter.write(path, CheckpointReader.read(path).tensors)
    #expect(try FileSystem.read(path) == before)
  }

  @Test func aFileThatChangesAfterItWasOpenedIsNoticed() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path.appending("a.safetensors")
    try SafetensorsWriter.write(path, tensors)
    let checkpoint = try CheckpointReader.read(path)
    #expect(truncate(path.string, 100) == 0)
    #expect(throws: CheckpointError.self) { try checkpoint["b"]?.floats() }
  }
}
