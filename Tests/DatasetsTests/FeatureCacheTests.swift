// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawDatasets
import ThawFiles
import ThawTestSupport

@Suite struct FeatureCacheTests {
  private let key = String(repeating: "ab", count: 32)

  private func feature(_ number: Int, view: String = "center") -> FeatureKey {
    FeatureKey(content: SHA256.hexadecimal(of: Array("\(number)".utf8)), view: view)
  }

  /// Values that tell their row, and exact in 16 bits.
  private func values(_ number: Int, length: Int = 5) -> [Float] {
    (0..<length).map { Float(number) + Float($0) * 0.125 }
  }

  private func open(
    _ directory: TemporaryDirectory, length: Int = 5, precision: FeaturePrecision = .float32
  ) throws -> FeatureCache {
    try FeatureCache(
      directory: directory.path, key: key, rowLength: length, precision: precision)
  }

  private func fill(_ cache: FeatureCache, _ numbers: Range<Int>) throws {
    let keys = numbers.map { feature($0) }
    try cache.append(keys, keys.indices.flatMap { values(numbers.lowerBound + $0) })
  }

  private func row(_ matrix: FeatureMatrix, _ index: Int) -> [Float] {
    matrix.withRow(index) { Array($0) }
  }

  /// Rows of AVIF photos that an earlier version computed, of other pixels, are not taken for today's.
  @Test func rowsOfFormerPixelsAreNotUsed() throws {
    func record(_ format: String) throws -> Manifest.Record {
      let text = """
        {"path":"a/1","class":"a","split":"train","sha256":"\(key)","size":1,"modified":2,"width":3,"height":4,
         "format":"\(format)","warnings":[]}
        """
      return try JSONDecoder().decode(Manifest.Record.self, from: Data(text.utf8))
    }
    let former = FeatureKey(content: key, view: "center")
    #expect(try FeatureKey(record("JPEG"), view: "center") == former)
    #expect(try FeatureKey(record("AVIF"), view: "center") != former)
  }

  @Test(arguments: [FeaturePrecision.float32, .float16])
  func rowsComeBackInTheOrderAskedFor(precision: FeaturePrecision) throws {
    let directory = try TemporaryDirectory()
    do { try fill(open(directory, precision: precision), 0..<10) }
    let cache = try open(directory, precision: precision)
    #expect(cache.count == 10 && cache.recovery == .init())
    let matrix = try cache.matrix(for: [7, 0, 7].map { feature($0) })
    #expect(matrix.count == 3 && matrix.rowLength == 5)
    #expect((0..<3).map { row(matrix, $0) } == [values(7), values(0), values(7)])
    var copied = [Float](repeating: 0, count: 10)
    copied.withUnsafeMutableBufferPointer { matrix.copy([1, 2], into: $0) }
    #expect(copied == values(0) + values(7))
  }

  @Test func onlyMissingRowsAreAskedForAndStoredOnce() throws {
    let directory = try TemporaryDirectory()
    let cache = try open(directory)
    try fill(cache, 0..<4)
    let wanted = [3, 4, 1, 4, 5].map { feature($0) } + [feature(1, view: "flipped")]
    #expect(cache.missing(from: wanted) == [feature(4), feature(5), feature(1, view: "flipped")])
    try cache.append([feature(4), feature(2), feature(4)], values(4) + values(99) + values(98))
    #expect(cache.count == 5)
    let matrix = try cache.matrix(for: [feature(4), feature(2)])
    #expect(row(matrix, 0) == values(4) && row(matrix, 1) == values(2))
    #expect(try FileStatus(of: directory.path.appending(key).appending("rows")).size == 5 * 20)
  }

  @Test func aMatrixOutlivesTheCacheAndSeesNoLaterRows() throws {
    let directory = try TemporaryDirectory()
    let matrix: FeatureMatrix
    do {
      let cache = try open(directory)
      try fill(cache, 0..<3)
      matrix = try cache.matrix(for: [feature(2)])
      try fill(cache, 3..<900)
    }
    #expect(row(matrix, 0) == values(2))
  }

  /// Whatever is left on disk, opening gives rows that are right, and filling the gaps gives all.
  private func expectRecovery(
    _ directory: TemporaryDirectory, count: Int, atLeast: Int, _ what: String
  ) throws {
    let all = (0..<count).map { feature($0) }
    let survivors: Int
    do {
      let cache = try open(directory)
      survivors = cache.count
      let present = (0..<count).filter { cache.contains(feature($0)) }
      #expect(present.count == survivors && survivors >= atLeast, "\(what)")
      let matrix = try cache.matrix(for: present.map { feature($0) })
      for (index, number) in present.enumerated() {
        #expect(row(matrix, index) == values(number), "\(what)")
      }
      for number in 0..<count where !present.contains(number) {
        try fill(cache, number..<number + 1)
      }
    }
    let again = try open(directory)
    #expect(again.recovery == .init(), "\(what)")
    let matrix = try again.matrix(for: all)
    for number in 0..<count { #expect(row(matrix, number) == values(number), "\(what)") }
  }

  @Test func aCacheCutAnywhereIsContinued() throws {
    let directory = try TemporaryDirectory()
    do { try fill(open(directory), 0..<6) }
    let place = directory.path.appending(key)
    let whole = ["rows", "index"].map { place.appending($0) }
    let bytes = try whole.map { try FileSystem.read($0) }
    for (file, path) in whole.enumerated() {
      for length in stride(from: 0, through: bytes[file].count, by: 7) {
        try writeFile(whole[1 - file], bytes[1 - file])
        try writeFile(path, Array(bytes[file].prefix(length)))
        let left = file == 0 ? length / 20 : max(0, length - 128) / 72
        try expectRecovery(directory, count: 6, atLeast: left, "\(path) cut at \(length)")
      }
      try writeFile(path, bytes[file])
    }
  }

  @Test func aFlippedBitCostsOneRowAndIsCounted() throws {
    let directory = try TemporaryDirectory()
    do { try fill(open(directory), 0..<3) }
    let place = directory.path.appending(key)
    let whole = ["rows", "index"].map { place.appending($0) }
    let bytes = try whole.map { try FileSystem.read($0) }
    for (file, path) in whole.enumerated() {
      for position in stride(from: 0, to: bytes[file].count, by: 7) {
        for (path, bytes) in zip(whole, bytes) { try writeFile(path, bytes) }
        var damaged = bytes[file]
        damaged[position] ^= 1 << UInt8(position % 8)
        try writeFile(path, damaged)
        let isHeader = file == 1 && position < 128
        #expect(
          try open(directory).recovery
            == (isHeader
              ? .init(isReset: true) : .init(droppedRows: 1)))
        try expectRecovery(directory, count: 3, atLeast: isHeader ? 0 : 2, "\(path) at \(position)")
      }
    }
  }

  @Test func rowsThatChangedPlacesAreNotBelieved() throws {
    let directory = try TemporaryDirectory()
    do { try fill(open(directory), 0..<2) }
    let path = directory.path.appending(key).appending("rows")
    let bytes = try FileSystem.read(path)
    try writeFile(path, Array(bytes[20...] + bytes[..<20]))
    #expect(try open(directory).count == 0)
  }

  @Test func anotherFormatStartsAfresh() throws {
    let directory = try TemporaryDirectory()
    do { try fill(open(directory), 0..<3) }
    do {
      let cache = try open(directory, length: 6)
      #expect(cache.count == 0 && cache.recovery.isReset)
    }
    #expect(try open(directory, length: 6, precision: .float16).recovery.isReset)
  }

  @Test func keysNeverSeeEachOther() throws {
    let directory = try TemporaryDirectory()
    try fill(open(directory), 0..<3)
    let other = String(repeating: "cd", count: 32)
    let cache = try FeatureCache(directory: directory.path, key: other, rowLength: 5)
    #expect(cache.missing(from: [feature(0)]) == [feature(0)])
  }

  @Test func aCacheIsOpenOnce() throws {
    let directory = try TemporaryDirectory()
    let cache = try open(directory)
    let error = #expect(throws: FileError.self) { try open(directory) }
    guard case .inUse = error?.reason else {
      Issue.record("expected 'in use', got \(String(describing: error))")
      return
    }
    #expect(cache.count == 0)
  }

  @Test func whatAKilledProcessLeftOfTheIndexIsRemoved() throws {
    let directory = try TemporaryDirectory()
    try fill(try open(directory), 0..<3)
    let leftover = directory.path.appending(key).appending("index.tmp.4711.9f3a")
    try AtomicFile.write(leftover, text: "x")
    #expect(try open(directory).count == 3)
    #expect(!FileSystem.exists(leftover))
  }

  @Test func numbersThatAreNotFiniteAreRefused() throws {
    let directory = try TemporaryDirectory()
    let cache = try open(directory)
    var row = values(1)
    row[3] = .nan
    #expect(throws: DatasetError.nonFiniteFeatures(content: feature(1).content, view: "center")) {
      try cache.append([feature(0), feature(1)], values(0) + row)
    }
    #expect(cache.count == 0)
    let small = try TemporaryDirectory()
    #expect(throws: DatasetError.self) {
      try open(small, precision: .float16).append([feature(0)], [1, 2, 70000, 3, 4])
    }
  }

  @Test func cachesAreListedAndPrunedOnlyWhenAsked() throws {
    let directory = try TemporaryDirectory()
    let keys = ["aa", "bb", "cc"].map { String(repeating: $0, count: 32) }
    for key in keys {
      let cache = try FeatureCache(directory: directory.path, key: key, rowLength: 5)
      try fill(cache, 0..<2)
    }
    try AtomicFile.write(directory.path.appending("notes.txt"), text: "mine")
    let summaries = try FeatureCache.list(directory.path)
    #expect(summaries.map(\.key) == keys)
    #expect(summaries.allSatisfy { $0.size == 2 * 20 + 128 + 2 * 72 })
    let busy = try FeatureCache(directory: directory.path, key: keys[2], rowLength: 5)
    let gone = try FeatureCache.prune(directory.path, keeping: [keys[1]])
    #expect(gone.map(\.key) == [keys[0]] && busy.count == 2)
    #expect(
      try FileSystem.list(directory.path).map(\.string) == [keys[1], keys[2], "notes.txt"])
  }
}
