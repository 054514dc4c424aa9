// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawCheckpoints
import ThawFiles
import ThawTensors
import ThawTestSupport

@Suite struct ONNXReaderTests {
  /// A graph of one convolution.
  static func model(_ edit: (inout ONNXModel) -> Void = { _ in }) -> ONNXModel {
    let weight = StoredTensor("conv.weight", Tensor((0..<12).map(Float.init), shape: [4, 3, 1, 1]))
    var model = ONNXModel(
      producer: ("test", "1"), metadata: ["note": "a\nb"],
      graph: ONNXGraph(
        name: "g",
        nodes: [
          ONNXNode(
            "Conv", name: "conv", inputs: ["x", "conv.weight"], outputs: ["y"],
            attributes: [
              "pads": .integers([0, 1, 2, 3]), "group": .integer(1), "auto_pad": .text("NOTSET"),
              "alpha": .float(0.5), "scales": .floats([1, -2]), "words": .texts(["a", "b"]),
              "value": .tensor(
                StoredTensor("t", .int64, [2], bytes: Array(repeating: 1, count: 16))),
            ])
        ],
        initializers: [weight],
        inputs: [ONNXValue("x", .float32, [.named("batch"), .size(3), .unknown, .size(8)])],
        outputs: [ONNXValue("y", .float32, nil)]))
    edit(&model)
    return model
  }

  @Test func whatIsWrittenIsReadBack() throws {
    let model = try ONNXReader.read(bytes: try ONNXWriter.bytes(Self.model()), named: "a.onnx")
    #expect(model.irVersion == 8)
    #expect(model.operationSets == ["": 17])
    #expect(model.metadata == ["note": "a\nb"])
    let node = try #require(model.graph.nodes.first)
    #expect(node.operation == "Conv" && node.name == "conv")
    #expect(node.inputs == ["x", "conv.weight"] && node.outputs == ["y"])
    if case .integers(let pads)? = node.attributes["pads"] {
      #expect(pads == [0, 1, 2, 3])
    } else {
      Issue.record("pads are no integers")
    }
    if case .float(let alpha)? = node.attributes["alpha"] {
      #expect(alpha == 0.5)
    } else {
      Issue.record("alpha is no number")
    }
    if case .floats(let list)? = node.attributes["scales"] {
      #expect(list == [1, -2])
    } else {
      Issue.record("scales are no numbers")
    }
    if case .texts(let list)? = node.attributes["words"] {
      #expect(list == ["a", "b"])
    } else {
      Issue.record("words are no texts")
    }
    let weight = try #require(model.graph.initializers.first)
    #expect(weight.shape == [4, 3, 1, 1])
    #expect(try weight.floats().elements == (0..<12).map(Float.init))
    #expect(model.graph.inputs[0].dimensions == [.named("batch"), .size(3), .unknown, .size(8)])
  }

  /// What onnx 1.23 serialises for the same model (`onnx.helper`, IR version 8).
  private static let official: [UInt8] = [
    0x08, 0x08, 0x12, 0x01, 0x70, 0x1A, 0x01, 0x31, 0x3A, 0x60, 0x0A, 0x1C, 0x0A, 0x01, 0x78, 0x12,
    0x01, 0x79, 0x1A, 0x01, 0x6E, 0x22, 0x04, 0x52, 0x65, 0x6C, 0x75, 0x2A, 0x0B, 0x0A, 0x04, 0x61,
    0x78, 0x69, 0x73, 0x18, 0x03, 0xA0, 0x01, 0x02, 0x12, 0x01, 0x67, 0x2A, 0x11, 0x08, 0x02, 0x10,
    0x01, 0x42, 0x01, 0x77, 0x4A, 0x08, 0x00, 0x00, 0x80, 0x3F, 0x00, 0x00, 0x00, 0x40, 0x5A, 0x14,
    0x0A, 0x01, 0x78, 0x12, 0x0F, 0x0A, 0x0D, 0x08, 0x01, 0x12, 0x09, 0x0A, 0x03, 0x12, 0x01, 0x62,
    0x0A, 0x02, 0x08, 0x02, 0x62, 0x14, 0x0A, 0x01, 0x79, 0x12, 0x0F, 0x0A, 0x0D, 0x08, 0x01, 0x12,
    0x09, 0x0A, 0x03, 0x12, 0x01, 0x62, 0x0A, 0x02, 0x08, 0x02, 0x42, 0x04, 0x0A, 0x00, 0x10, 0x11,
    0x72, 0x06, 0x0A, 0x01, 0x6B, 0x12, 0x01, 0x76,
  ]

  @Test func theBytesAreThoseOfTheOfficialLibrary() throws {
    let shape: [ONNXDimension] = [.named("b"), .size(2)]
    let model = ONNXModel(
      producer: ("p", "1"), metadata: ["k": "v"],
      graph: ONNXGraph(
        name: "g",
        nodes: [
          ONNXNode(
            "Relu", name: "n", inputs: ["x"], outputs: ["y"], attributes: ["axis": .integer(3)])
        ],
        initializers: [StoredTensor("w", Tensor([1, 2], shape: [2]))],
        inputs: [ONNXValue("x", .float32, shape)], outputs: [ONNXValue("y", .float32, shape)]))
    #expect(try ONNXWriter.bytes(model) == Self.official)
  }

  @Test func aCheckpointReaderSeesTheConstants() throws {
    let checkpoint = try read(try ONNXWriter.bytes(Self.model()), "a.onnx")
    #expect(checkpoint.format == .onnx)
    #expect(checkpoint.names == ["conv.weight"])
  }

  /// Every prefix of a file, and every file with one bit turned, is read or refused; nothing else.
  @Test func damageGivesErrorsAndNothingElse() throws {
    let bytes = try ONNXWriter.bytes(Self.model())
    var refused = 0
    for count in 0..<bytes.count {
      do { _ = try ONNXReader.read(bytes: Array(bytes[..<count]), named: "a.onnx") } catch {
        refused += 1
      }
    }
    // A prefix that ends between two fields of the model, after its graph, is a smaller model.
    #expect(refused > bytes.count - 60)
    for index in bytes.indices {
      for bit in 0..<8 {
        var damaged = bytes
        damaged[index] ^= 1 << UInt8(bit)
        if let model = try? ONNXReader.read(bytes: damaged, named: "a.onnx") {
          for tensor in model.graph.initializers { _ = try? tensor.floats() }
        }
      }
    }
  }

  private func expectRefused(
    _ bytes: [UInt8], _ text: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    do {
      _ = try ONNXReader.read(bytes: bytes, named: "a.onnx")
      Issue.record("accepted, '\(text)' expected", sourceLocation: sourceLocation)
    } catch {
      #expect(error.description.contains(text), "\(error)", sourceLocation: sourceLocation)
    }
  }

  @Test func lengthsAndNumbersAreBounded() throws {
    // A graph that announces 2 GB; a number of eleven bytes; a group; field number 0.
    expectRefused([0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0x07], "announces 2147483647 bytes")
    expectRefused([0x08] + [UInt8](repeating: 0xFF, count: 10) + [1], "more than 64 bits")
    expectRefused([0x0B], "wire type 3")
    expectRefused([0x00, 0x01], "field number 0")
    expectRefused([], "empty file")
    expectRefused([0x08, 0x08], "no graph")
  }

  @Test func tensorsThatDoNotFitTheirShapeAreRefused() throws {
    func tensor(_ fields: [UInt8]) -> [UInt8] {
      let graph: [UInt8] = [0x2A, UInt8(fields.count)] + fields
      return [0x3A, UInt8(graph.count)] + graph + [0x42, 0x02, 0x10, 17]
    }
    // dims 2, FLOAT, name t, then 4 bytes of raw data.
    expectRefused(
      tensor([0x08, 2, 0x10, 1, 0x42, 1, 0x74, 0x4A, 4, 0, 0, 0, 0]), "needs 8 bytes, it has 4")
    // A negative extent, and extents whose product overflows.
    let negative = [UInt8](repeating: 0xFF, count: 9) + [1]
    expectRefused(tensor([0x08] + negative + [0x10, 1, 0x42, 1, 0x74]), "is impossible")
    let huge: [UInt8] = [0x08] + [UInt8](repeating: 0xFF, count: 8) + [0x7F]
    expectRefused(tensor(huge + huge + [0x10, 1, 0x42, 1, 0x74]), "is impossible")
    expectRefused(tensor([0x08, 1, 0x10, 14, 0x42, 1, 0x74]), "element type 14")
    // Texts, of which there are none.
    expectRefused(tensor([0x08, 1, 0x10, 8, 0x42, 1, 0x74]), "it has 0 texts")
  }

  @Test func twoTensorsOfOneNameAreRefused() throws {
    let model = Self.model { $0.graph.initializers.append($0.graph.initializers[0]) }
    expectRefused(try ONNXWriter.bytes(model), "two tensors are called 'conv.weight'")
  }

  // MARK: External data

  /// A model whose one tensor lies at `location`.
  private func external(_ location: String) -> [UInt8] {
    func part(_ key: UInt8, _ bytes: [UInt8]) -> [UInt8] { [key, UInt8(bytes.count)] + bytes }
    let entry = part(0x0A, Array("location".utf8)) + part(0x12, Array(location.utf8))
    let tensor: [UInt8] =
      [0x08, 2, 0x10, 1] + part(0x42, [0x74]) + part(0x6A, entry) + [0x70, 1]
    return part(0x3A, part(0x2A, tensor)) + [0x42, 0x02, 0x10, 17]
  }

  @Test func externalDataIsReadFromTheSameFolderWhenAllowed() throws {
    let folder = try TemporaryDirectory()
    let file = folder.path.appending("a.onnx")
    try AtomicFile.write(file, bytes: external("a.data"))
    try AtomicFile.write(
      folder.path.appending("a.data"), bytes: [0, 0, 0x80, 0x3F, 0, 0, 0, 0x40])
    let error = #expect(throws: CheckpointError.self) { try ONNXReader.read(file) }
    #expect(error?.description.contains("--external-data") == true)
    let model = try ONNXReader.read(file, externalData: .besideTheModel)
    #expect(try model.graph.initializers[0].floats().elements == [1, 2])
  }

  @Test(arguments: ["../secret", "/etc/hostname", "sub/secret", "..", ".", "", "link", "hard"])
  func externalDataNeverLeavesTheFolder(location: String) throws {
    let folder = try TemporaryDirectory()
    let inner = folder.path.appending("model")
    try FileSystem.createDirectory(inner)
    let bytes = [UInt8](repeating: 0, count: 8)
    try AtomicFile.write(folder.path.appending("secret"), bytes: bytes)
    try AtomicFile.write(inner.appending("own"), bytes: bytes)
    let manager = FileManager.default
    try manager.createSymbolicLink(
      atPath: inner.appending("link").string,
      withDestinationPath: folder.path.appending("secret").string)
    try manager.linkItem(
      atPath: inner.appending("own").string, toPath: inner.appending("hard").string)
    let file = inner.appending("a.onnx")
    try AtomicFile.write(file, bytes: external(location))
    #expect(throws: CheckpointError.self) {
      try ONNXReader.read(file, externalData: .besideTheModel)
    }
  }
}
