// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// A response normalisation of each image [C, H, W]; everything is summed in Double.
///
/// With g[c] the norm of a channel, m = mean(g) + epsilon and n[c] = g[c] / m:
///
///     y = x * (1 + weight * n) + bias
///     dweight = n * sum(dy * x),  dbias = sum(dy),  dn = weight * sum(dy * x)
///     dg = dn / m - sum(dn * g) / (C m^2),  dx = (1 + weight * n) * dy + dg * x / g
///
/// The norm of a channel of zeros has the slope 0, as in PyTorch.
final class ReferenceResponseNormalization<Scalar: BLASScalar>: ReferenceLayer {
  private let layer: ResponseNormalization
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>
  private let weight: PlanParameter<Scalar>
  private let bias: PlanParameter<Scalar>

  init(_ layer: ResponseNormalization, _ context: ReferenceContext<Scalar>) {
    self.layer = layer
    input = context.input
    output = context.output
    weight = context.required(.normScale)
    bias = context.required(.normShift)
  }

  private var plane: Int { input.stride / layer.channels }

  /// The norms of an image's channels, and their mean with epsilon.
  private func norms(_ image: UnsafePointer<Scalar>) -> (norms: [Double], mean: Double) {
    let norms = (0..<layer.channels).map { channel in
      Self.product(image + channel * plane, image + channel * plane, plane).squareRoot()
    }
    return (norms, norms.reduce(0, +) / Double(layer.channels) + layer.epsilon)
  }

  func forward(_ pass: ReferencePass) {
    for sample in 0..<pass.count {
      let source = input.values + sample * input.stride
      let (norms, mean) = norms(source)
      for channel in 0..<layer.channels {
        let factor = 1 + Double(weight.values[channel]) * norms[channel] / mean
        Self.scale(
          source + channel * plane, factor, Double(bias.values[channel]), plane,
          into: output.values + sample * output.stride + channel * plane)
      }
    }
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient else { return }
    for sample in 0..<pass.count {
      let start = sample * input.stride
      let (norms, mean) = norms(input.values + start)
      var slopes = [Double](repeating: 0, count: layer.channels)
      var shared = 0.0
      for channel in 0..<layer.channels {
        let at = start + channel * plane
        let product = Self.product(outer + at, input.values + at, plane)
        weight.gradient?[channel] += Scalar(product * norms[channel] / mean)
        bias.gradient?[channel] += Scalar(Self.sum(outer + at, plane))
        slopes[channel] = Double(weight.values[channel]) * product
        shared += slopes[channel] * norms[channel]
      }
      guard let gradient = input.gradient else { continue }
      for channel in 0..<layer.channels {
        let at = start + channel * plane
        let factor = 1 + Double(weight.values[channel]) * norms[channel] / mean
        let slope = slopes[channel] / mean - shared / (Double(layer.channels) * mean * mean)
        let pull = norms[channel] > 0 ? slope / norms[channel] : 0
        Self.addGradient(
          outer + at, input.values + at, factor, pull, plane, to: gradient + at)
      }
    }
  }

  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  private static func product(
    _ left: UnsafePointer<Scalar>, _ right: UnsafePointer<Scalar>, _ count: Int
  ) -> Double {
    var sum = 0.0
    for index in 0..<count { sum += Double(left[index]) * Double(right[index]) }
    return sum
  }

  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  private static func sum(_ values: UnsafePointer<Scalar>, _ count: Int) -> Double {
    var sum = 0.0
    for index in 0..<count { sum += Double(values[index]) }
    return sum
  }

  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  private static func scale(
    _ source: UnsafePointer<Scalar>, _ factor: Double, _ shift: Double, _ count: Int,
    into target: UnsafeMutablePointer<Scalar>
  ) {
    for index in 0..<count { target[index] = Scalar(factor * Double(source[index]) + shift) }
  }

  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  private static func addGradient(
    _ outer: UnsafePointer<Scalar>, _ x: UnsafePointer<Scalar>, _ factor: Double, _ pull: Double,
    _ count: Int, to gradient: UnsafeMutablePointer<Scalar>
  ) {
    for index in 0..<count {
      gradient[index] += Scalar(factor * Double(outer[index]) + pull * Double(x[index]))
    }
  }
}
