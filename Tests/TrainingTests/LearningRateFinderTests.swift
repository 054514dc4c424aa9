// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawExecution
import ThawNetwork
import ThawTensors
import ThawTestSupport
import ThawTraining

private let samples = clouds(90, inputs: 6, classes: 3, seed: 1)

private struct SuggestionCase: Decodable {
  let name: String
  let losses: [Double]
  let valley: Double
  let slide: Double?
  let minimum: Double
  let steep: Double
}

/// Fails from one reading on.
private final class BreakingFeatures: FeatureSource {
  struct Broken: Error {}
  private var readings = 0
  var count: Int { samples.count }
  var stride: Int { samples.stride }
  func label(_ index: Int) -> Int { samples.label(index) }
  func copyFeatures(
    of indices: ArraySlice<Int>, view: FeatureView, into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    readings += 1
    if readings > 20 { throw Broken() }
    samples.copyFeatures(of: indices, view: view, into: output)
  }
}

private func makePlan() -> DensePlan {
  let plan = DensePlan(inputs: 6, classes: 3, batch: 16, dropout: 0.2)
  plan.withTrainable { _, values, _ in
    for index in values.indices { values[index] = 0.01 * Float(index) }
  }
  return plan
}

@Suite struct SweepTests {
  /// fastai v2: 1e-7 * (10 / 1e-7)^(i / 100).
  @Test func ratesAreThoseOfFastai() {
    let sweep = LearningRateSweep()
    expectClose([0, 1, 50, 99].map(sweep.rate), [1e-7, 1.20226e-7, 1e-3, 8.31764], absolute: 0)
    let old = LearningRateSweep(start: 1e-5)
    expectClose([0, 1, 50, 99].map(old.rate), [1e-5, 1.14815e-5, 1e-2, 8.70964], absolute: 0)
    let linear = LearningRateSweep(start: 1, end: 3, iterations: 10, isLinear: true)
    expectClose([0, 5, 10].map(linear.rate), [1, 2, 3])
  }

  @Test func impossibleNumbersAreNamed() {
    #expect(LearningRateSweep().problem == nil)
    for (word, sweep) in [
      ("start < end", LearningRateSweep(start: 0)), ("start < end", LearningRateSweep(end: 1e-8)),
      ("6 iterations", LearningRateSweep(iterations: 5)),
      ("batch size", LearningRateSweep(batchSize: 0)),
      ("smoothing", LearningRateSweep(smoothing: 1)),
      ("divergence", LearningRateSweep(divergenceFactor: 1)),
    ] {
      #expect(sweep.problem?.contains(word) == true, "\(word)")
    }
  }
}

@Suite struct SuggestionTests {
  /// fastai 2.7.18's own functions on constructed curves.
  @Test func suggestionsAreThoseOfFastai() throws {
    let cases = try golden("finder", as: [SuggestionCase].self)
    #expect(cases.count == 10)
    let sweep = LearningRateSweep()
    for test in cases {
      let rates = test.losses.indices.map { sweep.rate($0 + 10) }
      let found = LearningRateSuggestions(rates: rates, losses: test.losses)
      expectClose([try #require(found.minimum)], [test.minimum], absolute: 0, test.name)
      expectClose([try #require(found.steep)], [test.steep], absolute: 0, test.name)
      #expect((found.slide == nil) == (test.slide == nil), "\(test.name)")
      if let slide = found.slide { expectClose([slide], [test.slide ?? 0], absolute: 0, test.name) }
      if test.name == "rising throughout" {
        #expect(found.valley == nil)
      } else {
        expectClose([try #require(found.valley)], [test.valley], absolute: 0, test.name)
      }
    }
  }

  @Test func shortCurvesSuggestNothingInsteadOfTrapping() {
    #expect(
      LearningRateSuggestions(rates: [], losses: [])
        == LearningRateSuggestions(rates: [1], losses: [1]).without(\.minimum))
    // Two falling points: fastai's index is -1, which reads its last rate.
    let two = LearningRateSuggestions(rates: [1, 2], losses: [2, 1])
    #expect(two.valley == 1)
    #expect(two.slide == nil)
    #expect(two.minimum == 0.2)
    let fifteen = (1...15).map(Double.init)
    #expect(LearningRateSuggestions(rates: fifteen, losses: fifteen.map { -$0 }).slide == nil)
  }
}

extension LearningRateSuggestions {
  /// Whether nothing but `path` is suggested, as the value without any.
  fileprivate func without(_ path: KeyPath<Self, Double?>) -> LearningRateSuggestions {
    let all = [valley, slide, minimum, steep].compactMap { $0 }
    #expect(all == [self[keyPath: path]].compactMap { $0 })
    return LearningRateSuggestions(rates: [], losses: [])
  }
}

@Suite struct LearningRateFinderTests {
  private let finder = LearningRateFinder(LearningRateSweep(start: 1e-4, end: 1e4, batchSize: 16))

  @Test func findsTheValleyAndStopsAfterDivergence() throws {
    let plan = makePlan()
    let search = try finder.search(plan, on: samples)
    #expect(search.stopReason == .diverged)
    #expect(search.rates.count < 100)
    #expect(search.losses.count == search.rates.count)
    #expect(search.smoothed.count == search.rates.count)
    #expect(search.rates == search.rates.indices.map(finder.sweep.rate))
    let (last, lowest) = (search.smoothed[search.smoothed.count - 1], search.smoothed.min() ?? 0)
    #expect(last > 4 * lowest)
    #expect(search.smoothed.dropLast().allSatisfy { $0 <= 4 * lowest })
    // The rate does train: a tenth of it is slower, and ten times it is not better.
    let valley = try #require(search.suggestions.valley)
    #expect(valley > 1e-3 && valley < 10)
  }

  /// a = 0.98 a + 0.02 x, divided by 1 - 0.98^n.
  @Test func lossIsSmoothedWithoutBias() throws {
    let search = try finder.search(makePlan(), on: samples)
    var average = 0.0
    for (index, loss) in search.losses.enumerated() {
      average = 0.98 * average + 0.02 * loss
      let expected = average / (1 - pow(0.98, Double(index + 1)))
      #expect(abs(search.smoothed[index] - expected) < 1e-9 * expected)
    }
    #expect(search.smoothed.first == search.losses.first)
  }

  @Test func suggestionsLeaveOutTheEndsOfTheCurve() throws {
    let search = try finder.search(makePlan(), on: samples)
    let end = search.rates.count - 5
    #expect(
      search.suggestions
        == LearningRateSuggestions(
          rates: Array(search.rates[10..<end]), losses: Array(search.smoothed[10..<end])))
  }

  @Test func restoresEverythingHoweverItEnds() throws {
    let plan = makePlan()
    let before = plan.exportParameters()
    var steps = 0
    let cancelled = try finder.search(
      plan, on: samples, isCancelled: { steps == 30 }, onStep: { steps = $0 })
    #expect(cancelled.stopReason == .cancelled)
    #expect(cancelled.rates.count == 30)
    #expect(plan.exportParameters() == before)
    #expect(throws: BreakingFeatures.Broken.self) {
      try finder.search(plan, on: BreakingFeatures())
    }
    #expect(plan.exportParameters() == before)
    _ = try finder.search(plan, on: samples)
    #expect(plan.exportParameters() == before)
    #expect(plan.gradient(of: "fc.weight") == Tensor(zeros: [3, 6]))
  }

  @Test func aSearchInTheMiddleOfATrainingChangesNothingOfIt() throws {
    let configuration = TrainerConfiguration(epochs: 3, batchSize: 16, optimizer: .adamW())
    func train(searching: Bool) throws -> Parameters {
      let plan = makePlan()
      let trainer = try Trainer(
        configuration, plan: plan, rates: LearningRates(0.05), training: samples)
      _ = try trainer.run(
        TrainerHooks(onBatch: { trainer in
          if searching, trainer.progress.step == 8 { _ = try finder.search(plan, on: samples) }
        }))
      return plan.exportParameters()
    }
    #expect(try train(searching: true) == train(searching: false))
  }

  @Test func worksOnFewerSamplesThanABatch() throws {
    let few = clouds(5, inputs: 6, classes: 3, seed: 3)
    let search = try LearningRateFinder(LearningRateSweep(iterations: 40)).search(
      makePlan(), on: few)
    #expect(search.rates.count == 40)
    #expect(search.stopReason == .finished)
    #expect(search.suggestions.minimum != nil)
    #expect(throws: TrainingError.noSamples(split: "train")) {
      try finder.search(makePlan(), on: InMemoryFeatures(Tensor(zeros: [0, 6]), labels: []))
    }
  }

  @Test func overflowEndsTheSearchWithoutBecomingPartOfTheCurve() throws {
    let sweep = LearningRateSweep(start: 1e30, end: 3e38, batchSize: 16, divergenceFactor: nil)
    let plan = makePlan()
    let before = plan.exportParameters()
    let search = try LearningRateFinder(sweep).search(plan, on: samples)
    #expect(search.stopReason == .nonFinite)
    #expect(search.losses.allSatisfy { $0.isFinite })
    #expect(plan.exportParameters() == before)
  }

  @Test func groupsKeepTheirRatios() throws {
    let graph = DensePlan.graph(inputs: 6, classes: 3)
    // The dense layer is in the second group: at a hundredth of the first one's rate.
    let ratios = LearningRates([1, 0.01], for: graph)
    let slow = try finder.search(makePlan(), on: samples, ratios: ratios)
    let shifted = LearningRateFinder(LearningRateSweep(start: 1e-6, end: 1e2, batchSize: 16))
    let plain = try shifted.search(makePlan(), on: samples)
    #expect(slow.rates.first == 1e-4)
    expectClose(slow.losses, plain.losses, relative: 1e-4)
  }

  @Test func resultIsExactAsJSON() throws {
    let search = try finder.search(makePlan(), on: samples)
    let json = try JSONEncoder().encode(search)
    #expect(try JSONDecoder().decode(LearningRateSearch.self, from: json) == search)
    let text = String(decoding: json, as: UTF8.self)
    for key in ["learning_rates", "smoothed_losses", "stop_reason", "valley", "slide"] {
      #expect(text.contains("\"\(key)\":"))
    }
    let short = try finder.search(makePlan(), on: samples, isCancelled: { true })
    let empty = String(decoding: try JSONEncoder().encode(short), as: UTF8.self)
    #expect(empty.contains("\"valley\":null"))
  }
}
