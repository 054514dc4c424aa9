// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints
import ThawTensors
import ThawTestSupport

/// Whatever is cut off or flipped, the outcome is a checkpoint or one typed error, never a crash.
struct DamageTests {
  static let files = [
    "run.legacy.pth", "views.legacy.pth", "parameters.zip.pth", "views.zip.pth",
    "types.safetensors", "module.zip.pth", "arrays.pkl",
  ]

  @Test(arguments: files)
  func everyTruncationIsRefused(_ name: String) throws {
    let whole = try fixture(name)
    #expect(try readAll(whole) > 0)
    for length in whole.indices {
      #expect(throws: CheckpointError.self, "\(length) bytes") {
        try readAll(Array(whole[..<length]))
      }
    }
  }

  @Test(arguments: files)
  func noFlippedBitCrashes(_ name: String) throws {
    var bytes = try fixture(name)
    var refused = 0
    for index in bytes.indices {
      for bit in [0, 3, 5, 7] {
        bytes[index] ^= 1 << bit
        do { _ = try readAll(bytes) } catch { refused += 1 }
        bytes[index] ^= 1 << bit
      }
    }
    #expect(refused > bytes.count / 4)
  }

  @Test(arguments: ["strangers.legacy.pth", "strangers.protocol4.pth", "arrays.pkl"])
  func noChangedByteCrashes(_ name: String) throws {
    let whole = try fixture(name)
    var random = RandomStream(seed: 1, purpose: .resampling)
    // The pickle lies at the start of the older layout and of the archive.
    let reach = min(whole.count, 6000)
    for _ in 0..<700 {
      var bytes = whole
      for _ in 0...random.index(below: 3) {
        bytes[random.index(below: reach)] = UInt8(random.index(below: 256))
      }
      _ = try? readAll(bytes)
    }
    #expect(try readAll(whole) == 6)
  }

  @Test func everyFlippedBitOfAZipStorageIsNoticed() throws {
    let data = floatBytes([1, 2, 3])
    let object = PickleBytes.stateDict(count: 3, sizes: [3], strides: [1])
    let good = ZIPBytes.checkpoint(object, data: data).bytes
    #expect(try readAll(good) == 1)
    let start =
      try #require(
        good.indices.first { good[$0...].starts(with: Array("net/data/0".utf8) + data) }) + 10
    for bit in 0..<8 * data.count {
      var bytes = good
      bytes[start + bit / 8] ^= 1 << (bit % 8)
      expectRefused(bytes, "the checksum of zip entry 'net/data/0' is wrong", .malformed)
    }
  }

  @Test func bytesBehindTheEndAreRefused() throws {
    for name in DamageTests.files {
      #expect(throws: CheckpointError.self) { try readAll(fixture(name) + [0]) }
    }
  }
}
