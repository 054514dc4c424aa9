// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawCheckpoints
import ThawConsole
import ThawInference
import ThawTensors
import ThawTraining

struct UnknownScoreTests {
  static let width = 24

  /// Rows around the centre of one of three classes, or far from all.
  static func rows(_ count: Int, kind: Int?, seed: UInt64) -> [Float] {
    var state = seed &* 2_862_933_555_777_941_757 &+ 3_037_000_493
    func uniform() -> Float {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(state >> 40) / Float(1 << 24) - 0.5
    }
    return (0..<count).flatMap { _ -> [Float] in
      let shared = uniform()
      return (0..<width).map { index in
        let centre: Float =
          if let kind { index % 3 == kind ? 4 : 1 } else { index < 12 ? 5 : 0 }
        // All classes vary most along one direction.
        return centre + 0.3 * uniform() + (index % 2 == 0 ? 1.5 : -1.5) * shared
      }
    }
  }

  static func tensor(_ elements: [Float]) -> Tensor<Float> {
    Tensor(elements, shape: [elements.count / width, width])
  }

  static func fitted() throws -> UnknownScore {
    let training = (0..<3).flatMap { rows(30, kind: $0, seed: UInt64($0) + 1) }
    let validation = (0..<3).flatMap { rows(20, kind: $0, seed: UInt64($0) + 11) }
    return try #require(
      UnknownScore.fitted(
        tensor(training), labels: (0..<90).map { $0 / 30 }, validation: tensor(validation)))
  }

  @Test func whatIsFarFromEveryClassIsUnknownAndFewOthersAre() throws {
    let unknown = try Self.fitted()
    let far = Self.rows(40, kind: nil, seed: 99)
    for row in 0..<40 {
      let score = unknown.score(far[(row * Self.width)..<((row + 1) * Self.width)])
      #expect(unknown.isUnknown(score) && score > 2 * unknown.threshold)
    }
    var passed = 0
    for kind in 0..<3 {
      let near = Self.rows(100, kind: kind, seed: UInt64(kind) + 50)
      for row in 0..<100 {
        let own = near[(row * Self.width)..<((row + 1) * Self.width)]
        if !unknown.isUnknown(unknown.score(own)) { passed += 1 }
        // Brighter features of the same direction are the same photo.
        let double = unknown.score(own.map { 2 * $0 })
        #expect(abs(double - unknown.score(own)) <= 1e-4 * double)
      }
    }
    #expect(passed > 260 && passed < 300, "\(passed) of 300")
    #expect(unknown.validationPhotos == 60 && unknown.photos == 90)
  }

  /// (x - m)^T S^-1 (x - m) by elimination, with the covariance shrunk as the source has it.
  @Test func theScoreIsTheDistanceUnderTheShrunkCovariance() throws {
    let width = 6
    func squared(_ row: [Double]) -> Double { row.reduce(0) { $0 + $1 * $1 } }
    let x = (0..<40).map { row -> [Double] in
      let raw = (0..<width).map { column -> Double in
        let mixed = row * 31 + column * 17 + row * column * 7
        return Double(mixed % 23) + 10
      }
      let length = squared(raw).squareRoot()
      return raw.map { $0 / length }
    }
    let labels = (0..<40).map { $0 % 2 }
    let flat = x.flatMap { row in row.map { Float($0) } }
    let score = try #require(
      UnknownScore.fitted(
        Tensor(flat, shape: [40, width]), labels: labels,
        validation: Tensor(flat, shape: [40, width])))
    var means = [[Double]](repeating: [Double](repeating: 0, count: width), count: 2)
    for (row, label) in labels.enumerated() {
      for column in 0..<width { means[label][column] += x[row][column] / 20 }
    }
    let centred = labels.enumerated().map { row, label -> [Double] in
      (0..<width).map { column in x[row][column] - means[label][column] }
    }
    var s = [[Double]](repeating: [Double](repeating: 0, count: width), count: width)
    for row in centred {
      for a in 0..<width { for b in 0..<width { s[a][b] += row[a] * row[b] / 40 } }
    }
    var trace = 0.0
    for a in 0..<width { trace += s[a][a] }
    let mean = trace / Double(width)
    let square = s.reduce(0.0) { $0 + squared($1) }
    let fourth = centred.reduce(0.0) { $0 + squared($1) * squared($1) }
    let noise = (fourth / 40 - square) / 40
    let spread = square - Double(width) * mean * mean
    let share = min(noise / spread, 1)
    for a in 0..<width {
      for b in 0..<width { s[a][b] = (1 - share) * s[a][b] + (a == b ? share * mean : 0) }
    }
    for query in [x[0], x[7], [0.6, 0.1, 0.2, 0.5, 0.3, 0.4]] {
      let length = squared(query).squareRoot()
      let distances = means.map { centre -> Double in
        let difference = (0..<width).map { column in query[column] / length - centre[column] }
        let solved = Self.solve(s, difference)
        var sum = 0.0
        for column in 0..<width { sum += solved[column] * difference[column] }
        return sum
      }
      let expected = distances.min() ?? 0
      let found = Double(score.score(query.map { Float($0) })) * Double(width)
      // Means and directions are kept in 16 bits.
      #expect(abs(found - expected) < 0.02 * expected + 0.02, "\(found) for \(expected)")
    }
  }

  private static func solve(_ matrix: [[Double]], _ right: [Double]) -> [Double] {
    var (a, b) = (matrix, right)
    for pivot in a.indices {
      for row in (pivot + 1)..<max(a.count, pivot + 1) {
        let factor = a[row][pivot] / a[pivot][pivot]
        for column in pivot..<a.count { a[row][column] -= factor * a[pivot][column] }
        b[row] -= factor * b[pivot]
      }
    }
    for row in a.indices.reversed() {
      for column in (row + 1)..<max(a.count, row + 1) { b[row] -= a[row][column] * b[column] }
      b[row] /= a[row][row]
    }
    return b
  }

  @Test func itIsReadFromAModelFileAsItWas() throws {
    let unknown = try Self.fitted()
    var record = ModelRecord(
      thawVersion: "1", architecture: "tiny", classNames: ["a", "b", "c"], preprocessing: "{}")
    #expect(try UnknownScore(of: record, source: "file") == nil)
    record.unknown = try unknown.json()
    #expect(try UnknownScore(of: record, source: "file") == unknown)
    for damaged in [
      "{}", try unknown.json().replacingOccurrences(of: "gaussian", with: "other"),
      try unknown.json().replacingOccurrences(of: "\"features\":24", with: "\"features\":23"),
    ] {
      record.unknown = damaged
      #expect(throws: PipelineError.self) { try UnknownScore(of: record, source: "file") }
    }
  }

  @Test func tooFewPhotosOrFeaturesAllAlikeTellNothing() {
    let one = Self.tensor(Self.rows(1, kind: 0, seed: 1))
    let many = Self.tensor(Self.rows(9, kind: 0, seed: 1))
    #expect(UnknownScore.fitted(one, labels: [0], validation: many) == nil)
    #expect(
      UnknownScore.fitted(many, labels: [Int](repeating: 0, count: 9), validation: one) == nil)
    let same = Tensor<Float>([Float](repeating: 1, count: 4 * Self.width), shape: [4, Self.width])
    #expect(UnknownScore.fitted(same, labels: [0, 0, 0, 0], validation: many) == nil)
  }
}

struct ModelCalibrationTests {
  private static func record(_ calibration: ModelCalibration) throws -> ModelRecord {
    ModelRecord(
      thawVersion: "1", architecture: "tiny", classNames: ["a", "b"], preprocessing: "{}",
      calibration: try calibration.json())
  }

  @Test func aModelFileGivesItBackAndRefusesAContradiction() throws {
    let sets = ConformalSets(Tensor<Float>([0.7, 0.3, 0.4, 0.6], shape: [2, 2]), labels: [0, 0])
    var look = ModelCalibration.Look(.crops(count: 1), snapshots: false)
    let one = ModelCalibration.Fitted(
      look: look, temperature: Temperature(value: 1.5, photos: 2), sets: sets)
    look = ModelCalibration.Look(.crops(count: 5), snapshots: true)
    let several = ModelCalibration.Fitted(
      look: look, temperature: Temperature(value: 0.75, photos: 2), sets: sets)
    let calibration = try #require(ModelCalibration([one, several]))
    var record = try Self.record(calibration)
    #expect(record.temperature == 1.5)
    #expect(try ModelCalibration(of: record, source: "file") == calibration)
    #expect(calibration.fitted(for: look).map { $0.isExact && $0.fitted == several } == true)
    let other = ModelCalibration.Look(.crops(count: 3), snapshots: false)
    #expect(calibration.fitted(for: other).map { !$0.isExact && $0.fitted == one } == true)
    #expect(ModelCalibration([several]) == nil)
    // Snapshots are other networks: the temperature of the one model is not theirs.
    let alone = try #require(ModelCalibration([one]))
    #expect(alone.fitted(for: look) == nil && alone.fitted(for: other)?.isExact == false)
    for damaged in [
      "{}",
      try calibration.json().replacingOccurrences(
        of: #"],"temperature":{"photos":2,"value":1.5}}"#,
        with: #"],"temperature":{"photos":2,"value":1.6}}"#),
    ] {
      record.calibration = damaged
      #expect(throws: PipelineError.self) { try ModelCalibration(of: record, source: "file") }
    }
  }
}
