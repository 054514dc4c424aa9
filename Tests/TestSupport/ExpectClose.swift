// SPDX-License-Identifier: Apache-2.0

package import Testing
package import ThawTensors

/// Expects `actual` to agree with `expected` element by element and reports the worst element.
///
/// Two elements agree when |a - e| <= absolute + relative * |e|. Counts, shapes and non-finite values
/// are checked first, so an empty or NaN-filled result cannot pass.
package func expectClose<Scalar: BinaryFloatingPoint & Sendable>(
  _ actual: some Collection<Scalar>, _ expected: some Collection<Scalar>,
  relative: Double = 1e-5, absolute: Double = 1e-6, _ what: String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(actual.count == expected.count, "\(what): counts differ", sourceLocation: sourceLocation)
  guard actual.count == expected.count else { return }
  #expect(!expected.isEmpty, "\(what): nothing to compare", sourceLocation: sourceLocation)
  var worst = (excess: 0.0, index: -1, actual: 0.0, expected: 0.0)
  for (index, pair) in zip(actual, expected).enumerated() {
    let (a, e) = (Double(pair.0), Double(pair.1))
    let excess = a.isFinite && e.isFinite ? abs(a - e) - (absolute + relative * abs(e)) : .infinity
    if excess > worst.excess { worst = (excess, index, a, e) }
  }
  #expect(
    worst.index < 0,
    "\(what): element \(worst.index) is \(worst.actual), expected \(worst.expected)",
    sourceLocation: sourceLocation)
}

/// The same for tensors, with equal shapes.
package func expectClose<Scalar: TensorScalar & BinaryFloatingPoint>(
  _ actual: Tensor<Scalar>, _ expected: Tensor<Scalar>, relative: Double = 1e-5,
  absolute: Double = 1e-6, _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(actual.shape == expected.shape, "\(what): shapes differ", sourceLocation: sourceLocation)
  expectClose(
    actual.elements, expected.elements, relative: relative, absolute: absolute, what,
    sourceLocation: sourceLocation)
}
