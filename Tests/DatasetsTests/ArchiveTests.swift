// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawDatasets
import ThawFiles
import ThawTestSupport

/// Photos in zip and tar files, read in place.
@Suite struct ArchiveTests {
  /// Made by `Tools/make_archive_fixtures.py`, all with the same contents.
  static let fixtures = [
    "python.zip", "info-zip.zip", "streamed.zip", "ustar.tar", "gnu.tar", "pax.tar",
    "gnu-tar.tar.gz",
  ]

  private func fixture(_ name: String) throws -> FilePath {
    let folder = try #require(Bundle.module.resourceURL).appending(path: "Fixtures/archives")
    return FilePath(folder.appending(path: name).path)
  }

  private func scan(_ root: FilePath) throws -> FolderScan { try FolderScanner.scan(root) }

  private func verified(_ scan: FolderScan) throws -> DatasetVerification {
    try DatasetVerification.run(scan, with: FakeVerifier(), options: .init(threads: 2))
  }

  /// What makes a difference to training: everything but where the photos lie.
  private func facts(_ manifest: Manifest) -> [String] {
    manifest.records.map { "\($0.path.lastComponent) \($0.className) \($0.split) \($0.sha256)" }
      .sorted()
  }

  @Test(arguments: fixtures)
  func anArchiveIsTheFolderThatItWasMadeOf(_ name: String) throws {
    let folder = try PhotoFolder()
    let deep =
      Array(repeating: "deep", count: 12).joined(separator: " ") + "/"
      + Array(repeating: "er", count: 20).joined(separator: " ")
    for name in ["a", "b"] {
      for number in 0..<3 {
        try folder.addPhoto("\(name)/\(number).pnm", payload: "\(name)/\(number)")
      }
      try folder.addPhoto("\(name)/\(deep)/ü.pnm", payload: "\(name) deep")
    }
    let scan = try scan(fixture(name))
    #expect(scan.classes == ["a", "b"] && scan.files.count == 8 && scan.bad.isEmpty)
    #expect(scan.notes.contains { $0.kind == .otherFile && $0.count == 1 })
    #expect(scan.files.allSatisfy { $0.status.modified == 1_714_979_106_000_000_000 })
    #expect(scan.files.contains { $0.path.description.hasSuffix("\(deep)/ü.pnm") })
    let manifest = try ManifestBuilder().build(verified(scan))
    #expect(facts(manifest) == facts(try folder.manifest()))
    // Without opening a photo again.
    #expect(manifest.changedFiles().isEmpty)
    let items = manifest.records.map {
      PrefetchingLoader.Item($0, root: manifest.root.filePath, verifyingContents: true)
    }
    let reader = PhotoReader()
    for item in items { #expect(try reader.read(item).count == item.size) }
  }

  @Test func linksInArchivesAreCountedAndNotFollowed() throws {
    for name in ["info-zip.zip", "gnu.tar", "gnu-tar.tar.gz"] {
      let notes = try scan(fixture(name)).notes
      #expect(notes.contains { $0.kind == .notRegular && $0.count == 1 }, "\(name): \(notes)")
    }
  }

  private func refusal(_ bytes: [UInt8], _ name: String = "photos.zip") throws -> String {
    let folder = try TemporaryDirectory()
    let file = folder.path.appending(name)
    try AtomicFile.write(file, bytes: bytes)
    let error = #expect(throws: DatasetError.self) { try scan(file) }
    guard case .badArchive(file, _) = error else { return "another: \(String(describing: error))" }
    #expect(error?.description.contains("\n") == false, "one line")
    return error?.description ?? ""
  }

  private func zip(_ change: (inout ZIPBytes) -> Void) -> [UInt8] {
    var zip = ZIPBytes()
    zip.add("a/1.pnm", Array("FAKE 4 3 x".utf8))
    zip.add("b/1.pnm", Array("FAKE 4 3 y".utf8))
    change(&zip)
    return zip.bytes
  }

  @Test func namesOfOtherSystemsBecomeUnicode() throws {
    let bytes = zip { zip in
      // "Käfer" by Windows, and by an archiver that writes UTF-8 beside the old name.
      zip.add("", Array("FAKE 4 3 z".utf8))
      zip.entries[2].storedName = [0x4B, 0x84] + Array("fer/1.pnm".utf8)
      zip.add("", Array("FAKE 4 3 w".utf8))
      let old = [0xFF] + Array("/2.pnm".utf8)
      zip.entries[3].storedName = old
      let name = Array("łąka/2.pnm".utf8)
      let length = UInt16(5 + name.count)
      let head: [UInt8] = [0x75, 0x70, UInt8(length & 0xFF), UInt8(length >> 8), 1]
      let checksum = ZIPBytes.checksum(old)
      zip.entries[3].extra =
        head + (0..<4).map { UInt8(truncatingIfNeeded: checksum >> (8 * UInt32($0))) } + name
    }
    let folder = try TemporaryDirectory()
    let file = folder.path.appending("photos.zip")
    try AtomicFile.write(file, bytes: bytes)
    let scan = try scan(file)
    #expect(scan.classes == ["Käfer", "a", "b", "łąka"])
    #expect(scan.files.count == 4)
  }

  @Test func hostileZipsGiveOneClearLine() throws {
    for name in ["../x.pnm", "a/../../x.pnm", "/etc/passwd", "a\\x.pnm"] {
      #expect(try refusal(zip { $0.add(name, []) }).contains("refuses the zip entry name"))
    }
    #expect(try refusal(zip { $0.add("a/1.pnm", []) }).contains("occurs twice"))
    #expect(try refusal(zip { $0.add("a", []) }).contains("occurs twice"))
    #expect(try refusal(zip { $0.add("a/1.pnm/2.pnm", []) }).contains("occurs twice"))
    #expect(try refusal(zip { $0.entries[0].flags = 1 }).contains("encrypted"))
    #expect(try refusal(zip { $0.entries[0].method = 14 }).contains("method 14"))
    #expect(try refusal(zip { $0.entries[1].directoryOffset = 0 }).contains("contradicts"))
    #expect(try refusal(zip { $0.entries[0].directorySize = 5 }).contains("contradicts"))
    #expect(try refusal(zip { $0.largeCountOffset = 1 }).contains("contradicts itself"))
    #expect(try refusal(Array(zip { _ in }.dropLast(30))).contains("end of the zip archive"))
    // What deflate cannot hold, and what it can but a data set has no use for.
    let lies = zip {
      $0.entries[0].method = 8
      $0.entries[0].plainSize = 1 << 30
    }
    #expect(try refusal(lies).contains("more than 10 can hold"))
    let bomb = zip { zip in
      for number in 0..<12 {
        zip.add("a/\(number + 2).pnm", [UInt8](repeating: 0, count: 200_000))
        zip.entries[number + 2].method = 8
        zip.entries[number + 2].plainSize = 200_000_000
      }
    }
    #expect(try refusal(bomb).contains("would become more than"))
  }

  @Test func aZip64ArchiveAndOneWithACommentAreRead() throws {
    let folder = try TemporaryDirectory()
    for (name, bytes) in [
      ("large.zip", zip { $0.largeCountOffset = 0 }),
      ("comment.zip", zip { _ in }.dropLast(2) + [3, 0] + Array("abc".utf8)),
    ] {
      let file = folder.path.appending(name)
      try AtomicFile.write(file, bytes: Array(bytes))
      #expect(try scan(file).files.count == 2, "\(name)")
    }
  }

  @Test func aPhotoWithAWrongChecksumIsABadFile() throws {
    let folder = try TemporaryDirectory()
    let file = folder.path.appending("photos.zip")
    var bytes = zip { _ in }
    let place = try #require(bytes.firstRange(of: Array("3 x".utf8)))
    bytes[place.upperBound - 1] = 0x7A
    try AtomicFile.write(file, bytes: bytes)
    let bad = try verified(scan(file)).bad
    #expect(bad.map(\.path) == [BytePath("a/1.pnm")])
    #expect(bad.first?.reason.contains("checksum") == true, "\(bad)")
  }

  /// A header of an old tar archive, with the contents behind it.
  private func tar(
    _ name: String, _ contents: [UInt8] = Array("FAKE 4 3 z".utf8), type: Character = "0",
    size: Int? = nil
  ) -> [UInt8] {
    var block = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, _ at: Int) {
      block.replaceSubrange(at..<(at + text.utf8.count), with: text.utf8)
    }
    put(String(name.prefix(99)), 0)
    put("0000644\0", 100)
    let octal = String(size ?? contents.count, radix: 8)
    put(String(repeating: "0", count: 11 - octal.count) + octal + "\0", 124)
    put("00000000000\0", 136)
    put("        ", 148)
    block[156] = type.asciiValue ?? 0x30
    let sum = String(block.reduce(0) { $0 + Int($1) }, radix: 8)
    put(String(repeating: "0", count: 6 - sum.count) + sum + "\0 ", 148)
    return block + contents + [UInt8](repeating: 0, count: (512 - contents.count % 512) % 512)
  }

  @Test func hostileTarsGiveOneClearLine() throws {
    let good = tar("a/1.pnm") + tar("b/1.pnm")
    for name in ["../x.pnm", "a/../../x", "/etc/passwd"] {
      #expect(try refusal(good + tar(name), "x.tar").contains("leads out of the archive"))
    }
    #expect(try refusal(good + tar("a/1.pnm"), "x.tar").contains("occurs twice"))
    #expect(try refusal(good + tar("a"), "x.tar").contains("occurs twice"))
    #expect(try refusal(good + tar("x", type: "S"), "x.tar").contains("files with holes"))
    #expect(try refusal(good + tar("x", size: 1 << 30), "x.tar").contains("ends within an entry"))
    #expect(try refusal(Array(good.dropLast(510)), "x.tar").contains("ends within an entry"))
    #expect(
      try refusal(
        good + tar("x", type: "L", size: 2 << 20) + [UInt8](repeating: 0, count: 2 << 20), "x.tar"
      )
      .contains("has 2097152 bytes"))
    var damaged = good
    damaged[1030] ^= 1
    #expect(try refusal(damaged, "x.tar").contains("wrong checksum"))
    #expect(
      try refusal(good + tar("x", Array("99 path=b".utf8), type: "x"), "x.tar").contains("damaged"))
  }

  @Test func archivesOfOtherKindsNameTheCommandThatUnpacksThem() throws {
    #expect(try refusal(Array("BZh9".utf8), "x.tar.bz2").contains("Unpack it (tar xf"))
    #expect(try refusal([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], "x.tar.xz").contains("xz archives"))
    #expect(try refusal(Array("Rar!".utf8), "x.rar").contains("unrar x"))
    var gzip = try FileSystem.read(fixture("gnu-tar.tar.gz"))
    #expect(try refusal(Array(gzip.dropLast(20)), "x.tgz").contains("does not end"))
    gzip[gzip.count / 2] ^= 0xFF
    #expect(try refusal(gzip, "x.tgz").contains("damaged"))
    let error = #expect(throws: DatasetError.self) { try scan(fixture("../archives/python.zip/a")) }
    #expect(error != nil, "a folder in an archive is none of its own")
  }

  @Test func anArchiveThatIsReplacedIsOpenedAgain() throws {
    let folder = try TemporaryDirectory()
    let file = folder.path.appending("photos.zip")
    try AtomicFile.write(file, bytes: zip { _ in })
    let first = try ManifestBuilder.building { $0.fractions = SplitFractions(valid: 0) }
      .build(verified(scan(file)))
    try AtomicFile.write(
      file,
      bytes: zip {
        $0.entries[0].contents = Array("FAKE 4 3 w".utf8)
        $0.add("a/2.pnm", Array("FAKE 4 3 v".utf8))
      })
    #expect(try scan(file).files.count == 3)
    let reader = PhotoReader()
    let item = PrefetchingLoader.Item(first.records[0], root: file, verifyingContents: true)
    #expect(throws: DatasetError.contentsChanged(item.path)) { _ = try reader.read(item) }
  }
}

extension ManifestBuilder {
  fileprivate static func building(_ change: (inout ManifestBuilder) -> Void) -> ManifestBuilder {
    var builder = ManifestBuilder()
    change(&builder)
    return builder
  }
}
