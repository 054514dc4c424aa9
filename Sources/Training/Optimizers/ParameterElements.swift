// SPDX-License-Identifier: Apache-2.0

import ThawTensors

/// One parameter in the middle of an update: the loops over its elements.
///
/// Coefficients are worked out in Double once and rounded; the elements are Float, as in PyTorch.
struct ParameterElements {
  let values: UnsafeMutableBufferPointer<Float>
  let gradient: UnsafeMutableBufferPointer<Float>
  let slots: [AlignedStorage<Float>]
  let rate: Double
  let decay: WeightDecay
  let gradientScale: Float

  private var l2: Float { if case .l2(let decay) = decay { Float(decay) } else { 0 } }

  func decayDecoupled() {
    guard case .decoupled(let decay) = decay, decay != 0 else { return }
    let factor = Float(1 - rate * decay)
    for index in values.indices { values[index] *= factor }
  }

  func sgd(momentum: Double, nesterov: Bool) {
    let (rate, l2, scale) = (Float(self.rate), self.l2, gradientScale)
    guard let buffer = slots.first?.elements else {
      for index in values.indices {
        values[index] -= rate * (gradient[index] * scale + l2 * values[index])
      }
      return
    }
    // The buffer starts as the gradient itself; it is zero before the first step.
    let momentum = Float(momentum)
    for index in values.indices {
      let slope = gradient[index] * scale + l2 * values[index]
      let velocity = momentum * buffer[index] + slope
      buffer[index] = velocity
      values[index] -= rate * (nesterov ? slope + momentum * velocity : velocity)
    }
  }

  func adam(beta1: Double, beta2: Double, epsilon: Double, step: Int) {
    let (mean, square) = (slots[0].elements, slots[1].elements)
    let (l2, scale, epsilon) = (self.l2, gradientScale, Float(epsilon))
    let (keep1, new1) = (Float(beta1), Float(1 - beta1))
    let (keep2, new2) = (Float(beta2), Float(1 - beta2))
    let stepSize = Float(rate / (1 - power(beta1, step)))
    let correction = Float(1 / (1 - power(beta2, step)).squareRoot())
    forEachChunk { chunk in
      let value = values.load(chunk)
      let slope = gradient.load(chunk) * scale + l2 * value
      let newMean = keep1 * mean.load(chunk) + new1 * slope
      let newSquare = keep2 * square.load(chunk) + new2 * slope * slope
      mean.store(newMean, chunk)
      square.store(newSquare, chunk)
      let denominator = newSquare.squareRoot() * correction + epsilon
      values.store(value - stepSize * newMean / denominator, chunk)
    }
  }

  func rmsProp(alpha: Double, epsilon: Double, momentum: Double) {
    let square = slots[0].elements
    let (rate, l2, scale, epsilon) = (Float(self.rate), self.l2, gradientScale, Float(epsilon))
    let (keep, new) = (Float(alpha), Float(1 - alpha))
    let buffer = slots.count > 1 ? slots[1].elements : nil
    let momentum = Float(momentum)
    forEachChunk { chunk in
      let value = values.load(chunk)
      let slope = gradient.load(chunk) * scale + l2 * value
      let newSquare = keep * square.load(chunk) + new * slope * slope
      square.store(newSquare, chunk)
      var step = slope / (newSquare.squareRoot() + epsilon)
      if let buffer {
        step += momentum * buffer.load(chunk)
        buffer.store(step, chunk)
      }
      values.store(value - rate * step, chunk)
    }
  }

  /// Calls `body` with runs of eight elements and at last with what remains.
  @inline(__always)
  private func forEachChunk(_ body: (ElementChunk) -> Void) {
    let whole = values.count / ElementChunk.width * ElementChunk.width
    for start in stride(from: 0, to: whole, by: ElementChunk.width) {
      body(ElementChunk(start: start, count: ElementChunk.width))
    }
    if whole < values.count { body(ElementChunk(start: whole, count: values.count - whole)) }
  }

  /// base^exponent by repeated multiplication in a fixed order.
  private func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, square, left) = (1.0, base, exponent)
    while left > 0 {
      if left & 1 == 1 { result *= square }
      square *= square
      left >>= 1
    }
    return result
  }
}
