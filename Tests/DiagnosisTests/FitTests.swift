// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawDiagnosis
import ThawTensors
import ThawTestSupport
import ThawTraining

@Suite struct FitTests {
  private func findings(
    training: Double, crossValidated: Double, validation: Double, count: Int = 400,
    human: Double? = nil, splits: SplitMismatch? = nil,
    overfit: FitFindings.OverfitTest? = nil, suspicious: Int = 0, hints: [FitHint] = [],
    signal: LabelSignal? = nil, isHeadAlone: Bool = false
  ) -> FitFindings {
    FitFindings(
      parts: BiasVariance(
        humanError: human, training: ErrorRate(error: training, count: count),
        crossValidated: ErrorRate(error: crossValidated, count: count),
        validation: ErrorRate(error: validation, count: count)),
      humanError: human, heldOut: "valid", splits: splits, overfitTest: overfit, labels: [],
      suspiciousCount: suspicious, hints: hints, signal: signal, isHeadAlone: isHeadAlone)
  }

  /// Scores of two splits of `count` photos in two classes whose means differ by `shift`.
  private func splits(_ count: Int, shift: Double, seed: UInt64 = 1) throws -> SplitMismatch {
    var stream = RandomStream(seed: seed, purpose: .procedural)
    let isSecond = (0..<2 * count).map { $0 >= count }
    let scores = isSecond.map { stream.normal() + ($0 ? shift : 0) }
    return try #require(
      SplitMismatch(scores: scores, isSecond: isSecond, labels: (0..<2 * count).map { $0 % 2 }))
  }

  @Test func eachPartOfTheErrorIsNamed() throws {
    #expect(findings(training: 0.01, crossValidated: 0.02, validation: 0.02).status == .healthy)
    #expect(findings(training: 0.2, crossValidated: 0.21, validation: 0.21).status == .bias)
    let variance = findings(training: 0, crossValidated: 0.15, validation: 0.16)
    #expect(variance.status == .variance)
    #expect(variance.next.first?.contains("Against variance") == true)
    #expect(variance.next.first?.contains("fewer thawed layers") == true)
    let alone = findings(
      training: 0, crossValidated: 0.15, validation: 0.16, isHeadAlone: true)
    #expect(alone.next.first?.contains("thawed") == false)
    let head = findings(training: 0.5, crossValidated: 0.3, validation: 0.5)
    #expect(head.status == .head)
    #expect(head.next.first?.contains("thaw diagnose batchnorm") == true)
    let apart = try splits(100, shift: 2)
    #expect(
      findings(training: 0.01, crossValidated: 0.02, validation: 0.3, splits: apart).status
        == .mismatch)
    let same = try splits(100, shift: 0)
    #expect(
      findings(training: 0.01, crossValidated: 0.02, validation: 0.03, splits: same).status
        == .healthy)
  }

  /// Two photos of one picture in different folds are an answer learned by heart.
  @Test func photosOfOnePictureStayInOneFold() throws {
    let (pairs, width) = (20, 64)
    var stream = RandomStream(seed: 3, purpose: .procedural)
    let pictures = (0..<pairs).map { _ in (0..<width).map { _ in Float(stream.normal()) } }
    let features = Tensor(pictures.flatMap { $0 + $0 }, shape: [2 * pairs, width])
    let labels = (0..<2 * pairs).map { $0 / 2 % 2 }
    func right(_ groups: [Int]?) throws -> Int {
      let probabilities = try CrossValidation.probabilities(
        features, labels: labels, groups: groups, classes: 2, inverseStrength: 1, seed: 5)
      return labels.indices.count { probabilities[2 * $0 + labels[$0]] > 0.5 }
    }
    // Of 40, a photo whose picture is in another fold is known by heart: some 36; held out together they
    // are noise, some 20.
    let (apart, together) = (try right(nil), try right(labels.indices.map { $0 / 2 }))
    #expect(apart >= 32 && together <= 28, "\(apart), \(together)")
    // A class that is one picture cannot be held out.
    let all = try CrossValidation.probabilities(
      features, labels: labels, groups: labels.indices.map { labels[$0] == 0 ? 0 : $0 }, classes: 2,
      inverseStrength: 1, seed: 5)
    #expect(labels.indices.allSatisfy { all[2 * $0].isNaN == (labels[$0] == 0) })
  }

  /// With weights a rare class counts as much as a frequent one.
  @Test func classesCountByTheirWeights() throws {
    let width = 2
    var stream = RandomStream(seed: 4, purpose: .procedural)
    let labels = (0..<200).map { $0 % 10 == 0 ? 1 : 0 }
    let features = Tensor(
      labels.flatMap { label in
        (0..<width).map { _ in Float(stream.normal() + (label == 1 ? 0.7 : 0)) }
      }, shape: [200, width])
    func rare(_ weights: [Float]) throws -> Int {
      let probabilities = try CrossValidation.probabilities(
        features, labels: labels, classes: 2, classWeights: weights, inverseStrength: 1, seed: 5)
      return labels.indices.count { probabilities[2 * $0 + 1] > 0.5 }
    }
    let (plain, weighted) = (try rare([]), try rare([0.55, 5]))
    #expect(plain < 10 && weighted > 40, "\(plain), \(weighted)")
  }

  @Test func adviceComesInTheOrderOfTheParts() throws {
    let both = findings(training: 0.1, crossValidated: 0.3, validation: 0.3, suspicious: 40)
    #expect(both.status == .variance)
    #expect(both.next.count == 3)
    #expect(both.next[0].contains("40 suspicious labels"))
    #expect(both.next[1].contains("Against variance"))
    #expect(both.next[2].contains("Against bias"))
  }

  /// Labels of 100 photos of two classes, and classifiers that give the label this probability.
  private func signal(
    first: Int = 50, _ probability: (Int) -> Float
  ) throws -> LabelSignal {
    let labels = (0..<100).map { $0 < first ? 0 : 1 }
    let rows = labels.enumerated().flatMap { index, label -> [Float] in
      let own = probability(index)
      return label == 0 ? [own, 1 - own] : [1 - own, own]
    }
    return try #require(
      LabelSignal(Tensor(rows, shape: [100, 2]), labels: labels, classes: ["ant", "bee"]))
  }

  @Test func labelsThatAreNoiseAreNotTrainedHarder() throws {
    // Right as often as wrong: no better than always answering the same.
    let noise = try signal { $0 % 2 == 0 ? 0.6 : 0.4 }
    #expect(!noise.isPresent && noise.baselineError == 0.5)
    let history = (0..<4).map {
      EpochRecord(
        epoch: $0, trainLoss: 0.7 - 0.05 * Double($0), trainAccuracy: 0.6,
        validLoss: 0.8 - 0.1 * Double($0), validAccuracy: 0.55, learningRates: [0.1], seconds: 1)
    }
    let hints = FitDiagnosis.hints(history)
    #expect(hints.map(\.kind) == [.underfitting])
    let found = findings(
      training: 0.4, crossValidated: 0.5, validation: 0.5, hints: hints, signal: noise)
    #expect(found.status == .indistinct)
    #expect(found.verdict.contains("always answering 'ant'"))
    #expect(found.next == found.next.filter { $0.hasPrefix("Do not train harder") })
    #expect(found.hints.isEmpty)
    let told = try signal { $0 % 10 == 0 ? 0.4 : 0.7 }
    #expect(told.isPresent)
    #expect(
      findings(training: 0.2, crossValidated: 0.21, validation: 0.2, signal: told).status == .bias)
  }

  @Test func aRareClassIsToldByItsProbability() throws {
    // Never the most probable answer, but far more probable where it is the label.
    let rare = try signal(first: 90) { $0 < 90 ? 0.97 : 0.45 }
    #expect(rare.sigma == 0 && rare.isPresent)
  }

  @Test func hintsThatAdviseTheOppositeAreLeftOut() {
    let history = (0..<4).map {
      EpochRecord(
        epoch: $0, trainLoss: 1 - 0.1 * Double($0), trainAccuracy: 0.7,
        validLoss: 1 - 0.1 * Double($0), validAccuracy: 0.65, learningRates: [0.1], seconds: 1)
    }
    let hints = FitDiagnosis.hints(history)
    #expect(hints.map(\.kind) == [.underfitting])
    #expect(
      findings(training: 0, crossValidated: 0.15, validation: 0.16, hints: hints).hints.isEmpty)
    #expect(
      findings(training: 0.2, crossValidated: 0.21, validation: 0.21, hints: hints).hints.count == 1
    )
  }

  @Test func whatCanBeWonIsSaid() {
    #expect(
      findings(training: 0.5, crossValidated: 0.3, validation: 0.5).gain?
        .contains("about 20.0 points") == true)
    #expect(
      findings(training: 0, crossValidated: 0.15, validation: 0.16).gain?.contains("15.0 points")
        == true)
    #expect(findings(training: 0.01, crossValidated: 0.02, validation: 0.02).gain == nil)
  }

  @Test func whatPeopleCannotDoIsNotBias() {
    #expect(
      findings(training: 0.2, crossValidated: 0.21, validation: 0.2, human: 0.19).status
        == .healthy)
  }

  @Test func aHandfulOfPhotosIsNotAccused() {
    // One wrong of 12 against none: chance.
    let few = findings(training: 0, crossValidated: 1.0 / 12, validation: 1.0 / 12, count: 12)
    #expect(few.status == .healthy)
  }

  @Test func aFailedOverfitTestComesFirst() {
    let failed = FitFindings.OverfitTest(
      photos: 16, groups: ["head"], steps: 300, firstLoss: 2, loss: 0.7)
    #expect(!failed.passed)
    #expect(
      findings(training: 0.5, crossValidated: 0.5, validation: 0.5, overfit: failed).status
        == .broken)
    #expect(
      FitFindings.OverfitTest(photos: 16, groups: [], steps: 9, firstLoss: 2, loss: .nan).passed
        == false)
  }

  @Test func splitsOfOneKindAreSeldomToldApart() throws {
    let accused = try (0..<200).count { try splits(20, shift: 0, seed: UInt64($0)).isSignificant }
    #expect(accused <= 4)
    #expect(try splits(20, shift: 2).isSignificant)
  }

  @Test func differentSharesOfTheClassesAreNoMismatch() throws {
    // Scores follow the class alone; the second split has more of class 1.
    let labels = [Int](repeating: 0, count: 90) + [Int](repeating: 1, count: 110)
    let isSecond = labels.indices.map { $0 < 90 ? $0 < 10 : $0 < 190 }
    var stream = RandomStream(seed: 5, purpose: .procedural)
    let scores = labels.map { Double($0) * 3 + stream.normal() }
    let result = try #require(SplitMismatch(scores: scores, isSecond: isSecond, labels: labels))
    #expect(!result.isSignificant)
    #expect(SplitMismatch(scores: [1, 2], isSecond: [true, false], labels: [0, 1]) == nil)
  }

  @Test func swappedLabelsAreFoundAndRightOnesAreNot() throws {
    let (count, width, classes) = (120, 16, 3)
    var stream = RandomStream(seed: 2, purpose: .procedural)
    let truth = (0..<count).map { $0 % classes }
    let features = Tensor<Float>(shape: [count, width]) { output in
      for row in 0..<count {
        for column in 0..<width {
          output[row * width + column] = Float(
            stream.normal() + (column == truth[row] ? 6 : 0) + 20)
        }
      }
    }
    var labels = truth
    let swapped = [3, 50, 77, 101]
    for row in swapped { labels[row] = (truth[row] + 1) % classes }
    let probabilities = Tensor<Float>(shape: [count, classes]) { output in
      for row in 0..<count {
        for index in 0..<classes { output[row * classes + index] = index == truth[row] ? 0.8 : 0.1 }
      }
    }
    let result = LabelSuspicion(
      features: features, probabilities: probabilities, labels: labels)
    #expect(result.cases.count == count)
    #expect(Set(result.cases.prefix(4).map(\.photo)) == Set(swapped))
    #expect(Set(result.cases.filter(\.isSuspicious).map(\.photo)) == Set(swapped))
    #expect(result.cases[0].suggestion == truth[result.cases[0].photo])
  }

  @Test func photosWithoutAProbabilityAreLeftOut() {
    let features = Tensor<Float>([0, 1, 1, 0, 1, 1], shape: [3, 2])
    let probabilities = Tensor<Float>([0.9, 0.1, .nan, .nan, 0.2, 0.8], shape: [3, 2])
    let result = LabelSuspicion(
      features: features, probabilities: probabilities, labels: [0, 1, 1])
    #expect(Set(result.cases.map(\.photo)) == [0, 2])
  }
}
