// SPDX-License-Identifier: Apache-2.0

/// Minimises a smooth function with limited-memory BFGS and a strong Wolfe line search.
///
/// Deterministic: the same function and start give the same bits.
///
/// - Source: Nocedal and Wright 2006, Numerical Optimization, algorithms 7.4, 7.5, 3.5 and 3.6.
struct LimitedMemoryBFGS {
  /// Value at a point; the gradient is written into the second argument.
  typealias Function = (_ point: [Double], _ gradient: inout [Double]) -> Double

  /// Pairs of steps and gradient differences that are remembered.
  var memory = 10
  var maximumIterations = 500
  /// Ends when no element of the gradient is larger than this.
  var tolerance = 1e-5
  /// Relative rounding error of the function's values: smaller rises do not count as such.
  var noise = 1e-7

  struct Solution {
    var point: [Double]
    var value: Double
    var gradientMaximum: Double
    var iterations: Int
    var evaluations: Int
    var isConverged: Bool
    /// Of the solver that found it.
    var tolerance: Double
    /// Whether the solver had used up its iterations.
    var isCut: Bool
  }

  /// A point on the search line.
  struct Trial {
    var step: Double
    var value: Double
    var slope: Double
    var point: [Double]
    var gradient: [Double]
  }

  func minimize(from start: [Double], _ function: Function) -> Solution {
    var gradient = [Double](repeating: 0, count: start.count)
    let value = function(start, &gradient)
    var current = Trial(step: 0, value: value, slope: 0, point: start, gradient: gradient)
    var history = CurvatureHistory(limit: memory)
    var (iterations, evaluations) = (0, 1)
    while iterations < maximumIterations, current.gradient.largestMagnitude > tolerance {
      var direction = history.direction(against: current.gradient)
      current.slope = direction.dot(current.gradient)
      if current.slope >= 0 {
        history = CurvatureHistory(limit: memory)
        direction = current.gradient.map { -$0 }
        current.slope = direction.dot(current.gradient)
      }
      let first =
        history.isEmpty ? min(1, 1 / max(direction.dot(direction).squareRoot(), 1e-300)) : 1
      var search = LineSearch(
        origin: current, direction: direction, slack: noise * max(abs(current.value), 1e-12))
      let found = search.run(first: first, function)
      evaluations += search.evaluations
      guard let found else { break }
      history.append(from: current, to: found)
      current = found
      current.step = 0
      iterations += 1
    }
    let largest = current.gradient.largestMagnitude
    return Solution(
      point: current.point, value: current.value, gradientMaximum: largest,
      iterations: iterations, evaluations: evaluations, isConverged: largest <= tolerance,
      tolerance: tolerance, isCut: iterations >= maximumIterations)
  }
}

/// The remembered pairs (s, y) and the two-loop recursion over them.
private struct CurvatureHistory {
  let limit: Int
  private var pairs: [(step: [Double], change: [Double], inverse: Double)] = []

  init(limit: Int) { self.limit = limit }

  var isEmpty: Bool { pairs.isEmpty }

  mutating func append(from old: LimitedMemoryBFGS.Trial, to new: LimitedMemoryBFGS.Trial) {
    let step = zip(new.point, old.point).map { $0 - $1 }
    let change = zip(new.gradient, old.gradient).map { $0 - $1 }
    let curvature = step.dot(change)
    // Without positive curvature the approximation would lose its definiteness.
    guard curvature > 1e-14 * change.dot(change) else { return }
    if pairs.count == limit { pairs.removeFirst() }
    pairs.append((step, change, 1 / curvature))
  }

  /// -H * gradient.
  func direction(against gradient: [Double]) -> [Double] {
    var result = gradient
    var shares: [Double] = []
    for pair in pairs.reversed() {
      let share = pair.inverse * pair.step.dot(result)
      result.add(-share, pair.change)
      shares.append(share)
    }
    if let last = pairs.last {
      result.scale(1 / (last.inverse * last.change.dot(last.change)))
    }
    for (pair, share) in zip(pairs, shares.reversed()) {
      result.add(share - pair.inverse * pair.change.dot(result), pair.step)
    }
    result.scale(-1)
    return result
  }
}

/// Looks for a step with sufficient decrease and a flat enough slope.
private struct LineSearch {
  typealias Trial = LimitedMemoryBFGS.Trial
  let origin: Trial
  let direction: [Double]
  let slack: Double
  var evaluations = 0
  private let decrease = 1e-4
  private let flatness = 0.9
  private let limit = 25

  init(origin: Trial, direction: [Double], slack: Double) {
    self.origin = origin
    self.direction = direction
    self.slack = slack
  }

  /// The accepted trial; nil when rounding errors leave nothing to gain.
  mutating func run(first: Double, _ function: LimitedMemoryBFGS.Function) -> Trial? {
    var (previous, step) = (origin, first)
    while evaluations < limit {
      let trial = evaluate(step, function)
      if !isLowEnough(trial) || (evaluations > 1 && trial.value > previous.value + slack) {
        return zoom(low: previous, high: trial, function)
      }
      if isFlatEnough(trial) { return trial }
      if trial.slope >= 0 { return zoom(low: trial, high: previous, function) }
      previous = trial
      step *= 2
    }
    return previous.step > 0 ? previous : nil
  }

  private mutating func zoom(
    low: Trial, high: Trial, _ function: LimitedMemoryBFGS.Function
  ) -> Trial? {
    var (low, high) = (low, high)
    while evaluations < limit {
      let trial = evaluate(between(low, high), function)
      if !isLowEnough(trial) || trial.value > low.value + slack {
        high = trial
      } else {
        if isFlatEnough(trial) { return trial }
        if trial.slope * (high.step - low.step) >= 0 { high = low }
        low = trial
      }
      if abs(high.step - low.step) < 1e-12 * max(low.step, high.step) { break }
    }
    return low.step > 0 ? low : nil
  }

  private func isLowEnough(_ trial: Trial) -> Bool {
    trial.value <= origin.value + decrease * trial.step * origin.slope + slack
  }

  private func isFlatEnough(_ trial: Trial) -> Bool {
    abs(trial.slope) <= flatness * abs(origin.slope)
  }

  /// The minimum of the cubic through both values and slopes, kept away from the ends.
  private func between(_ low: Trial, _ high: Trial) -> Double {
    let width = high.step - low.step
    let middle = low.step + width / 2
    guard high.value.isFinite, high.slope.isFinite else { return middle }
    let d1 = low.slope + high.slope - 3 * (low.value - high.value) / (low.step - high.step)
    let square = d1 * d1 - low.slope * high.slope
    guard square >= 0 else { return middle }
    let d2 = width < 0 ? -square.squareRoot() : square.squareRoot()
    let denominator = high.slope - low.slope + 2 * d2
    let step = high.step - width * (high.slope + d2 - d1) / denominator
    let (least, most) = (
      min(low.step, high.step) + 0.1 * abs(width), max(low.step, high.step) - 0.1 * abs(width)
    )
    return step.isFinite ? min(max(step, least), most) : middle
  }

  private mutating func evaluate(
    _ step: Double, _ function: LimitedMemoryBFGS.Function
  ) -> Trial {
    var point = origin.point
    point.add(step, direction)
    var gradient = [Double](repeating: 0, count: point.count)
    let value = function(point, &gradient)
    evaluations += 1
    return Trial(
      step: step, value: value, slope: gradient.dot(direction), point: point, gradient: gradient)
  }
}

extension [Double] {
  fileprivate var largestMagnitude: Double { reduce(0) { Swift.max($0, $1.magnitude) } }

  fileprivate func dot(_ other: [Double]) -> Double {
    var sum = 0.0
    for index in indices { sum += self[index] * other[index] }
    return sum
  }

  fileprivate mutating func add(_ factor: Double, _ other: [Double]) {
    for index in indices { self[index] += factor * other[index] }
  }

  fileprivate mutating func scale(_ factor: Double) {
    for index in indices { self[index] *= factor }
  }
}
