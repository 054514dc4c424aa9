// SPDX-License-Identifier: Apache-2.0

package import ThawConfiguration
package import ThawTraining

/// The names of schedules in recipes and on the command line.
package enum ScheduleKind: String, Hashable, Sendable, CaseIterable {
  /// Stays where it is.
  case constant
  /// Falls by a factor every so many epochs.
  case step
  /// Falls by a factor in every epoch, smoothly.
  case exponential
  /// 1 / (1 + decay * epoch).
  case inverseTime = "inverse_time"
  /// Half a cosine from the full rate down.
  case cosine
  /// Cosine annealing with warm restarts (fastai 0.7).
  case sgdr
  /// Cosine annealing with warm restarts (PyTorch).
  case warmRestarts = "warm_restarts"
  /// Up for a quarter of the run, then down; momentum the other way.
  case oneCycle = "one_cycle"
  /// Flat, then half a cosine down.
  case flatCosine = "flat_cosine"

  /// What the rate is multiplied by, for the documentation (Markdown).
  package var text: String {
    switch self {
    case .constant: "1"
    case .step: "factor^floor(epoch / every)"
    case .exponential: "factor^epoch"
    case .inverseTime: "1 / (1 + decay epoch)"
    case .cosine: "half a cosine from 1 to the minimum"
    case .sgdr:
      "fastai 0.7's restarts; `low_start` runs the first twentieth of the first cycle at 1/100"
    case .warmRestarts: "PyTorch's restarts"
    case .oneCycle: "up, then down; momentum the other way"
    case .flatCosine: "flat, then half a cosine"
    }
  }

  /// The schedule with its usual numbers.
  package var schedule: ThawTraining.Schedule {
    switch self {
    case .constant: .constant
    case .step: .step(every: 10, factor: 0.1)
    case .exponential: .exponential(factor: 0.9)
    case .inverseTime: .inverseTime(decay: 0.1)
    case .cosine: .cosineAnnealing
    case .sgdr: .sgdr(cycleLength: 4, multiplier: 2, lowStart: false)
    case .warmRestarts: .warmRestarts(period: 4, multiplier: 2, minimum: 0)
    case .oneCycle: .oneCycleDefault
    case .flatCosine: .flatCosineDefault
    }
  }
}

extension ThawTraining.Schedule {
  /// Its name; with a warm-up that of what follows.
  package var kind: ScheduleKind {
    switch self {
    case .constant: .constant
    case .step: .step
    case .exponential: .exponential
    case .inverseTime: .inverseTime
    case .cosine: .cosine
    case .sgdr: .sgdr
    case .warmRestarts: .warmRestarts
    case .oneCycle: .oneCycle
    case .flatCosine: .flatCosine
    case .warmUp(_, _, let next): next.kind
    }
  }

  /// This schedule without a warm-up.
  package var afterWarmUp: ThawTraining.Schedule {
    if case .warmUp(_, _, let next) = self { next } else { self }
  }

  /// The same after a warm-up of so many epochs from 1 % of the rate; none for 0.
  package func warmedUp(epochs: Double, start: Double = 0.01) -> ThawTraining.Schedule {
    epochs > 0 ? .warmUp(epochs: epochs, start: start, next: afterWarmUp) : afterWarmUp
  }

  /// The same with other cycles; nil for a schedule without.
  package func withCycles(length: Int?, multiplier: Int?) -> ThawTraining.Schedule? {
    switch self {
    case .sgdr(let oldLength, let old, let low):
      .sgdr(cycleLength: length ?? oldLength, multiplier: multiplier ?? old, lowStart: low)
    case .warmRestarts(let oldLength, let old, let minimum):
      .warmRestarts(period: length ?? oldLength, multiplier: multiplier ?? old, minimum: minimum)
    case .warmUp(let epochs, let start, let next):
      next.withCycles(length: length, multiplier: multiplier).map {
        .warmUp(epochs: epochs, start: start, next: $0)
      }
    default: nil
    }
  }
}

extension YAMLFields {
  /// Reads a name, `cosine`, or a name with numbers, `{kind: sgdr, cycle_length: 2}`.
  package mutating func read(_ name: String, into schedule: inout ThawTraining.Schedule) throws {
    guard kind(of: name) == .mapping else {
      var kind = schedule.kind
      let isThere = self.kind(of: name) != .absent
      try read(name, into: &kind)
      if isThere { schedule = kind.schedule }
      return
    }
    var result = schedule
    try section(name) { fields in
      var kind = ScheduleKind.cosine
      try fields.read("kind", into: &kind)
      result = try fields.numbers(of: kind.schedule)
      var (epochs, start) = (0.0, 0.01)
      try fields.read("warm_up", into: &epochs, in: 0...100_000)
      try fields.read("warm_up_start", into: &start, in: 0...1)
      result = result.warmedUp(epochs: epochs, start: start)
    }
    schedule = result
  }

  private mutating func number(
    _ name: String, _ value: Double, in range: ClosedRange<Double>
  ) throws -> Double {
    var value = value
    try read(name, into: &value, in: range)
    return value
  }

  private mutating func count(_ name: String, _ value: Int) throws -> Int {
    var value = value
    try read(name, into: &value, in: 1...100_000)
    return value
  }

  /// `schedule` with the numbers that stand here in place of its own.
  private mutating func numbers(of schedule: ThawTraining.Schedule) throws -> ThawTraining.Schedule
  {
    switch schedule {
    case .constant: return .constant
    case .step(let every, let factor):
      return .step(
        every: try count("every", every), factor: try number("factor", factor, in: 1e-9...10))
    case .exponential(let factor):
      return .exponential(factor: try number("factor", factor, in: 1e-9...10))
    case .inverseTime(let decay):
      return .inverseTime(decay: try number("decay", decay, in: 0...1e6))
    case .cosine(let minimum): return .cosine(minimum: try number("minimum", minimum, in: 0...1))
    case .sgdr(let length, let multiplier, var lowStart):
      try read("low_start", into: &lowStart)
      return .sgdr(
        cycleLength: try count("cycle_length", length),
        multiplier: try count("cycle_mult", multiplier), lowStart: lowStart)
    case .warmRestarts(let length, let multiplier, let minimum):
      return .warmRestarts(
        period: try count("cycle_length", length), multiplier: try count("cycle_mult", multiplier),
        minimum: try number("minimum", minimum, in: 0...1))
    case .oneCycle(let rise, let start, let final, let high, let low):
      return .oneCycle(
        rise: try number("rise", rise, in: 0...1),
        startDivisor: try number("start_divisor", start, in: 1e-3...1e12),
        finalDivisor: try number("final_divisor", final, in: 1e-3...1e12),
        highMomentum: try number("high_momentum", high, in: 0...0.9999),
        lowMomentum: try number("low_momentum", low, in: 0...0.9999))
    case .flatCosine(let flat, let final):
      return .flatCosine(
        flat: try number("flat", flat, in: 0...1),
        finalDivisor: try number("final_divisor", final, in: 1e-3...1e12))
    case .warmUp(_, _, let next): return try numbers(of: next)
    }
  }
}

extension ThawTraining.Schedule {
  /// Its numbers by their keys in a recipe, without a warm-up's.
  package var numbers: [(String, any CustomStringConvertible)] {
    switch afterWarmUp {
    case .constant, .warmUp: []
    case .step(let every, let factor): [("every", every), ("factor", factor)]
    case .exponential(let factor): [("factor", factor)]
    case .inverseTime(let decay): [("decay", decay)]
    case .cosine(let minimum): [("minimum", minimum)]
    case .sgdr(let length, let multiplier, let lowStart):
      [("cycle_length", length), ("cycle_mult", multiplier), ("low_start", lowStart)]
    case .warmRestarts(let length, let multiplier, let minimum):
      [("cycle_length", length), ("cycle_mult", multiplier), ("minimum", minimum)]
    case .oneCycle(let rise, let start, let final, let high, let low):
      [
        ("rise", rise), ("start_divisor", start), ("final_divisor", final),
        ("high_momentum", high), ("low_momentum", low),
      ]
    case .flatCosine(let flat, let final): [("flat", flat), ("final_divisor", final)]
    }
  }

  /// As it stands in a recipe, on one line.
  package var yaml: String {
    if self == kind.schedule { return kind.rawValue }
    var warmUp: [(String, any CustomStringConvertible)] = []
    if case .warmUp(let epochs, let start, _) = self {
      warmUp = [("warm_up", epochs), ("warm_up_start", start)]
    }
    let pairs = (numbers + warmUp).map { "\($0): \($1)" }
    return "{" + (["kind: \(kind.rawValue)"] + pairs).joined(separator: ", ") + "}"
  }
}
