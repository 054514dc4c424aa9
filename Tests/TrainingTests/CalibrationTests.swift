// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawTensors
import ThawTraining

struct CalibrationTests {
  /// Logits of `count` samples whose labels follow the probabilities at `temperature`.
  static func samples(
    _ count: Int, classes: Int, temperature: Double, seed: UInt64 = 1
  ) -> (logits: Tensor<Float>, labels: [Int]) {
    var state = seed
    func uniform() -> Double {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 11) / Double(1 << 53)
    }
    var (logits, labels): ([Float], [Int]) = ([], [])
    for _ in 0..<count {
      let row = (0..<classes).map { _ in 6 * (uniform() - 0.5) }
      let shares = row.map { exp($0 / temperature) }
      var rest = uniform() * shares.reduce(0, +)
      var label = 0
      while label < classes - 1, rest > shares[label] {
        rest -= shares[label]
        label += 1
      }
      logits += row.map { Float($0) }
      labels.append(label)
    }
    return (Tensor(logits, shape: [count, classes]), labels)
  }

  @Test(arguments: [0.5, 1.0, 2.5])
  func theTemperatureThatMadeTheLabelsIsFound(_ temperature: Double) {
    let (logits, labels) = Self.samples(8000, classes: 5, temperature: temperature)
    let fitted = Temperature.fitted(logits, labels: labels)
    #expect(abs(fitted.value / temperature - 1) < 0.06, "\(fitted.value)")
    #expect(!fitted.isOfFew && fitted.photos == 8000)
    // No temperature near it has a smaller loss, but for the prior's share.
    func loss(_ value: Double) -> Double {
      Reliability(
        Temperature(value: value, photos: 1).probabilities(ofLogits: logits), labels: labels
      ).loss
    }
    #expect(loss(fitted.value) < loss(fitted.value * 1.05))
    #expect(loss(fitted.value) < loss(fitted.value / 1.05))
  }

  @Test func calibrationLowersTheErrorOfOtherSamples() {
    let (logits, labels) = Self.samples(4000, classes: 4, temperature: 3, seed: 5)
    let (others, truth) = Self.samples(4000, classes: 4, temperature: 3, seed: 6)
    let fitted = Temperature.fitted(logits, labels: labels)
    let before = Reliability(Probabilities.softmax(others), labels: truth)
    let after = Reliability(fitted.probabilities(ofLogits: others), labels: truth)
    #expect(before.expectedError > 0.15 && after.expectedError < 0.03, "\(after.expectedError)")
    #expect(after.loss < before.loss)
    #expect(after.bins.reduce(0) { $0 + $1.count } == 4000)
  }

  @Test func fewPhotosStayNearOne() {
    // Two right answers would call for a temperature of 0, two sure mistakes for an endless one.
    let sure = Tensor<Float>([9, 0, 0, 9], shape: [2, 2])
    let right = Temperature.fitted(sure, labels: [0, 1])
    let wrong = Temperature.fitted(sure, labels: [1, 0])
    #expect(right.value < 1.0001 && right.value > 0.9 && right.isOfFew)
    #expect(wrong.value > 1.3 && wrong.value < Temperature(value: 9.9, photos: 1).value)
    // The same photo ten times says no more than once.
    let often = Tensor<Float>(
      Array(repeating: [Float(4), 0], count: 10).flatMap { $0 }, shape: [10, 2])
    let once = Temperature.fitted(
      Tensor<Float>([4, 0], shape: [1, 2]), labels: [1])
    let counted = Temperature.fitted(
      often, labels: [Int](repeating: 1, count: 10), independent: 1)
    #expect(abs(once.value - counted.value) < 1e-6)
    #expect(Temperature.fitted(often, labels: [Int](repeating: 1, count: 10)).value > once.value)
  }

  @Test func answersNeverChange() {
    // Neighbouring numbers, which a large temperature brings together.
    let half = Float(0.5)
    let rows: [[Float]] = [
      [half.nextDown, half], [half, half], [half.nextUp, half], [0.2, 0.4, Float(0.4).nextUp],
      [1, 0, 0], [0, .leastNonzeroMagnitude, 0],
    ]
    for value in [0.1, 0.7, 3, 10] {
      for row in rows {
        let tensor = Tensor<Float>(row, shape: [1, row.count])
        let result = Temperature(value: value, photos: 1).probabilities(of: tensor)
        #expect(Probabilities.predictions(result) == Probabilities.predictions(tensor), "\(row)")
        #expect(abs(result.elements.reduce(0, +) - 1) < 1e-5)
      }
    }
  }

  @Test func probabilitiesAreThoseOfTheDividedLogits() {
    let (logits, _) = Self.samples(50, classes: 7, temperature: 1, seed: 9)
    let temperature = Temperature(value: 1.7, photos: 1)
    let ofLogits = temperature.probabilities(ofLogits: logits)
    let divided = Tensor<Float>(
      logits.elements.map { Float(Double($0) / 1.7) }, shape: logits.shape)
    let ofAnswers = temperature.probabilities(of: Probabilities.softmax(logits))
    for (index, expected) in Probabilities.softmax(divided).elements.enumerated() {
      #expect(abs(ofLogits[index] - expected) < 1e-6 && abs(ofAnswers[index] - expected) < 1e-6)
    }
  }

  @Test func setsContainTheTruthAsOftenAsAsked() {
    let (logits, labels) = Self.samples(3000, classes: 6, temperature: 2, seed: 11)
    let (others, truth) = Self.samples(4000, classes: 6, temperature: 2, seed: 12)
    // Far too sure probabilities: the promise does not need good ones.
    let sets = ConformalSets(Probabilities.softmax(logits), labels: labels)
    for asked in [0.8, 0.9, 0.95] {
      let found = SetCoverage(sets, Probabilities.softmax(others), labels: truth, asked: asked)
      #expect(abs(found.coverage - asked) < 0.02, "\(asked): \(found.coverage)")
      #expect(found.size > 1 && found.size < 6 && !found.ownHalves && found.photos == 4000)
      let own = SetCoverage(halvesOf: Probabilities.softmax(others), labels: truth, asked: asked)
      #expect(own.map { abs($0.coverage - asked) < 0.02 && $0.ownHalves } == true)
    }
  }

  @Test func copiesOfAPictureStayInOneHalf() throws {
    // Each picture twice, its class never the most probable one: a copy in the other half would say where
    // to find it.
    let (logits, labels) = Self.samples(40, classes: 6, temperature: 2, seed: 14)
    let rows = (0..<40).flatMap { Array(logits.elements[($0 * 6)..<($0 * 6 + 6)]) }
    let twice = Probabilities.softmax(Tensor(rows + rows, shape: [80, 6]))
    let pairs = (0..<40).map { [$0, $0 + 40] }
    let kept = try #require(
      SetCoverage(halvesOf: twice, labels: labels + labels, sameness: pairs, asked: 0.9))
    let single = try #require(
      SetCoverage(halvesOf: Probabilities.softmax(logits), labels: labels, asked: 0.9))
    #expect(kept.photos == 80)
    // The same halves, each of its photos twice: only the number of photos differs.
    #expect(abs(kept.coverage - single.coverage) < 0.06 && abs(kept.size - single.size) < 0.6)
    #expect(
      SetCoverage(halvesOf: twice, labels: labels + labels, sameness: [Array(0..<80)], asked: 0.9)
        == nil)
  }

  @Test func setsAreNeverEmptyAndGrowWithTheCoverage() throws {
    let (logits, labels) = Self.samples(99, classes: 6, temperature: 2, seed: 13)
    let probabilities = Probabilities.softmax(logits)
    let sets = ConformalSets(probabilities, labels: labels)
    let row = Array(probabilities.elements[0..<6])
    var former: [Int] = []
    for asked in [0.01, 0.5, 0.8, 0.9, 0.95, 0.99] {
      let set = sets.set(of: row, coverage: asked)
      #expect(!set.isEmpty && set.starts(with: former))
      former = set
    }
    // 99 photos promise 0.99 and no more: all labels are the set then.
    #expect(sets.limit(coverage: 0.99) == sets.scores.last)
    #expect(sets.limit(coverage: 0.995) == .infinity && sets.largestCoverage == 0.99)
    #expect(sets.set(of: row, coverage: 0.995).count == 6)
    let written = try JSONEncoder().encode(sets)
    #expect(try JSONDecoder().decode(ConformalSets.self, from: written) == sets)
  }

  /// Samples of which half of the first class's are taken for the second, so that it is much harder than others.
  private static func unlike(_ seed: UInt64) -> (probabilities: Tensor<Float>, labels: [Int]) {
    let (logits, labels) = samples(4000, classes: 5, temperature: 1, seed: seed)
    var elements = logits.elements
    for (sample, label) in labels.enumerated() where label == 0 && (sample / 2).isMultiple(of: 2) {
      elements.swapAt(sample * 5, sample * 5 + 1)
    }
    return (Probabilities.softmax(Tensor(elements, shape: logits.shape)), labels)
  }

  @Test func aPromiseForEachClassHoldsForTheHardOneToo() throws {
    let (one, labels) = Self.unlike(5)
    let (other, truth) = Self.unlike(6)
    let sets = ConformalSets(one, labels: labels)
    #expect(sets.classes.map(\.photos) == (0..<5).map { label in labels.count { $0 == label } })
    #expect(sets.classes.allSatisfy { $0.scores.count == 200 })
    for asked in [0.8, 0.9] {
      let plain = SetCoverage(sets, other, labels: truth, asked: asked)
      let each = SetCoverage(sets, other, labels: truth, asked: asked, perClass: true)
      let least = try #require(plain.least)
      #expect(least.index == 0 && least.share.coverage < asked - 0.08, "\(least)")
      #expect(abs(plain.coverage - asked) < 0.02)
      for (index, share) in try #require(each.perClass).enumerated() {
        #expect(abs(share.coverage - asked) < 0.04, "\(asked), \(index): \(share)")
        #expect(share.count == truth.count { $0 == index })
      }
      let halves = try #require(
        SetCoverage(halvesOf: other, labels: truth, asked: asked, perClass: true))
      #expect(try #require(halves.least).share.coverage > asked - 0.06)
    }
    let written = try JSONEncoder().encode(sets)
    #expect(try JSONDecoder().decode(ConformalSets.self, from: written) == sets)
  }

  /// Nine photos promise 0.9 and no more; those of one class that has fewer go by the limit of all.
  @Test func classesWithFewPhotosGoByTheLimitOfAll() throws {
    let (logits, labels) = Self.samples(60, classes: 3, temperature: 2, seed: 23)
    let probabilities = Probabilities.softmax(logits)
    let few =
      labels.indices.filter { labels[$0] != 2 }
      + labels.indices.filter { labels[$0] == 2 }.prefix(8)
    let rows = few.flatMap { Array(probabilities.elements[($0 * 3)..<($0 * 3 + 3)]) }
    let sets = ConformalSets(
      Tensor(rows, shape: [few.count, 3]), labels: few.map { labels[$0] })
    #expect((0..<3).map { sets.promises(0.9, for: $0) } == [true, true, false])
    #expect(!sets.promises(0.9, for: 3))
    let limit = sets.limit(coverage: 0.9)
    for start in stride(from: 0, to: rows.count, by: 3) {
      let row = Array(rows[start..<(start + 3)])
      let (plain, each) = (
        sets.set(of: row, coverage: 0.9), sets.set(of: row, coverage: 0.9, perClass: true)
      )
      #expect(plain.contains(2) == each.contains(2) && !each.isEmpty)
      #expect(limit < .infinity)
    }
    // A file of an earlier version has no classes, and is read.
    let former = try JSONDecoder().decode(
      ConformalSets.self, from: Data(#"{"photos": 2, "scores": [0, 0.5]}"#.utf8))
    #expect(former.classes.isEmpty && !former.promises(0.5, for: 0))
    let wrong = #"{"photos": 2, "scores": [0, 0.5], "classes": [{"photos": 2, "scores": [1, 0]}]}"#
    #expect(throws: (any Error).self) {
      try JSONDecoder().decode(ConformalSets.self, from: Data(wrong.utf8))
    }
  }

  @Test func manyScoresAreThinnedOnTheSafeSide() {
    let (logits, labels) = Self.samples(7001, classes: 5, temperature: 2, seed: 14)
    let probabilities = Probabilities.softmax(logits)
    let thinned = ConformalSets(probabilities, labels: labels)
    #expect(thinned.scores.count == 2000 && thinned.photos == 7001)
    let found = SetCoverage(thinned, probabilities, labels: labels, asked: 0.9)
    #expect(found.coverage >= 0.9 && found.coverage < 0.903)
  }

  @Test(arguments: [
    #"{"value": 0, "photos": 3}"#, #"{"value": 1e9, "photos": 3}"#, #"{"photos": 3}"#,
  ])
  func impossibleTemperaturesAreRefused(_ text: String) {
    #expect(throws: (any Error).self) {
      try JSONDecoder().decode(Temperature.self, from: Data(text.utf8))
    }
  }
}
