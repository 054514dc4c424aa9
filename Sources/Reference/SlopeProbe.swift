// SPDX-License-Identifier: Apache-2.0

import ThawTensors

/// Central differences of a loss along directions in the space of one parameter, in Double.
///
/// (loss(p + h d) - loss(p - h d)) / 2h approaches <gradient, d> with an error of order h^2. Networks
/// of relus and maxima are smooth in pieces only, so two points are compared only when they lie on the
/// same piece: h shrinks until they do, and a probe that never does (it starts right at a kink) is
/// reported as such and proves nothing.
package final class SlopeProbe {
  /// The loss of logits [N, classes], row major, and its gradient.
  package typealias Loss = (_ logits: [Double]) -> (value: Double, gradient: [Double])

  /// Steps to try, longest first: rounding grows with 1/h, curvature with h^2.
  private static let steps = [1e-4, 1e-5, 3e-6, 1e-6, 3e-7, 1e-7, 3e-8]
  /// A probe that agrees this well needs no shorter step.
  private static let enough = 1e-7

  /// The slope along one direction.
  package struct Slope: Sendable {
    /// From the differences.
    package let numeric: Double
    /// The difference to the expected one, over the scale.
    package let relativeError: Double
  }

  private let plan: ReferenceTrainingPlan<Double>
  private let loss: Loss
  /// The longest step worth trying, for directions with one and with many elements: the further from
  /// the output, the more kinks there are to cross.
  private var first = (single: 0, many: 0)

  /// Probes `plan`, which has just made a training pass.
  package init(_ plan: ReferenceTrainingPlan<Double>, loss: @escaping Loss) {
    self.plan = plan
    self.loss = loss
  }

  /// Compares the slope of the loss along `direction` with `expected`; nil when every step crosses a
  /// kink.
  ///
  /// The parameter is put back. The results of later layers are left as the last probe made them:
  /// probe parameters in the order of the backward pass.
  ///
  /// - Parameters:
  ///   - values: of trainable parameter `index`, which are changed and put back.
  ///   - direction: changes element `i` by `direction(i)`, of order 1.
  ///   - unit: of the parameter, for example its root mean square; steps are relative to it.
  ///   - scale: what an error is relative to.
  package func slope(
    ofTrainable index: Int, _ values: UnsafeMutableBufferPointer<Double>,
    along direction: [(element: Int, amount: Double)], unit: Double, expected: Double,
    scale: Double
  ) -> Slope? {
    let layer = plan.layer(ofTrainable: index)
    let kept = direction.map { values[$0.element] }
    func move(_ h: Double) -> (Double, KinkSides) {
      for (at, part) in direction.enumerated() {
        values[part.element] = kept[at] + h * part.amount
      }
      let (output, kinks) = plan.repeatForward(from: layer)
      return (loss(output).value, kinks)
    }
    defer { for (at, part) in direction.enumerated() { values[part.element] = kept[at] } }
    let start = direction.count == 1 ? first.single : first.many
    var best: Slope?
    for (index, step) in SlopeProbe.steps.enumerated().dropFirst(start) {
      let h = step * unit
      let (above, sideAbove) = move(h)
      let (below, sideBelow) = move(-h)
      guard sideAbove == sideBelow else { continue }
      let numeric = (above - below) / (2 * h)
      let error = abs(numeric - expected) / scale
      let slope = Slope(numeric: numeric, relativeError: error.isNaN ? .infinity : error)
      if let best, best.relativeError <= slope.relativeError { break }
      if best == nil { remember(max(index - 1, start), isSingle: direction.count == 1) }
      best = slope
      if slope.relativeError < SlopeProbe.enough { break }
    }
    return best
  }

  private func remember(_ start: Int, isSingle: Bool) {
    if isSingle { first.single = start } else { first.many = start }
  }
}
