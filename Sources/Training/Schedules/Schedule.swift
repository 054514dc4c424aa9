// SPDX-License-Identifier: Apache-2.0

/// How the learning rate (and momentum) moves during a run: what a recipe names.
///
/// Lengths are in epochs, so that a recipe does not depend on the size of the dataset. Turn it into
/// numbers with ``curve(stepsPerEpoch:epochs:)``.
package indirect enum Schedule: Sendable, Hashable, Codable {
  /// Factor 1 throughout.
  case constant
  /// factor^floor(epoch / every).
  ///
  /// - Source: PyTorch `StepLR`.
  case step(every: Int, factor: Double)
  /// factor^epoch, epoch being fractional: it falls with every batch.
  ///
  /// - Source: Keras `ExponentialDecay`.
  case exponential(factor: Double)
  /// 1 / (1 + decay * epoch), epoch being fractional.
  ///
  /// - Source: Keras `InverseTimeDecay`.
  case inverseTime(decay: Double)
  /// From 1 to `minimum` along half a cosine over the whole run.
  ///
  /// - Source: PyTorch `CosineAnnealingLR`.
  case cosine(minimum: Double)
  /// Cosine cycles to zero, each `multiplier` times as long as the one before; `lowStart` runs the
  /// first twentieth of the first cycle at 1/100, while the cosine's clock goes on.
  ///
  /// - Source: fastai 0.7 `CosAnneal` (sgdr.py), `cycle_len` and `cycle_mult`.
  case sgdr(cycleLength: Int, multiplier: Int, lowStart: Bool)
  /// Cosine cycles from 1 to `minimum`.
  ///
  /// - Source: PyTorch `CosineAnnealingWarmRestarts` (`T_0`, `T_mult`, `eta_min`), stepped per batch
  ///   with fractional epochs.
  case warmRestarts(period: Int, multiplier: Int, minimum: Double)
  /// Cosine from 1 / `startDivisor` up to 1 over the fraction `rise` of the run, then down to
  /// 1 / `finalDivisor`; momentum goes from `highMomentum` to `lowMomentum` and back.
  ///
  /// - Source: fastai v2 `fit_one_cycle` (25, 1e5, 0.25, 0.95, 0.85); Smith 2018, arXiv:1803.09820.
  case oneCycle(
    rise: Double, startDivisor: Double, finalDivisor: Double, highMomentum: Double,
    lowMomentum: Double)
  /// 1 for the fraction `flat` of the run, then cosine to 1 / `finalDivisor`.
  ///
  /// - Source: fastai v2 `fit_flat_cos` (0.75, 1e5).
  case flatCosine(flat: Double, finalDivisor: Double)
  /// A straight line from `start` to 1 over `epochs`, then `next` over the rest of the run.
  case warmUp(epochs: Double, start: Double, next: Schedule)

  /// ``cosine(minimum:)`` down to zero.
  package static let cosineAnnealing = Schedule.cosine(minimum: 0)
  /// ``oneCycle(rise:startDivisor:finalDivisor:highMomentum:lowMomentum:)`` with fastai v2's numbers.
  package static let oneCycleDefault = Schedule.oneCycle(
    rise: 0.25, startDivisor: 25, finalDivisor: 1e5, highMomentum: 0.95, lowMomentum: 0.85)
  /// ``flatCosine(flat:finalDivisor:)`` with fastai v2's numbers.
  package static let flatCosineDefault = Schedule.flatCosine(flat: 0.75, finalDivisor: 1e5)

  /// Epochs that `cycles` whole cycles take: length * (1 + m + m^2 + ...); nil for schedules without
  /// cycles.
  package func epochs(cycles: Int) -> Int? {
    switch self {
    case .sgdr(let length, let multiplier, _), .warmRestarts(let length, let multiplier, _):
      CyclePosition.start(ofCycle: cycles, first: length, multiplier: multiplier)
    case .warmUp(let epochs, _, let next):
      next.epochs(cycles: cycles).map { $0 + Int(epochs.rounded(.up)) }
    default: nil
    }
  }

  /// Whether the first `epochs` of a run are the same however many follow.
  package func beginsAlike(through epochs: Int) -> Bool {
    switch self {
    case .constant, .step, .exponential, .inverseTime, .sgdr, .warmRestarts: true
    case .cosine, .oneCycle, .flatCosine: epochs == 0
    // What follows a warm-up shows in it by its first value alone, which no schedule takes from its length.
    case .warmUp(let length, _, let next):
      Double(epochs) <= length || next.beginsAlike(through: epochs)
    }
  }

  /// What is wrong with the numbers, as a sentence; nil when nothing is.
  package var problem: String? {
    switch self {
    case .constant: nil
    case .step(let every, let factor):
      every < 1
        ? "step.every must be at least 1, got \(every)."
        : Schedule.positive("step.factor", factor)
    case .exponential(let factor): Schedule.positive("exponential.factor", factor)
    case .inverseTime(let decay): Schedule.unsigned("inverseTime.decay", decay)
    case .cosine(let minimum): Schedule.unsigned("cosine.minimum", minimum)
    case .sgdr(let length, let multiplier, _), .warmRestarts(let length, let multiplier, _):
      length < 1 || multiplier < 1
        ? "cycle length and multiplier must be at least 1, got \(length) and \(multiplier)." : nil
    case .oneCycle(let rise, let start, let final, _, _):
      Schedule.fraction("oneCycle.rise", rise) ?? Schedule.positive("oneCycle.startDivisor", start)
        ?? Schedule.positive("oneCycle.finalDivisor", final)
    case .flatCosine(let flat, let final):
      Schedule.fraction("flatCosine.flat", flat)
        ?? Schedule.positive("flatCosine.finalDivisor", final)
    case .warmUp(let epochs, let start, let next):
      Schedule.unsigned("warmUp.epochs", epochs) ?? Schedule.unsigned("warmUp.start", start)
        ?? next.problem
    }
  }

  private static func positive(_ name: String, _ value: Double) -> String? {
    value > 0 && value.isFinite ? nil : "\(name) must be above 0, got \(value)."
  }
  private static func unsigned(_ name: String, _ value: Double) -> String? {
    value >= 0 && value.isFinite ? nil : "\(name) must be at least 0, got \(value)."
  }
  private static func fraction(_ name: String, _ value: Double) -> String? {
    value >= 0 && value <= 1 ? nil : "\(name) must be in 0...1, got \(value)."
  }
}
