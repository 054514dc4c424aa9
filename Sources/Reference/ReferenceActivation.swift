// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawNetwork
import ThawTensors

/// An element-wise function.
final class ReferenceActivation<Scalar: BLASScalar>: ReferenceLayer {
  private let function: Activation
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>

  init(_ function: Activation, _ context: ReferenceContext<Scalar>) {
    self.function = function
    input = context.input
    output = context.output
  }

  func forward(_ pass: ReferencePass) {
    ReferenceFunctions.apply(
      function, input.values, into: output.values, count: pass.count * output.stride)
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient, let gradient = input.gradient else { return }
    ReferenceFunctions.addGradient(
      function, of: outer, input.values, to: gradient, count: pass.count * output.stride)
  }
}

extension ReferenceActivation {
  func note(_ kinks: inout KinkSides, _ pass: ReferencePass) {
    switch function {
    case .relu, .relu6:
      let limit: Scalar = function == .relu6 ? 6 : .infinity
      for i in 0..<pass.count * output.stride {
        let x = input.values[i]
        kinks.add(x <= 0 ? 0 : x >= limit ? 2 : 1)
      }
    case .hardSigmoid, .hardSwish:
      for i in 0..<pass.count * output.stride {
        let x = input.values[i]
        kinks.add(x <= -3 ? 0 : x >= 3 ? 2 : 1)
      }
    default: break
    }
  }
}

/// The activations and their derivatives. NaN stays NaN, so that a diverged network is seen.
enum ReferenceFunctions {
  /// y[i] = f(x[i]).
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func apply<Scalar: BLASScalar>(
    _ function: Activation, _ x: UnsafePointer<Scalar>, into y: UnsafeMutablePointer<Scalar>,
    count: Int
  ) {
    switch function {
    case .relu: for i in 0..<count { y[i] = x[i] < 0 ? 0 : x[i] }
    case .relu6: for i in 0..<count { y[i] = x[i] < 0 ? 0 : (x[i] > 6 ? 6 : x[i]) }
    case .silu: for i in 0..<count { y[i] = Scalar(Double(x[i]) * sigmoid(Double(x[i]))) }
    case .sigmoid: for i in 0..<count { y[i] = Scalar(sigmoid(Double(x[i]))) }
    case .gelu: for i in 0..<count { y[i] = Scalar(Double(x[i]) * normal(Double(x[i]))) }
    case .geluTanh:
      for i in 0..<count {
        let x = Double(x[i])
        y[i] = Scalar(x * sigmoid(2 * tanhArgument(x)))
      }
    case .quickGELU:
      for i in 0..<count {
        let x = Double(x[i])
        y[i] = Scalar(x * sigmoid(quickSlope * x))
      }
    case .hardSigmoid: for i in 0..<count { y[i] = Scalar(hardSigmoid(Double(x[i]))) }
    case .hardSwish:
      for i in 0..<count { y[i] = Scalar(Double(x[i]) * hardSigmoid(Double(x[i]))) }
    }
  }

  /// dx[i] += f'(x[i]) * dy[i]. At their kinks relu, relu6 and hard-sigmoid have the derivative 0,
  /// hard-swish has that of the outer side: 0 and 1.
  ///
  /// - Source: PyTorch's `threshold_backward`, `hardtanh_backward`, `hardsigmoid_backward` and
  ///   `hardswish_backward`.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func addGradient<Scalar: BLASScalar>(
    _ function: Activation, of outer: UnsafePointer<Scalar>, _ x: UnsafePointer<Scalar>,
    to gradient: UnsafeMutablePointer<Scalar>, count: Int
  ) {
    switch function {
    case .relu: for i in 0..<count { gradient[i] += x[i] <= 0 ? 0 : outer[i] }
    case .relu6: for i in 0..<count { gradient[i] += x[i] <= 0 || x[i] >= 6 ? 0 : outer[i] }
    case .silu:
      for i in 0..<count {
        let s = sigmoid(Double(x[i]))
        gradient[i] += Scalar(Double(outer[i]) * s * (1 + Double(x[i]) * (1 - s)))
      }
    case .sigmoid:
      for i in 0..<count {
        let s = sigmoid(Double(x[i]))
        gradient[i] += Scalar(Double(outer[i]) * s * (1 - s))
      }
    case .gelu:
      for i in 0..<count {
        let x = Double(x[i])
        let density = exp(-x * x / 2) / (2 * Double.pi).squareRoot()
        gradient[i] += Scalar(Double(outer[i]) * (normal(x) + x * density))
      }
    case .geluTanh:
      for i in 0..<count {
        let x = Double(x[i])
        let s = sigmoid(2 * tanhArgument(x))
        let inner = 2 * (2 / Double.pi).squareRoot() * (1 + 3 * 0.044715 * x * x)
        gradient[i] += Scalar(Double(outer[i]) * s * (1 + x * (1 - s) * inner))
      }
    case .quickGELU:
      for i in 0..<count {
        let x = Double(x[i])
        let s = sigmoid(quickSlope * x)
        gradient[i] += Scalar(Double(outer[i]) * s * (1 + quickSlope * x * (1 - s)))
      }
    case .hardSigmoid:
      for i in 0..<count {
        gradient[i] += x[i] <= -3 || x[i] >= 3 ? 0 : Scalar(Double(outer[i]) / 6)
      }
    case .hardSwish:
      for i in 0..<count {
        let x = Double(x[i])
        gradient[i] += Scalar(Double(outer[i]) * (x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5))
      }
    }
  }

  /// The probability of a standard normal variable below x. By erfc, whose relative accuracy holds
  /// where 1 + erf would cancel.
  private static func normal(_ x: Double) -> Double { erfc(-x / 2.0.squareRoot()) / 2 }
  /// 1 + tanh(u) = 2 sigmoid(2 u).
  private static func tanhArgument(_ x: Double) -> Double {
    (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)
  }
  private static let quickSlope = 1.702
  private static func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
  private static func hardSigmoid(_ x: Double) -> Double {
    x <= -3 ? 0 : x >= 3 ? 1 : (x + 3) / 6
  }
}
