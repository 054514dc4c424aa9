// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The setting of one step.
package struct SchedulePoint: Sendable, Equatable {
  /// Multiplies the learning rate of every layer group.
  package var factor: Double
  /// Replaces the optimizer's momentum (Adam's beta1); nil keeps it.
  package var momentum: Double?

  /// A setting.
  package init(factor: Double, momentum: Double? = nil) {
    self.factor = factor
    self.momentum = momentum
  }
}

/// Where a step lies in a row of growing cycles.
package struct CyclePosition: Sendable, Equatable {
  /// Number of the cycle, 0-based.
  package var cycle: Int
  /// Steps since the cycle's start.
  package var offset: Int
  /// Steps of the cycle.
  package var length: Int

  /// Whether this is the cycle's last step: the moment for a snapshot.
  package var isLast: Bool { offset == length - 1 }

  /// Finds `step` among cycles of `first`, `first * multiplier`, ... steps.
  init(step: Int, first: Int, multiplier: Int) {
    (cycle, offset, length) = (0, step, first)
    while offset >= length {
      offset -= length
      length *= multiplier
      cycle += 1
    }
  }

  /// The sum of the first `cycle` cycles.
  static func start(ofCycle cycle: Int, first: Int, multiplier: Int) -> Int {
    var (sum, length) = (0, first)
    for _ in 0..<max(cycle, 0) {
      sum += length
      length *= multiplier
    }
    return sum
  }
}

/// A ``Schedule`` for a run of known length: a pure function of the global step.
package struct ScheduleCurve: Sendable, Equatable {
  /// What is followed.
  package let schedule: Schedule
  /// Optimizer steps of one epoch.
  package let stepsPerEpoch: Int
  /// Steps of the whole run.
  package let totalSteps: Int

  /// The setting of step `step`, 0-based; steps at or beyond the end get the final setting of
  /// schedules that end.
  ///
  /// Tiny runs are safe: a cycle of one step runs at the full rate, a low start needs a first cycle
  /// of two steps, and a one-cycle or flat-cosine run of a single step is constant.
  package func callAsFunction(_ step: Int) -> SchedulePoint {
    let step = max(step, 0)
    let epoch = Double(step) / Double(stepsPerEpoch)
    switch schedule {
    case .constant: return SchedulePoint(factor: 1)
    case .step(let every, let factor):
      return SchedulePoint(factor: pow(factor, Double(step / stepsPerEpoch / every)))
    case .exponential(let factor): return SchedulePoint(factor: pow(factor, epoch))
    case .inverseTime(let decay): return SchedulePoint(factor: 1 / (1 + decay * epoch))
    case .cosine(let minimum): return SchedulePoint(factor: cosine(1, minimum, progress(step)))
    case .sgdr(let length, let multiplier, let lowStart):
      return sgdr(step, first: length * stepsPerEpoch, multiplier, lowStart: lowStart)
    case .warmRestarts(let length, let multiplier, let minimum):
      let at = CyclePosition(step: step, first: length * stepsPerEpoch, multiplier: multiplier)
      return SchedulePoint(factor: cosine(1, minimum, Double(at.offset) / Double(at.length)))
    case .oneCycle(let rise, let start, let final, let high, let low):
      guard totalSteps > 1 else { return SchedulePoint(factor: 1) }
      let (from, to) = (1 / start, 1 / final)
      let p = progress(step)
      return p < rise
        ? SchedulePoint(factor: cosine(from, 1, p / rise), momentum: cosine(high, low, p / rise))
        : SchedulePoint(
          factor: cosine(1, to, rest(p, after: rise)),
          momentum: cosine(low, high, rest(p, after: rise)))
    case .flatCosine(let flat, let final):
      guard totalSteps > 1 else { return SchedulePoint(factor: 1) }
      let p = progress(step)
      return SchedulePoint(factor: p < flat ? 1 : cosine(1, 1 / final, rest(p, after: flat)))
    case .warmUp(let epochs, let start, let next):
      return warmUp(step, steps: warmUpSteps(epochs), start: start, next: next)
    }
  }

  /// Where `step` lies in its cycle; nil for schedules without cycles and during a warm-up.
  package func cyclePosition(of step: Int) -> CyclePosition? {
    switch schedule {
    case .sgdr(let length, let multiplier, _), .warmRestarts(let length, let multiplier, _):
      return CyclePosition(step: step, first: length * stepsPerEpoch, multiplier: multiplier)
    case .warmUp(let epochs, _, let next):
      let steps = warmUpSteps(epochs)
      return step < steps ? nil : remainder(next, after: steps).cyclePosition(of: step - steps)
    default: return nil
    }
  }

  /// e where p is 1, s where p is 0, half a cosine between.
  private func cosine(_ s: Double, _ e: Double, _ p: Double) -> Double {
    e + (s - e) * (1 + cos(.pi * p)) / 2
  }

  private func progress(_ step: Int) -> Double { min(Double(step) / Double(totalSteps), 1) }

  private func rest(_ p: Double, after start: Double) -> Double {
    start >= 1 ? 1 : (p - start) / (1 - start)
  }

  private func sgdr(_ step: Int, first: Int, _ multiplier: Int, lowStart: Bool) -> SchedulePoint {
    if lowStart, first > 1, Double(step) < Double(first) / 20 {
      return SchedulePoint(factor: 0.01)
    }
    let at = CyclePosition(step: step, first: first, multiplier: multiplier)
    return SchedulePoint(factor: cosine(1, 0, Double(at.offset) / Double(at.length)))
  }

  private func warmUpSteps(_ epochs: Double) -> Int {
    Int(min((epochs * Double(stepsPerEpoch)).rounded(), Double(totalSteps)))
  }

  private func remainder(_ next: Schedule, after steps: Int) -> ScheduleCurve {
    ScheduleCurve(
      schedule: next, stepsPerEpoch: stepsPerEpoch, totalSteps: max(totalSteps - steps, 1))
  }

  private func warmUp(_ step: Int, steps: Int, start: Double, next: Schedule) -> SchedulePoint {
    let after = remainder(next, after: steps)
    guard step < steps else { return after(step - steps) }
    var point = after(0)
    point.factor *= start + (1 - start) * Double(step) / Double(steps)
    return point
  }
}

extension Schedule {
  /// The schedule of a run; traps on numbers below 1 and on a schedule with a ``problem``.
  package func curve(stepsPerEpoch: Int, epochs: Int) -> ScheduleCurve {
    precondition(
      stepsPerEpoch > 0 && epochs > 0,
      "A schedule needs steps and epochs of at least 1, got \(stepsPerEpoch) and \(epochs).")
    precondition(problem == nil, problem ?? "")
    return ScheduleCurve(
      schedule: self, stepsPerEpoch: stepsPerEpoch, totalSteps: stepsPerEpoch * epochs)
  }
}
