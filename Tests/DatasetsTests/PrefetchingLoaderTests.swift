// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import SystemPackage
import Testing
import ThawDatasets
import ThawFiles
import ThawTestSupport

@Suite struct PrefetchingLoaderTests {
  private struct Failure: Error, CustomStringConvertible { let description = "no frame header" }

  private func photos(_ count: Int) throws -> (PhotoFolder, [PrefetchingLoader.Item]) {
    let data = try PhotoFolder()
    let items = try (0..<count).map { number in
      let path = BytePath("\(number).jpg")
      try data.add(path, [UInt8](repeating: UInt8(number), count: 1 + number * 700))
      return PrefetchingLoader.Item(path: path.resolved(in: data.root), size: 1 + number * 700)
    }
    return (data, items)
  }

  /// The first byte, the length and the place in the list, after a pause that differs by photo.
  private static let prepare: PrefetchingLoader.Prepare = { bytes, item, _, target in
    usleep(UInt32(item * 7919 % 5 * 300))
    target[0] = Float(bytes[0])
    target[1] = Float(bytes.count)
    target[2] = Float(item)
  }

  private func all(_ loader: PrefetchingLoader) throws -> [(Range<Int>, [Float])] {
    var batches: [(Range<Int>, [Float])] = []
    while let batch = try loader.next({ ($0.items, Array($0.elements)) }) { batches.append(batch) }
    return batches
  }

  @Test(arguments: [1, 2, 5], [1, 3])
  func batchesComeInOrderWhateverTheThreads(threads: Int, depth: Int) throws {
    let (data, items) = try photos(23)
    defer { withExtendedLifetime(data) {} }
    var options = PrefetchingLoader.Options(batchSize: 5, threads: threads)
    options.depth = depth
    let loader = try PrefetchingLoader(
      items, elementCount: 3, options: options, prepare: Self.prepare)
    let batches = try all(loader)
    #expect(loader.batchCount == 5)
    #expect(batches.map(\.0) == [0..<5, 5..<10, 10..<15, 15..<20, 20..<23])
    let expected: [Float] = (0..<23).flatMap { number -> [Float] in
      let length = 1 + number * 700
      return [Float(number), Float(length), Float(number)]
    }
    #expect(batches.flatMap(\.1) == expected)
  }

  @Test func partsOfABatchAddUpToIt() throws {
    let (data, items) = try photos(11)
    defer { withExtendedLifetime(data) {} }
    var parts: [[(Range<Int>, [Float])]] = []
    for index in 0..<3 {
      var options = PrefetchingLoader.Options(batchSize: 4, threads: 2)
      options.part = .init(index, of: 3)
      parts.append(
        try all(PrefetchingLoader(items, elementCount: 3, options: options, prepare: Self.prepare)))
    }
    for number in 0..<3 {
      let places = parts.flatMap { Array($0[number].0) }
      #expect(places == Array(number * 4..<min(11, number * 4 + 4)))
      let written: [Float] = parts.flatMap { part in
        let elements = part[number].1
        return stride(from: 2, to: elements.count, by: 3).map { elements[$0] }
      }
      #expect(written == places.map { Float($0) })
    }
  }

  @Test func theConsumerIsNeverOutrunByMoreThanTheRing() throws {
    let (data, items) = try photos(20)
    defer { withExtendedLifetime(data) {} }
    let highest = Mutex(-1)
    var options = PrefetchingLoader.Options(batchSize: 2, threads: 4)
    options.depth = 2
    let loader = try PrefetchingLoader(items, elementCount: 1, options: options) { _, item, _, _ in
      highest.withLock { $0 = max($0, item) }
    }
    for number in 0..<10 {
      try loader.next { batch in
        #expect(batch.number == number)
        usleep(3000)
        #expect(highest.withLock { $0 } < (number + 2) * 2)
      }
    }
    #expect(try loader.next { _ in } == nil)
  }

  @Test func anErrorNamesTheFirstPhotoOfTheBatchAndStays() throws {
    let (data, items) = try photos(12)
    defer { withExtendedLifetime(data) {} }
    let loader = try PrefetchingLoader(
      items, elementCount: 1, options: .init(batchSize: 4, threads: 3)
    ) { _, item, _, _ in
      if item == 5 { usleep(5000) }
      if item == 5 || item == 6 { throw Failure() }
    }
    #expect(try loader.next { $0.items } == 0..<4)
    for _ in 0..<2 {
      #expect(throws: DatasetError.unusable(items[5].path, reason: "no frame header")) {
        try loader.next { _ in }
      }
    }
  }

  @Test func aChangedDatasetIsAnErrorWithBothSizes() throws {
    let (data, items) = try photos(4)
    func error(_ items: [PrefetchingLoader.Item]) throws -> DatasetError? {
      let loader = try PrefetchingLoader(
        items, elementCount: 3, options: .init(batchSize: 4, threads: 2), prepare: Self.prepare)
      return #expect(throws: DatasetError.self) { try loader.next { _ in } }
    }
    try data.add(BytePath("2.jpg"), [1, 2])
    #expect(try error(items) == .changed(items[2].path, oldSize: 1401, newSize: 2))
    try data.remove("2.jpg")
    let gone = try error(items)
    #expect(gone == .changed(items[2].path, oldSize: 1401, newSize: nil))
    #expect(gone?.description.contains("2.jpg: dataset changed: 1401 bytes") == true)
    let hashed = PrefetchingLoader.Item(
      path: items[1].path, size: 701,
      sha256: SHA256.hexadecimal(of: [UInt8](repeating: 1, count: 701)))
    let loader = try PrefetchingLoader(
      [hashed], elementCount: 3, options: .init(batchSize: 1, threads: 1), prepare: Self.prepare)
    #expect(try loader.next { $0.elements[1] } == 701)
    try data.add(BytePath("1.jpg"), [UInt8](repeating: 2, count: 701))
    #expect(try error([hashed]) == .contentsChanged(items[1].path))
  }

  @Test func cancellingStopsWaitingThreadsAndTheConsumer() throws {
    let (data, items) = try photos(30)
    defer { withExtendedLifetime(data) {} }
    let calls = Atomic(0)
    do {
      let loader = try PrefetchingLoader(
        items, elementCount: 3, options: .init(batchSize: 3, threads: 3)
      ) { bytes, item, worker, target in
        calls.add(1, ordering: .relaxed)
        try Self.prepare(bytes, item, worker, target)
      }
      try loader.next { _ in }
      loader.cancel()
      #expect(throws: CancellationError.self) { try loader.next { _ in } }
    }
    // Three batches in the ring, one was released.
    #expect(calls.load(ordering: .relaxed) <= 12)
  }

  @Test func anEmptyListHasNoBatches() throws {
    let loader = try PrefetchingLoader(
      [], elementCount: 3, options: .init(batchSize: 3, threads: 2), prepare: Self.prepare)
    #expect(try loader.next { _ in } == nil && loader.batchCount == 0)
  }

  @Test func whatTheConsumerThrowsPassesThrough() throws {
    let (data, items) = try photos(6)
    defer { withExtendedLifetime(data) {} }
    let loader = try PrefetchingLoader(
      items, elementCount: 3, options: .init(batchSize: 3, threads: 2), prepare: Self.prepare)
    #expect(throws: Failure.self) { try loader.next { _ in throw Failure() } }
    #expect(try loader.next { $0.items } == 3..<6)
  }
}
