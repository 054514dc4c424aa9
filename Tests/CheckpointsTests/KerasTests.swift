// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints
import ThawTensors
import ThawTestSupport

/// Files written by the real Keras in each of its layouts.
struct KerasTests {
  /// In the order of the model, with the shapes that Keras gives them.
  static let weights: [(name: String, shape: Shape)] = [
    ("block1_conv1/kernel", [3, 3, 3, 4]), ("block1_conv1/bias", [4]),
    ("batch_normalization/beta", [4]), ("batch_normalization/moving_mean", [4]),
    ("batch_normalization/moving_variance", [4]), ("depthwise_conv2d/kernel", [2, 2, 4, 1]),
    ("batch_normalization_1/gamma", [4]), ("batch_normalization_1/beta", [4]),
    ("batch_normalization_1/moving_mean", [4]), ("batch_normalization_1/moving_variance", [4]),
    ("predictions/kernel", [4, 5]), ("predictions/bias", [5]),
  ]

  private func expectWeights(
    _ checkpoint: Checkpoint, _ weights: [(name: String, shape: Shape)]
  ) throws {
    let names = checkpoint.names.filter { !$0.contains("seed_generator") }
    #expect(Set(names) == Set(weights.map(\.name)))
    for (number, weight) in weights.enumerated() {
      let tensor = try #require(checkpoint[weight.name], "\(weight.name)")
      let values = formula(number, weight.shape.count).map { $0 / 4 }
      #expect(try tensor.floats() == Tensor(values, shape: weight.shape), "\(weight.name)")
    }
  }

  @Test(arguments: [
    ("tiny.keras", CheckpointFormat.kerasArchive), ("tiny.weights.h5", .kerasWeights),
    ("tiny.model.h5", .kerasWeights), ("tiny.keras2.h5", .kerasWeights),
    ("tiny.keras1.h5", .kerasWeights),
  ])
  func everyLayoutGivesTheSameWeights(_ name: String, _ format: CheckpointFormat) throws {
    let checkpoint = try read(fixture(name), "net.h5")
    #expect(checkpoint.format == format)
    try expectWeights(checkpoint, KerasTests.weights)
  }

  @Test(arguments: ["nested.keras", "nested.legacy.h5"])
  func layersOfANestedModelKeepTheirNames(_ name: String) throws {
    let head: [(String, Shape)] = [("head/kernel", [5, 2]), ("head/bias", [2])]
    try expectWeights(try read(fixture(name)), KerasTests.weights + head)
  }

  @Test func layersWithoutNamesAreCalledByTheirPlace() throws {
    let checkpoint = try read(fixture("unnamed.weights.h5"), "net.h5")
    #expect(
      checkpoint.metadata[Checkpoint.kerasLayers] == Checkpoint.kerasLayersByPosition)
    #expect(checkpoint.names.contains("conv2d/kernel"))
    #expect(checkpoint.names.contains("batch_normalization_1/gamma"))
    #expect(try read(fixture("tiny.weights.h5")).metadata[Checkpoint.kerasLayers] == nil)
  }

  @Test func whatTheModelDoesWithItsPixelsIsKept() throws {
    let model = try #require(try read(fixture("pixels.keras")).kerasModel)
    #expect(
      model.pixelLayers == [
        .rescaling(scale: [1 / 127.5], offset: [-1]),
        .normalization(layer: "spread", mean: nil, variance: nil),
      ])
    #expect(model.inputExtent?.height == 6 && model.inputExtent?.width == 6)
    #expect(model.normalizesBeforePooling && !model.poolsByMaximum)
    #expect(model.denseActivations == ["dense": "linear"])
    let plain = try #require(try read(fixture("tiny.model.h5")).kerasModel)
    #expect(plain.pixelLayers.isEmpty && plain.inputExtent?.height == 4)
    #expect(try read(fixture("tiny.weights.h5")).kerasModel == nil)
  }

  @Test func whatIsKnownOfTheModelIsKept() throws {
    for name in ["tiny.keras", "tiny.model.h5"] {
      #expect(try read(fixture(name)).metadata["keras.model"] == "tiny")
    }
    #expect(try read(fixture("tiny.model.h5")).metadata["keras.version"] != nil)
    #expect(try read(fixture("tiny.weights.h5")).metadata.isEmpty)
  }

  @Test func anArchiveIsReadInTheOrderOfItsModel() throws {
    let names = try read(fixture("tiny.keras")).names.filter { !$0.contains("seed_generator") }
    #expect(names == KerasTests.weights.map(\.name))
  }

  @Test func permutedViewsTurnKernelsIntoOurOrder() throws {
    let kernel = try #require(try read(fixture("tiny.keras"))["block1_conv1/kernel"])
    let turned = kernel.permuted([3, 2, 0, 1])
    let (stored, values) = (try kernel.floats(), try turned.floats())
    #expect(values.shape == [4, 3, 3, 3])
    for (output, input, row, column) in [(0, 0, 0, 0), (3, 2, 1, 0), (1, 0, 2, 2), (2, 1, 0, 1)] {
      #expect(
        values[((output * 3 + input) * 3 + row) * 3 + column]
          == stored[((row * 3 + column) * 3 + input) * 4 + output])
    }
    #expect(try turned.permuted([2, 3, 1, 0]).floats() == stored)
    #expect(try turned.reshaped([12, 9]).floats().elements == values.elements)
  }
}

/// HDF5 as h5py writes it with its various options.
struct HDF5Tests {
  @Test func chunksAreUnpacked() throws {
    let checkpoint = try read(fixture("packed.h5"))
    let expected: [(String, Shape)] = [
      ("gzip", [10, 7]), ("shuffle", [5, 6]), ("chunks", [9]), ("half", [3, 2]),
    ]
    #expect(Set(checkpoint.names) == Set(expected.map(\.0)))
    for (number, (name, shape)) in expected.enumerated() {
      let values = formula(number, shape.count).map { $0 / 4 }
      #expect(try checkpoint[name]?.floats() == Tensor(values, shape: shape), "\(name)")
    }
    #expect(checkpoint["half"]?.elementType == .float16)
    // Turning a tensor that has to be unpacked first.
    let turned = try #require(checkpoint["gzip"]).permuted([1, 0]).floats()
    #expect(turned[1] == formula(0, 70)[7] / 4 && turned[10] == formula(0, 70)[1] / 4)
  }

  @Test func theNewestLayoutIsRead() throws {
    let checkpoint = try read(fixture("latest.h5"))
    #expect(
      try checkpoint["layer/kernel"]?.floats()
        == Tensor(formula(0, 6).map { $0 / 4 }, shape: [2, 3]))
  }

  @Test func whatReachesOutOfTheFileIsRefused() throws {
    expectRefused(try fixture("soft.h5"), "'/b': a soft or external link", .refused)
    expectRefused(try fixture("elsewhere.h5"), "soft or external link", .refused)
    expectRefused(try fixture("outside.h5"), "its data is in another file", .refused)
    expectRefused(try fixture("virtual.h5"), "virtual data", .refused)
  }

  @Test func bigEndianNumbersAreRefused() throws {
    expectRefused(try fixture("types.h5"), "big-endian", .refused)
  }

  private func number(_ value: UInt64) -> [UInt8] { littleEndian(value) }

  /// The first place of `pattern` in a fixture, replaced by as many bytes.
  private func patched(
    _ name: String, _ pattern: [UInt8], _ replacement: [UInt8]
  ) throws -> [UInt8] {
    var bytes = try fixture(name)
    let place = try #require(
      bytes.indices.first { bytes[$0...].starts(with: pattern) }, "no such bytes")
    bytes.replaceSubrange(place..<(place + pattern.count), with: replacement)
    return bytes
  }

  @Test func hugeShapesAreRefusedBeforeMemoryIsTaken() throws {
    let extents = number(3) + number(3) + number(3) + number(4)
    let huge = number(1 << 20) + number(1 << 20) + number(3) + number(4)
    expectRefused(try patched("tiny.keras1.h5", extents, huge), "bytes of data", .malformed)
    let overflow = [UInt8](repeating: 0x7F, count: 32)
    expectRefused(try patched("tiny.keras1.h5", extents, overflow), "impossible", .tooLarge)
    let chunked = number(10) + number(7)
    expectRefused(
      try patched("packed.h5", chunked, number(1 << 32) + number(7)), "would become more", .tooLarge
    )
    expectRefused(
      try patched("packed.h5", chunked, number(1 << 20) + number(7)), "chunks", .malformed)
  }

  @Test func groupsThatContainThemselvesAreRefused() throws {
    var bytes = try fixture("tiny.keras1.h5")
    let root = Array(bytes[64..<72])
    let table = try #require(bytes.indices.first { bytes[$0...].starts(with: Array("SNOD".utf8)) })
    bytes.replaceSubrange((table + 16)..<(table + 24), with: root)
    expectRefused(bytes, "is used twice", .malformed)
  }

  @Test func overlappingAndOutlyingDataIsRefused() throws {
    // The layouts of two arrays of four floats: version 3, contiguous, address, 16 bytes.
    let bytes = try fixture("tiny.keras1.h5")
    let layouts = bytes.indices.dropLast(18).filter {
      bytes[$0] == 3 && bytes[$0 + 1] == 1 && Array(bytes[($0 + 10)..<($0 + 18)]) == number(16)
    }
    let (first, second) = (try #require(layouts.first), try #require(layouts.last))
    var overlapping = bytes
    overlapping.replaceSubrange(
      (first + 2)..<(first + 10), with: bytes[(second + 2)..<(second + 10)])
    expectRefused(overlapping, "two data sets overlap", .malformed)
    var outlying = bytes
    outlying.replaceSubrange((first + 2)..<(first + 10), with: number(UInt64(bytes.count - 8)))
    expectRefused(outlying, "the file has", .truncated)
    outlying.replaceSubrange((first + 2)..<(first + 10), with: number(1 << 62))
    expectRefused(outlying, "outside the file", .malformed)
  }

  @Test(arguments: ["tiny.keras1.h5", "packed.h5", "latest.h5", "tiny.keras"])
  func damageIsAnErrorAndNeverACrash(_ name: String) throws {
    let whole = try fixture(name)
    for length in stride(from: 0, to: whole.count, by: 211) {
      #expect(throws: CheckpointError.self, "\(length) bytes") {
        try readAll(Array(whole[..<length]))
      }
    }
    var bytes = whole
    for index in stride(from: 0, to: bytes.count, by: 17) {
      for value in [bytes[index] ^ 1, 0xFF, bytes[index] ^ 0x80] {
        let old = bytes[index]
        bytes[index] = value
        _ = try? readAll(bytes)
        bytes[index] = old
      }
    }
  }
}
