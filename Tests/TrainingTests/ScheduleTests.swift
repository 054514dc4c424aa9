// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawTestSupport
import ThawTraining

private func factors(_ curve: ScheduleCurve, _ steps: [Int], rate: Double = 1) -> [Double] {
  steps.map { rate * curve($0).factor }
}

@Suite struct ScheduleTests {
  /// Computed from fastai 0.7's `CosAnneal` (sgdr.py): nb0 = 40, cycle_mult = 2, lr = 0.01.
  @Test func sgdrWithDoublingCyclesEqualsFastai07() {
    let schedule = Schedule.sgdr(cycleLength: 1, multiplier: 2, lowStart: true)
    let curve = schedule.curve(stepsPerEpoch: 40, epochs: 7)
    let steps = [0, 1, 2, 3, 20, 38, 39, 40, 41, 80, 118, 119, 120]
    let expected = [
      1e-4, 1e-4, 0.009938442, 0.00986185, 0.005, 6.1558e-05, 1.5413e-05, 0.01, 0.009996145, 0.005,
      1.5413e-05, 3.855e-06, 0.01,
    ]
    expectClose(
      factors(curve, steps, rate: 0.01), expected, relative: 1e-4, absolute: 1e-9)
    #expect(schedule.epochs(cycles: 3) == 7)
    #expect(
      [38, 39, 40, 119].map { curve.cyclePosition(of: $0)?.isLast } == [false, true, false, true])
  }

  /// Computed from fastai 0.7's `CosAnneal`: nb0 = 10, cycle_mult = 1, lr = 0.01.
  @Test func sgdrWithEqualCyclesEqualsFastai07() {
    let schedule = Schedule.sgdr(cycleLength: 1, multiplier: 1, lowStart: true)
    let expected = [
      1e-4, 0.009755, 0.009045, 0.007939, 0.006545, 0.005, 0.003455, 0.002061, 0.000955, 0.000245,
      0.01, 0.009755,
    ]
    expectClose(
      factors(schedule.curve(stepsPerEpoch: 10, epochs: 3), Array(0..<12), rate: 0.01), expected,
      relative: 0, absolute: 1e-6)
    #expect(schedule.epochs(cycles: 3) == 3)
  }

  /// fastai 0.7 alternates between lr and 0 here; a cycle of one step must train.
  @Test func cyclesOfOneStepRunAtTheFullRate() {
    for lowStart in [false, true] {
      let curve = Schedule.sgdr(cycleLength: 1, multiplier: 1, lowStart: lowStart)
        .curve(stepsPerEpoch: 1, epochs: 5)
      #expect(factors(curve, [0, 1, 2, 3, 4]) == [1, 1, 1, 1, 1])
    }
  }

  /// Computed from fastai v2's `fit_one_cycle`: lr_max = 1e-3 at p = 0, 1/8, 1/4, 1/2, 3/4, 1.
  @Test func oneCycleEqualsFastai2() {
    let curve = Schedule.oneCycleDefault.curve(stepsPerEpoch: 8, epochs: 1)
    let steps = [0, 1, 2, 4, 6, 8]
    expectClose(
      factors(curve, steps, rate: 1e-3), [4e-5, 5.2e-4, 1e-3, 7.500025e-4, 2.500075e-4, 1e-8],
      relative: 1e-9, absolute: 1e-15)
    expectClose(
      steps.compactMap { curve($0).momentum }, [0.95, 0.9, 0.85, 0.875, 0.925, 0.95],
      relative: 1e-12)
  }

  /// From the formula of fastai v2's `fit_flat_cos`, pct_start 0.75, div_final 1e5.
  @Test func flatCosineStaysThenFalls() {
    let curve = Schedule.flatCosineDefault.curve(stepsPerEpoch: 4, epochs: 2)
    expectClose(
      factors(curve, [0, 3, 5, 6, 7, 8]), [1, 1, 1, 1, 0.500005, 1e-5], relative: 1e-9,
      absolute: 1e-12)
  }

  /// PyTorch 2.15's schedulers at four steps an epoch.
  @Test func agreesWithPyTorch() throws {
    let expected = try golden("schedules", as: [String: [Double]].self)
    let cases: [(String, ScheduleCurve, steps: Int)] = [
      ("step", Schedule.step(every: 2, factor: 0.3).curve(stepsPerEpoch: 4, epochs: 6), 24),
      ("cosine", Schedule.cosine(minimum: 0.1).curve(stepsPerEpoch: 4, epochs: 6), 24),
      (
        "warm_restarts",
        Schedule.warmRestarts(period: 2, multiplier: 2, minimum: 0.01)
          .curve(stepsPerEpoch: 4, epochs: 10), 40
      ),
      (
        "warm_restarts_even",
        Schedule.warmRestarts(period: 2, multiplier: 1, minimum: 0)
          .curve(stepsPerEpoch: 4, epochs: 6), 24
      ),
    ]
    for (name, curve, steps) in cases {
      expectClose(
        factors(curve, Array(0..<steps)), try #require(expected[name]), relative: 1e-9,
        absolute: 1e-10, name)
    }
    // PyTorch holds the exponential during an epoch, Thaw goes on: equal at the epochs' starts.
    let exponential = Schedule.exponential(factor: 0.8).curve(stepsPerEpoch: 4, epochs: 6)
    let starts = stride(from: 0, to: 24, by: 4)
    let steps = try #require(expected["exponential_per_epoch"])
    expectClose(factors(exponential, Array(starts)), starts.map { steps[$0] }, relative: 1e-9)
    #expect(abs(exponential(2).factor - 0.8.squareRoot()) < 1e-12)
  }

  /// Keras `InverseTimeDecay(decay_rate=0.5)`: 1 / (1 + 0.5 * epoch).
  @Test func inverseTimeFallsLikeItsFormula() {
    let curve = Schedule.inverseTime(decay: 0.5).curve(stepsPerEpoch: 2, epochs: 4)
    expectClose(factors(curve, [0, 1, 2, 4, 8]), [1, 0.8, 2.0 / 3, 0.5, 1.0 / 3])
  }

  @Test func warmUpLeadsIntoTheNextSchedule() {
    let curve = Schedule.warmUp(epochs: 1, start: 0.2, next: .cosineAnnealing)
      .curve(stepsPerEpoch: 4, epochs: 3)
    let inner = Schedule.cosineAnnealing.curve(stepsPerEpoch: 4, epochs: 2)
    expectClose(factors(curve, [0, 1, 2, 3]), [0.2, 0.4, 0.6, 0.8])
    #expect((4..<12).map { curve($0) } == (0..<8).map { inner($0) })
    #expect(
      Schedule.warmUp(epochs: 9, start: 0, next: .constant).curve(stepsPerEpoch: 1, epochs: 3)(2)
        .factor == 2.0 / 3)
  }

  @Test func everyScheduleIsFiniteInTinyRuns() {
    let schedules: [Schedule] = [
      .constant, .step(every: 1, factor: 0.1), .exponential(factor: 0.5), .inverseTime(decay: 1),
      .cosineAnnealing, .sgdr(cycleLength: 1, multiplier: 3, lowStart: true),
      .warmRestarts(period: 1, multiplier: 1, minimum: 0), .oneCycleDefault, .flatCosineDefault,
      .oneCycle(
        rise: 0, startDivisor: 25, finalDivisor: 1e5, highMomentum: 0.95, lowMomentum: 0.85),
      .oneCycle(
        rise: 1, startDivisor: 25, finalDivisor: 1e5, highMomentum: 0.95, lowMomentum: 0.85),
      .flatCosine(flat: 1, finalDivisor: 10),
      .warmUp(epochs: 1, start: 0.1, next: .oneCycleDefault),
    ]
    for schedule in schedules {
      for total in 1...4 {
        let curve = schedule.curve(stepsPerEpoch: 1, epochs: total)
        let values = factors(curve, Array(0...total))
        #expect(values.allSatisfy { $0.isFinite && $0 >= 0 && $0 <= 1 }, "\(schedule)")
        #expect(values[..<total].contains { $0 > 0 }, "\(schedule) never trains")
      }
    }
  }

  @Test func recipesNameSchedulesInJSON() throws {
    let schedule = Schedule.warmUp(
      epochs: 0.5, start: 0.1, next: .sgdr(cycleLength: 1, multiplier: 2, lowStart: false))
    let data = try JSONEncoder().encode(schedule)
    #expect(try JSONDecoder().decode(Schedule.self, from: data) == schedule)
    let text = #"{"cosine": {"minimum": 0.01}}"#
    #expect(
      try JSONDecoder().decode(Schedule.self, from: Data(text.utf8)) == .cosine(minimum: 0.01))
  }

  @Test func impossibleNumbersAreNamed() {
    #expect(Schedule.sgdr(cycleLength: 0, multiplier: 1, lowStart: false).problem != nil)
    #expect(Schedule.cosine(minimum: .nan).problem?.contains("cosine.minimum") == true)
    #expect(Schedule.warmUp(epochs: 1, start: 0, next: .exponential(factor: 0)).problem != nil)
    #expect(Schedule.oneCycleDefault.problem == nil)
  }
}

@Suite struct LearningRatesTests {
  /// fastai v2: `slice(1e-5, 1e-3)` and `slice(1e-3)` for three groups.
  @Test func slicesSpreadRatesAsFastai2() {
    expectClose(
      LearningRates.geometric(from: 1e-5, to: 1e-3, groups: 3), [1e-5, 1e-4, 1e-3], relative: 1e-12,
      absolute: 0)
    expectClose(
      LearningRates.headAndTenth(1e-3, groups: 3), [1e-4, 1e-4, 1e-3], relative: 1e-12, absolute: 0)
    #expect(LearningRates.layerwise(1, decay: 0.5, groups: 3) == [0.25, 0.5, 1])
  }

  @Test func parametersGetTheRateOfTheirGroup() {
    let graph = DensePlan.graph(inputs: 2, classes: 2)
    let rates = LearningRates([0.1, 0.7], for: graph)
    #expect(rates.rate(of: "fc.weight") == 0.7)
    #expect(LearningRates(0.3).rate(of: "anything") == 0.3)
  }
}
