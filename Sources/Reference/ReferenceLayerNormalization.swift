// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// A layer norm over the channels of each pixel of [N, C, H, W], or over the features of [N, F].
///
/// y = gamma * (x - mean) * inverse + beta with inverse = 1 / sqrt(variance + epsilon); the mean and the
/// biased variance are the pixel's own, taken in Double.
///
/// - Source: Ba et al. 2016, arXiv:1607.06450.
final class ReferenceLayerNormalization<Scalar: BLASScalar>: ReferenceLayer {
  private let layer: LayerNormalization
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>
  private let gamma: PlanParameter<Scalar>
  private let beta: PlanParameter<Scalar>

  init(_ layer: LayerNormalization, _ context: ReferenceContext<Scalar>) {
    self.layer = layer
    input = context.input
    output = context.output
    gamma = context.required(.normScale)
    beta = context.required(.normShift)
  }

  private var plane: Int { input.stride / layer.channels }

  /// Calls `body` for every pixel of the pass.
  private func forEachPixel(_ pass: ReferencePass, _ body: (ReferencePixel) -> Void) {
    for sample in 0..<pass.count {
      for pixel in 0..<plane {
        let offset = sample * input.stride + pixel
        body(ReferencePixel(offset: offset, channels: layer.channels, step: plane))
      }
    }
  }

  func forward(_ pass: ReferencePass) {
    forEachPixel(pass) { pixel in
      pixel.normalize(
        input.values, into: output.values, gamma: gamma.values, beta: beta.values,
        epsilon: layer.epsilon)
    }
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient else { return }
    forEachPixel(pass) { pixel in
      pixel.addGradients(
        of: outer, input.values, gamma: gamma.values, epsilon: layer.epsilon,
        to: input.gradient, gamma.gradient, beta.gradient)
    }
  }
}

/// The channels of one pixel: elements `step` apart.
struct ReferencePixel {
  let offset: Int
  let channels: Int
  let step: Int

  /// Mean, and 1 / sqrt(biased variance + epsilon), in two passes.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  private func moments<Scalar: BLASScalar>(
    _ x: UnsafePointer<Scalar>, _ epsilon: Double
  ) -> (mean: Double, inverse: Double) {
    var sum = 0.0
    for channel in 0..<channels { sum += Double(x[offset + channel * step]) }
    let mean = sum / Double(channels)
    var squares = 0.0
    for channel in 0..<channels {
      let centred = Double(x[offset + channel * step]) - mean
      squares += centred * centred
    }
    return (mean, 1 / (squares / Double(channels) + epsilon).squareRoot())
  }

  /// y = gamma * (x - mean) * inverse + beta.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  func normalize<Scalar: BLASScalar>(
    _ x: UnsafePointer<Scalar>, into y: UnsafeMutablePointer<Scalar>,
    gamma: UnsafePointer<Scalar>, beta: UnsafePointer<Scalar>, epsilon: Double
  ) {
    let (mean, inverse) = moments(x, epsilon)
    for channel in 0..<channels {
      let at = offset + channel * step
      let normal = (Double(x[at]) - mean) * inverse
      y[at] = Scalar(Double(gamma[channel]) * normal + Double(beta[channel]))
    }
  }

  // With normalised x^ and d = gamma * dy, over the n channels of the pixel:
  //   dx = inverse * (d - sum(d) / n - x^ * sum(d * x^) / n),  dgamma += dy * x^, dbeta += dy
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  func addGradients<Scalar: BLASScalar>(
    of outer: UnsafePointer<Scalar>, _ x: UnsafePointer<Scalar>, gamma: UnsafePointer<Scalar>,
    epsilon: Double, to gradient: UnsafeMutablePointer<Scalar>?,
    _ gammaGradient: UnsafeMutablePointer<Scalar>?, _ betaGradient: UnsafeMutablePointer<Scalar>?
  ) {
    let (mean, inverse) = moments(x, epsilon)
    var sum = 0.0
    var product = 0.0
    for channel in 0..<channels {
      let at = offset + channel * step
      let normal = (Double(x[at]) - mean) * inverse
      let inner = Double(gamma[channel]) * Double(outer[at])
      sum += inner
      product += inner * normal
      gammaGradient?[channel] += Scalar(Double(outer[at]) * normal)
      betaGradient?[channel] += outer[at]
    }
    guard let gradient else { return }
    for channel in 0..<channels {
      let at = offset + channel * step
      let normal = (Double(x[at]) - mean) * inverse
      let inner = Double(gamma[channel]) * Double(outer[at])
      gradient[at] += Scalar(inverse * (inner - (sum + normal * product) / Double(channels)))
    }
  }
}
