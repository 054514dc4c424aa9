// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints
import ThawTestSupport

/// Zip archives that two programs could read in two ways.
struct ZIPTests {
  private let object = PickleBytes.stateDict(count: 1, sizes: [1], strides: [1])
  private var zip: ZIPBytes { ZIPBytes.checkpoint(object, data: floatBytes([1])) }

  /// The archive after `change`.
  private func changed(_ change: (inout ZIPBytes) -> Void) -> [UInt8] {
    var zip = zip
    change(&zip)
    return zip.bytes
  }

  @Test func aPlainArchiveIsRead() throws {
    #expect(try read(zip.bytes)["weight"]?.floats().elements == [1])
    #expect(try read(changed { $0.largeCountOffset = 0 }).format == .torchZip)
  }

  @Test func namesMustBeUniqueAndInside() {
    expectRefused(changed { $0.add("net/data/0", []) }, "'net/data/0' occurs twice", .malformed)
    for name in ["../x", "net/../../x", "/etc/passwd", "net\\x", "net/\0"] {
      expectRefused(changed { $0.add(name, []) }, "refuses the zip entry name", .refused)
    }
  }

  @Test func headersMustAgree() {
    expectRefused(changed { $0.entries[2].localName = "net/data/1" }, "contradicts the directory")
    expectRefused(changed { $0.entries[2].directoryChecksum = 1 }, "contradicts the directory")
    expectRefused(changed { $0.entries[2].directorySize = 5 }, "contradicts the directory")
    expectRefused(changed { $0.entries[2].directoryOffset = 0 }, "contradicts the directory")
    expectRefused(changed { $0.entries[2].directoryOffset = 1 << 30 }, "more bytes are needed")
    expectRefused(changed { $0.entries[2].directorySize = 0xFFFF_FFFF }, "zip64 sizes", .malformed)
  }

  @Test func compressedAndEncryptedEntriesAreRefused() {
    expectRefused(changed { $0.entries[0].method = 8 }, "compressed (method 8)", .refused)
    expectRefused(changed { $0.entries[0].flags = 1 }, "encrypted", .refused)
    expectRefused(changed { $0.entries[0].flags = 0x40 }, "encrypted", .refused)
    expectRefused(changed { $0.entries[0].flags = 0x2000 }, "encrypted", .refused)
  }

  @Test func aPromisedDataDescriptorMustFollow() {
    expectRefused(changed { $0.entries[0].flags = 8 }, "data descriptor", .malformed)
  }

  @Test func theEndMustFitTheDirectory() {
    expectRefused(changed { $0.countOffset = 1 }, "more bytes are needed", .truncated)
    expectRefused(changed { $0.countOffset = -1 }, "bytes too many", .malformed)
    expectRefused(changed { $0.largeCountOffset = 1 }, "contradicts itself", .malformed)
    expectRefused(changed { $0.prefix = [1, 2, 3] }, "length would be")
    let junk = Array("PK\u{3}\u{4}junk".utf8)
    expectRefused(changed { $0.prefix = junk }, "something before it", .malformed)
    expectRefused(zip.bytes + [0x50, 0x4B], "the end of the zip archive is missing", .truncated)
  }

  @Test func overlappingEntriesAreRefused() {
    // The second entry is inside the contents of the first, where a whole archive lies.
    let inner = ZIPBytes.checkpoint(object, data: floatBytes([2]))
    let bytes = changed { zip in
      zip.entries = [.init(name: "net/blob", contents: inner.bytes)] + inner.entries
      zip.entries[1].directoryOffset = UInt32(30 + "net/blob".utf8.count)
    }
    expectRefused(bytes, "'net/blob' and 'net/data.pkl' overlap", .malformed)
  }

  @Test func otherArchivesAreNamed() {
    var other = ZIPBytes()
    other.add("a.txt", [1])
    expectRefused(other.bytes, "without data.pkl, model.weights.h5 or .npy", .wrongFormat)
    expectRefused(ZIPBytes().bytes, "an empty zip archive", .wrongFormat)
    expectRefused(changed { $0.add("other/data.pkl", []) }, "2 data.pkl", .wrongFormat)
    expectRefused(changed { $0.add("net/code/a.py", []) }, "TorchScript", .refused)
  }
}
