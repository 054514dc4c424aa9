// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints
import ThawTensors
import ThawTestSupport

/// Tensors and storages of PyTorch files against their data.
struct TorchTensorTests {
  /// A legacy file with one tensor in a storage of six numbers 0...5.
  private func file(
    _ type: String = "FloatStorage", count: Int = 6, view: [Int]? = nil, offset: Int = 0,
    sizes: [Int], strides: [Int]
  ) -> [UInt8] {
    PickleBytes.legacyFile(
      PickleBytes.stateDict(
        type, count: count, view: view, offset: offset, sizes: sizes, strides: strides),
      storages: [("0", 6, floatBytes([0, 1, 2, 3, 4, 5]))])
  }

  @Test func stridesAndOffsetsSelectElements() throws {
    let cases: [([Int], [Int], Int, [Float])] = [
      ([2, 3], [3, 1], 0, [0, 1, 2, 3, 4, 5]), ([3, 2], [1, 3], 0, [0, 3, 1, 4, 2, 5]),
      ([2], [5], 0, [0, 5]), ([2, 2], [0, 1], 4, [4, 5, 4, 5]), ([], [], 5, [5]),
      ([1, 2], [99, 1], 4, [4, 5]), ([2, 1, 2], [2, 7, 1], 1, [1, 2, 3, 4]),
    ]
    for (sizes, strides, offset, expected) in cases {
      let tensor = try #require(
        try read(file(offset: offset, sizes: sizes, strides: strides))["weight"])
      #expect(try tensor.floats() == Tensor(expected, shape: Shape(sizes)))
    }
    let empty = try read(file(sizes: [0, 3], strides: [3, 1]))
    #expect(try empty["weight"]?.floats() == Tensor(zeros: [0, 3]))
  }

  @Test func tensorsThatLeaveTheirStorageAreRefused() {
    let cases: [([Int], [Int], Int)] = [
      ([7], [1], 0), ([6], [1], 1), ([2], [6], 0), ([2, 3], [3, 2], 0), ([1], [1], 6),
      ([2], [.max], 0), ([3], [.max / 2 + 1], 0), ([1], [1], .max), ([2], [1], .max),
    ]
    for (sizes, strides, offset) in cases {
      expectRefused(
        file(offset: offset, sizes: sizes, strides: strides), "leaves its storage", .malformed)
    }
    for (sizes, strides, offset) in [([2], [-1], 5), ([-1], [1], 0), ([2], [1], -1)] {
      expectRefused(file(offset: offset, sizes: sizes, strides: strides), "a tensor has sizes")
    }
    expectRefused(file(sizes: [.max, 2], strides: [0, 0]), "a tensor has sizes", .malformed)
    expectRefused(file(sizes: [.max / 4], strides: [0]), "a tensor has sizes", .malformed)
    expectRefused(file(sizes: [2], strides: [1, 1]), "1 sizes and 2 strides", .malformed)
    let nine = [Int](repeating: 1, count: 9)
    expectRefused(file(sizes: nine, strides: nine), "9 sizes", .malformed)
    expectRefused(file(view: [5, 2], sizes: [1], strides: [1]), "a view leaves storage")
    expectRefused(file(view: [-1, 2], sizes: [1], strides: [1]), "a view leaves storage")
  }

  @Test func anExpandedTensorCannotAskForALargeMemory() {
    expectRefused(
      file(sizes: [1 << 30, 1 << 20], strides: [0, 0]), "repeats what is stored", .tooLarge)
  }

  @Test func legacyStoragesMustBeAsAnnounced() {
    expectRefused(file(count: 5, sizes: [1], strides: [1]), "has 6 elements, 5 were announced")
    let object = PickleBytes.stateDict(count: 2, sizes: [2], strides: [1])
    let data = floatBytes([1, 2])
    expectRefused(PickleBytes.legacyFile(object), "the data of storage '0' is missing")
    expectRefused(
      PickleBytes.legacyFile(object, storages: [("1", 2, data)]), "does not fit the tensors")
    expectRefused(
      PickleBytes.legacyFile(object, storages: [("0", 2, data), ("0", 2, data)]),
      "does not fit the tensors")
    expectRefused(
      PickleBytes.legacyFile(object, storages: [("0", 2, data + [0])]), "1 bytes follow")
    expectRefused(
      PickleBytes.legacyFile(object, storages: [("0", 2, data.dropLast())]), "8 more bytes",
      .truncated)
    let huge = PickleBytes.stateDict(count: .max, sizes: [2], strides: [1])
    expectRefused(
      PickleBytes.legacyFile(huge, storages: [("0", .max, data)]), "more bytes", .truncated)
    expectRefused(
      PickleBytes.legacyFile(PickleBytes.stateDict(count: -1, sizes: [2], strides: [1])),
      "refuses a persistent object")
  }

  @Test func oneStorageHasOneDescription() {
    var pickle = PickleBytes()
    pickle.op("(")
    pickle.storage(key: "0", count: 2)
    pickle.storage("DoubleStorage", key: "0", count: 2)
    expectRefused(PickleBytes.legacyFile(pickle.finished), "described in two ways", .malformed)
  }

  @Test func otherMachinesAndVersionsAreRefused() {
    let object = PickleBytes.stateDict(count: 1, sizes: [1], strides: [1])
    let storages = [("0", 1, floatBytes([1]))]
    expectRefused(
      PickleBytes.legacyFile(object, storages: storages, littleEndianMachine: false),
      "refuses big-endian data", .refused)
    expectRefused(
      PickleBytes.legacyFile(object, storages: storages, version: 1002), "protocol version")
    let data = floatBytes([1])
    expectRefused(
      ZIPBytes.checkpoint(object, data: data, byteOrder: "big").bytes, "byte order 'big'", .refused)
    expectRefused(
      ZIPBytes.checkpoint(object, data: data, version: "11\n").bytes, "archive version", .refused)
  }

  @Test func zipStoragesMustHaveTheAnnouncedBytes() throws {
    let object = PickleBytes.stateDict(count: 3, sizes: [3], strides: [1])
    let good = ZIPBytes.checkpoint(object, data: floatBytes([1, 2, 3])).bytes
    #expect(try read(good)["weight"]?.floats().elements == [1, 2, 3])
    for count in [0, 2, 4] {
      let zip = ZIPBytes.checkpoint(object, data: floatBytes([Float](repeating: 1, count: count)))
      expectRefused(zip.bytes, "storage '0' has \(4 * count) bytes, 3 elements", .malformed)
    }
    let huge = PickleBytes.stateDict(count: 1 << 62, sizes: [3], strides: [1])
    expectRefused(ZIPBytes.checkpoint(huge, data: []).bytes, "storage '0' has 0 bytes")
    var other = PickleBytes()
    other.op("}")
    other.string("weight")
    other.tensor(key: "../data/0", count: 3, sizes: [3], strides: [1])
    other.op("s")
    expectRefused(
      ZIPBytes.checkpoint(other.finished, data: floatBytes([1, 2, 3])).bytes,
      "the data of storage '../data/0' is missing", .malformed)
  }

  @Test func namesThatUnicodeTakesForEqualAreRefused() {
    var pickle = PickleBytes()
    pickle.op("}")
    for name in ["\u{E9}", "e\u{301}"] {
      pickle.string(name)
      pickle.tensor(count: 1, sizes: [1], strides: [1])
      pickle.op("s")
    }
    expectRefused(
      PickleBytes.legacyFile(pickle.finished, storages: [("0", 1, floatBytes([1]))]),
      "differ only in how Unicode spells them", .malformed)
  }

  @Test func halfPrecisionIsExact() throws {
    // Every finite half is the sum of its bits' values, and infinities and NaN stay what they are.
    let bytes = (UInt16.min...UInt16.max).flatMap(littleEndian)
    let tensor = try StoredTensor("half", .float16, [65536], bytes: bytes).floats()
    let wrong = (0..<65536).filter { bits in
      let (isNegative, exponent, fraction) = (bits >> 15 == 1, (bits >> 10) & 31, bits & 1023)
      let value = tensor[bits]
      if exponent == 31 { return fraction == 0 ? !value.isInfinite : !value.isNaN }
      let scale = Float(sign: .plus, exponent: max(exponent, 1) - 25, significand: 1)
      let magnitude = Float(fraction + (exponent > 0 ? 1024 : 0)) * scale
      return value.magnitude != magnitude || (value.sign == .minus) != isNegative
    }
    #expect(wrong.isEmpty, "\(wrong.count) wrong, the first is \(wrong.first ?? 0)")
  }
}
