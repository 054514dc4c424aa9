// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawAnswers
import ThawConsole
import ThawFiles
import ThawTensors
import ThawTestSupport

struct VectorTests {
  /// Numbers without a pattern.
  private static func vectors(_ count: Int, length: Int) -> [[Float]] {
    (0..<count).map { row in
      (0..<length).map { Float((row * 7919 + $0 * 104_729) % 2003) / 1000 - 1 }
    }
  }

  @Test func theNearestAreThoseOfAnExhaustiveSearch() throws {
    let (all, queries) = (Self.vectors(97, length: 12), Self.vectors(5, length: 12).reversed())
    func cosine(_ a: [Float], _ b: [Float]) -> Double {
      func dot(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
      }
      return dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
    }
    var nearest = NearestVectors(to: Array(queries), limit: 4)
    for block in [0..<40, 40..<41, 41..<97] {
      all[block].flatMap { $0 }.withUnsafeBufferPointer { nearest.add($0) }
    }
    for (query, matches) in zip(queries, nearest.matches) {
      let scores = all.map { cosine(query, $0) }
      let expected = scores.indices.sorted { (scores[$1], $0) < (scores[$0], $1) }.prefix(4)
      #expect(matches.map(\.row) == Array(expected))
      for match in matches {
        #expect(abs(Double(match.similarity) - scores[match.row]) < 1e-5)
      }
    }
  }

  @Test func aVectorOfZerosIsNearNothing() {
    var nearest = NearestVectors(to: [[1, 0]], limit: 3)
    [Float](arrayLiteral: 0, 0, -1, 0, 2, 0).withUnsafeBufferPointer { nearest.add($0) }
    #expect(nearest.matches[0].map(\.row) == [2, 0, 1])
    #expect(nearest.matches[0].map(\.similarity) == [1, 0, -1])
  }

  @Test func anArrayIsReadAsItWasWrittenBlockByBlock() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path.appending("vectors.npy")
    // More than one block of four megabytes.
    let (count, length) = (2100, 1024)
    let elements = (0..<(count * length)).map { Float($0 % 8191) - 4000 }
    let rows = (0..<count).map { VectorFile.Row(path: "ä \"\($0)\".png", sha256: "\($0)") }
    try VectorFile.write(path, .npy, rows: rows, vectors: elements, length: length)
    let file = try VectorFile(path)
    #expect(file.rows == rows && file.length == length)
    var read: [Float] = []
    var blocks = 0
    try file.forEachBlock {
      read += $0; blocks += 1
    }
    #expect(read == elements && blocks > 1)
    // A list that is not the array's is refused.
    try AtomicFile.write(VectorFile.list(beside: path), text: "{\"path\":\"a\",\"sha256\":\"b\"}\n")
    #expect(throws: PipelineError.self) { try VectorFile(path) }
  }

  /// Photos that cannot be used are known only when the others are written.
  @Test func fewerRowsThanWereExpectedMakeAWholeFile() throws {
    let directory = try TemporaryDirectory()
    let vectors = Self.vectors(7, length: 5)
    let rows = vectors.indices.map { VectorFile.Row(path: "=a, \"\($0)\".png", sha256: "\($0)") }
    func write(_ name: String, _ format: VectorFile.Format) throws -> FilePath {
      let path = directory.path.appending(name)
      let count = try VectorFile.write(path, format, length: 5, capacity: 123_456) { writer in
        for (row, vector) in zip(rows, vectors) { try writer.append(row, vector) }
      }
      #expect(count == 7)
      return path
    }
    let file = try VectorFile(write("vectors.npy", .npy))
    var read: [Float] = []
    try file.forEachBlock { read += $0 }
    #expect(file.rows == rows && file.length == 5 && read == vectors.flatMap(\.self))
    var table = CSVWriter(header: ["path", "sha256", "f0", "f1", "f2", "f3", "f4"])
    for (row, vector) in zip(rows, vectors) {
      table.append([row.path, row.sha256] + vector.map { "\($0)" })
    }
    let csv = try FileSystem.read(write("vectors.csv", .csv))
    #expect(String(decoding: csv, as: UTF8.self) == table.text)
    let lines = try FileSystem.read(write("vectors.jsonl", .jsonl)).split(separator: 0x0A)
    #expect(lines.count == 7)
    // When a row cannot be had nothing is left, not even a part.
    struct Stop: Error {}
    #expect(throws: Stop.self) {
      try VectorFile.write(
        directory.path.appending("half.npy"), .npy, length: 5, capacity: 9
      ) { writer in
        try writer.append(rows[0], vectors[0])
        throw Stop()
      }
    }
    #expect(try FileSystem.list(directory.path).allSatisfy { !$0.string.hasPrefix("half") })
  }

  // MARK: The map

  /// Three groups in many dimensions, and a copy.
  @Test func neighboursStayNeighboursOnTheMap() {
    func drawn(_ sample: Int) -> [Float] {
      var stream = RandomStream(seed: 1, purpose: .procedural, sample: sample)
      return (0..<40).map { _ in Float(stream.normal()) }
    }
    let centres = (0..<3).map { drawn(100 + $0) }
    var all = (0..<60).map(drawn).enumerated().map { index, row in
      zip(row, centres[index % 3]).map { $0 * 0.6 + $1 }
    }
    all.append(all[0])
    let places = PlaneMap(all).places
    #expect(places == PlaneMap(all).places)
    func distance(_ one: Int, _ other: Int) -> Double {
      let (dx, dy) = (places[one].x - places[other].x, places[one].y - places[other].y)
      return (dx * dx + dy * dy).squareRoot()
    }
    let right = (0..<60).count { one in
      let nearest = (0..<60).filter { $0 != one }.min { distance(one, $0) < distance(one, $1) }
      return nearest.map { $0 % 3 == one % 3 } ?? false
    }
    #expect(right >= 57, "\(right)")
    #expect(distance(0, 60) < 0.05)
    #expect(places.allSatisfy { (0...1).contains($0.x) && (0...1).contains($0.y) })
    let (xs, ys) = (places.map(\.x), places.map(\.y))
    let wide = (xs.max() ?? 0) - (xs.min() ?? 0)
    let high = (ys.max() ?? 0) - (ys.min() ?? 0)
    #expect(abs(max(wide, high) - 1) < 1e-9)
  }

  @Test(arguments: 0..<7) func fewVectorsAndCopiesHaveAMapToo(_ count: Int) {
    for vectors in [
      Self.vectors(count, length: 3), [[Float]](repeating: [1, 0], count: count),
      [[Float]](repeating: [0, 0], count: count),
    ] {
      let places = PlaneMap(vectors).places
      #expect(places.count == count)
      #expect(places.allSatisfy { $0.x.isFinite && $0.y.isFinite })
    }
  }
}
