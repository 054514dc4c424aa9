// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawDatasets
import ThawFiles
import ThawImages
import ThawTestSupport

/// Decoded photos are kept within their budget, and never taken for others.
@Suite struct PixelStoreTests {
  private static let size = PixelSize(width: 20, height: 10)
  private static let bytes = 600

  private func content(_ number: Int) -> String {
    SHA256.hexadecimal(of: Array("photo \(number)".utf8))
  }

  private func photo(_ number: Int) -> DecodedImage {
    let pixels = (0..<Self.bytes).map { UInt8(($0 * 7 + number * 13) % 251) }
    return DecodedImage(
      kept: RGBImage(size: Self.size, pixels: pixels), as: number % 2 == 0 ? .shrunk : .decoded,
      original: PixelSize(width: 81, height: 43), scaleDenominator: number % 2 == 0 ? 1 : 4)
  }

  /// Asks for photos and says how many had to be made.
  private func ask(_ store: PixelStore, _ numbers: Range<Int>) throws -> Int {
    let before = store.counts.made
    for number in numbers {
      let image = try store.image(of: content(number)) { photo(number) }
      #expect(image == photo(number), "photo \(number)")
    }
    return store.counts.made - before
  }

  private func store(_ file: FilePath?, memory: Int, disk: Int = 1 << 20, key: String = "k")
    -> PixelStore
  {
    PixelStore(key: key, budget: PixelBudget(memory: memory, disk: disk), file: file)
  }

  @Test func memoryComesFirstThenTheFileThenMakingAnew() throws {
    let temporary = try TemporaryDirectory()
    // Three in memory, two in the file, the others nowhere.
    let kept = store(
      temporary.path.pushing("a/b/train"), memory: 3 * Self.bytes + 10, disk: 2 * 700 + 50)
    #expect(try ask(kept, 0..<8) == 8)
    #expect(kept.bytesInMemory == 3 * Self.bytes)
    #expect(try ask(kept, 0..<8) == 3)
    #expect(kept.counts == .init(made: 11, fromMemory: 3, fromFile: 2, damaged: 0))
    #expect(kept.takeNotes() == [])
  }

  @Test func withoutRoomNothingIsKept() throws {
    let none = store(nil, memory: 0)
    #expect(try ask(none, 0..<3) == 3 && ask(none, 0..<3) == 3)
    let temporary = try TemporaryDirectory()
    let noDisk = store(temporary.path.appending("f"), memory: 0, disk: 0)
    #expect(try ask(noDisk, 0..<3) == 3 && ask(noDisk, 0..<3) == 3)
    #expect(!FileSystem.exists(temporary.path.appending("f")))
  }

  @Test func roomThatIsGivenUpIsThere() throws {
    let budget = PixelBudget(memory: 2 * Self.bytes, disk: 0)
    do {
      let first = PixelStore(key: "a", budget: budget)
      #expect(try ask(first, 0..<2) == 2 && ask(first, 0..<2) == 0)
      let second = PixelStore(key: "b", budget: budget)
      #expect(try ask(second, 0..<2) == 2 && ask(second, 0..<2) == 2)
    }
    let third = PixelStore(key: "c", budget: budget)
    #expect(try ask(third, 0..<2) == 2 && ask(third, 0..<2) == 0)
  }

  @Test func aLaterProcessFindsTheFile() throws {
    let temporary = try TemporaryDirectory()
    let file = temporary.path.appending("train")
    do { #expect(try ask(store(file, memory: 0), 0..<5) == 5) }
    let later = store(file, memory: 0)
    #expect(try ask(later, 0..<6) == 1)
    #expect(later.counts.fromFile == 5 && later.takeNotes() == [])
    // One of other settings does not.
    let other = store(file, memory: 0, key: "other")
    #expect(try ask(other, 0..<5) == 5)
    #expect(other.takeNotes().count == 1)
  }

  /// Wherever a file ends, the whole photos before that are found and the others made anew.
  @Test func aFileThatWasCutLosesWhatWasCut() throws {
    let temporary = try TemporaryDirectory()
    let file = temporary.path.appending("train")
    do { #expect(try ask(store(file, memory: 0), 0..<3) == 3) }
    let whole = try FileSystem.read(file)
    let length = (whole.count - 40) / 3
    for end in stride(from: 0, through: whole.count, by: 37) {
      try AtomicFile.write(file, bytes: Array(whole[..<end]))
      let left = end < 40 ? 0 : (end - 40) / length
      let store = store(file, memory: 0)
      #expect(try ask(store, 0..<3) == 3 - left, "\(end) bytes")
      let isWhole = end == 0 || (end >= 40 && (end - 40) % length == 0)
      #expect(store.takeNotes().isEmpty == isWhole, "\(end) bytes")
      #expect(try ask(store, 0..<3) == 0)
    }
  }

  /// No byte of the file can change without being noticed.
  @Test func aDamagedFileGivesNoWrongPixel() throws {
    let temporary = try TemporaryDirectory()
    let file = temporary.path.appending("train")
    do { #expect(try ask(store(file, memory: 0), 0..<3) == 3) }
    let whole = try FileSystem.read(file)
    for place in stride(from: 0, to: whole.count, by: 11) {
      var bytes = whole
      bytes[place] ^= 0x10
      try AtomicFile.write(file, bytes: bytes)
      let store = store(file, memory: 0)
      // The pixels are compared in here.
      #expect(try (1...3).contains(ask(store, 0..<3)), "byte \(place)")
      #expect(store.takeNotes().count == 1, "byte \(place)")
      #expect(try ask(store, 0..<3) == 0)
    }
  }

  /// A disk that is full must not end a training; the directory that cannot be made stands in for it.
  @Test func whatCannotBeWrittenIsSaidOnceAndMadeAnew() throws {
    let temporary = try TemporaryDirectory()
    try AtomicFile.write(temporary.path.appending("file"), text: "no directory")
    let store = store(temporary.path.pushing("file/train"), memory: Self.bytes)
    #expect(try ask(store, 0..<3) == 3 && ask(store, 0..<3) == 2)
    #expect(store.takeNotes().count == 1)
  }

  @Test func manyThreadsGetTheirPhotos() throws {
    let temporary = try TemporaryDirectory()
    let kept = store(temporary.path.appending("train"), memory: 10 * Self.bytes)
    for _ in 0..<3 {
      try forEachIndex(below: 400, threads: 8) { index in
        let number = index % 40
        let image = try kept.image(of: content(number)) { photo(number) }
        guard image == photo(number) else { throw Wrong(number: number) }
      }
    }
    #expect(kept.counts.made >= 40 && kept.counts.fromFile > 0 && kept.counts.damaged == 0)
    let later = store(temporary.path.appending("train"), memory: 0)
    #expect(try ask(later, 0..<40) <= 10)
  }

  private struct Wrong: Error {
    let number: Int
  }

  @Test func whatMakingThrowsIsThrown() throws {
    let store = store(nil, memory: 1000)
    #expect(throws: Wrong.self) { try store.image(of: content(1)) { throw Wrong(number: 1) } }
    #expect(try ask(store, 1..<2) == 1)
  }
}
