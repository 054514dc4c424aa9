// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints
import ThawTensors
import ThawTestSupport

/// Arrays written by the real NumPy, and headers that lie.
struct NumPyTests {
  @Test(arguments: ["arrays.npz", "packed.npz"])
  func archivesGiveTheirArrays(_ name: String) throws {
    let checkpoint = try read(fixture(name))
    #expect(checkpoint.format == .numPy && checkpoint.count == 8)
    func quarter(_ number: Int, _ shape: Shape) -> Tensor<Float> {
      Tensor(formula(number, shape.count).map { $0 / 4 }, shape: shape)
    }
    for (number, name) in ["float32", "float64", "float16"].enumerated() {
      #expect(try checkpoint[name]?.floats() == quarter(number, [2, 3]), "\(name)")
    }
    #expect(try checkpoint["fortran"]?.floats() == quarter(3, [2, 3, 4]))
    #expect(try checkpoint["layer.weight"]?.floats() == quarter(4, [3]))
    #expect(try checkpoint["int64"]?.floats().elements == [0, 1, 2, 3, 4, 5])
    #expect(try checkpoint["bool"]?.floats().elements == [1, 0])
    #expect(try checkpoint["scalar"]?.floats() == Tensor([2.5], shape: []))
  }

  @Test func aCompressedArrayCanBeTurnedAndReshapedAndTurnedAgain() throws {
    for name in ["arrays.npz", "packed.npz"] {
      let checkpoint = try read(fixture(name))
      // Stored in column-major order, so that a reshape follows a permutation.
      let array = try #require(checkpoint["fortran"])
      let values = formula(3, 24).map { $0 / 4 }
      let rows = array.reshaped([6, 4])
      #expect(try rows.floats() == Tensor(values, shape: [6, 4]))
      let turned = try rows.permuted([1, 0]).floats()
      #expect(turned.shape == [4, 6])
      for row in 0..<6 {
        for column in 0..<4 { #expect(turned[column * 6 + row] == values[row * 4 + column]) }
      }
    }
  }

  @Test func oneArrayIsReadToo() throws {
    let checkpoint = try read(fixture("fortran.npy"))
    #expect(checkpoint.names == ["array"])
    let values = formula(3, 24).map { $0 / 4 }
    #expect(try checkpoint["array"]?.floats() == Tensor(values, shape: [2, 3, 4]))
  }

  @Test func objectsAndOtherByteOrdersAreRefused() throws {
    expectRefused(try fixture("objects.npy"), "pickled Python objects", .refused)
    expectRefused(try fixture("bigendian.npy"), "big-endian", .refused)
  }

  /// An array of version 1 with any header.
  private func array(_ header: String, _ data: [UInt8] = []) -> [UInt8] {
    [0x93] + Array("NUMPY".utf8) + [1, 0] + littleEndian(UInt16(header.utf8.count))
      + Array(header.utf8) + data
  }

  @Test func headersAreChecked() throws {
    let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n"
    #expect(try readAll(array(good, [UInt8](repeating: 0, count: 8))) == 1)
    expectRefused(array(good, [UInt8](repeating: 0, count: 7)), "has 7 bytes of elements")
    expectRefused(array(good, [UInt8](repeating: 0, count: 9)), "has 9 bytes of elements")
    let huge = good.replacing("(2,)", with: "(4611686018427387904, 4)")
    expectRefused(array(huge), "is impossible", .malformed)
    let cases = [
      "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} + exit()",
      "{'descr': __import__('os'), 'fortran_order': False, 'shape': (2,)}",
      "{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", "{", "",
    ]
    for text in cases { expectRefused(array(text), "is not understood", .malformed) }
    expectRefused(array("{'descr': '<f4', 'shape': (2,)}"), "is not complete")
    let nine = good.replacing("(2,)", with: "(1,1,1,1,1,1,1,1,1,)")
    expectRefused(array(nine), "is impossible")
    expectRefused(
      array(good.replacing("'<f4'", with: "[('a', '<f4')]")), "is not understood", .malformed)
  }

  @Test func archivesThatWouldBecomeHugeAreRefused() {
    var zip = ZIPBytes()
    zip.add("a.npy", [UInt8](repeating: 0, count: 1 << 20))
    zip.entries[0].method = 8
    zip.entries[0].plainSize = 500 << 20
    expectRefused(zip.bytes, "would become more than", .tooLarge)
    zip.entries[0].plainSize = 2 << 30
    expectRefused(zip.bytes, "can hold", .malformed)
    zip.entries[0].plainSize = 100
    expectRefused(zip.bytes, "compressed data", .malformed)
  }

  @Test func noDamageCrashes() throws {
    for name in ["arrays.npz", "packed.npz", "fortran.npy"] {
      var bytes = try fixture(name)
      for length in bytes.indices {
        #expect(throws: CheckpointError.self) { try readAll(Array(bytes[..<length])) }
      }
      for index in bytes.indices {
        bytes[index] ^= 0x11
        _ = try? readAll(bytes)
        bytes[index] ^= 0x11
      }
    }
  }
}
