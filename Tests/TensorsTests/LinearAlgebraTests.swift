// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawTensors
import ThawTestSupport

@Suite struct LinearAlgebraTests {
  private func numbers<Scalar: BLASScalar>(_ count: Int, _ seed: UInt64) -> [Scalar] {
    var stream = RandomStream(seed: seed, purpose: .procedural)
    return (0..<count).map { _ in Scalar(stream.uniform(in: -1...1)) }
  }

  /// C = alpha op(A) op(B) + beta C with padded rows, against three loops in Double.
  private func expectProduct<Scalar: BLASScalar>(
    _ type: Scalar.Type, _ extents: (m: Int, n: Int, k: Int), _ transposed: (Bool, Bool),
    alpha: Scalar, beta: Scalar, relative: Double
  ) {
    let (m, n, k) = extents
    // Stored widths are 3 more than needed, to see that row strides are honoured.
    let (aWidth, bWidth, cWidth) = ((transposed.0 ? m : k) + 3, (transposed.1 ? k : n) + 3, n + 3)
    let a: [Scalar] = numbers((transposed.0 ? k : m) * aWidth, 1)
    let b: [Scalar] = numbers((transposed.1 ? n : k) * bWidth, 2)
    let start: [Scalar] =
      beta == 0 ? Array(repeating: .nan, count: m * cWidth) : numbers(m * cWidth, 3)
    var expected: [Double] = []
    for row in 0..<m {
      for column in 0..<n {
        var sum = 0.0
        for index in 0..<k {
          let left = a[transposed.0 ? index * aWidth + row : row * aWidth + index]
          let right = b[transposed.1 ? column * bWidth + index : index * bWidth + column]
          sum += Double(left) * Double(right)
        }
        let old = beta == 0 ? 0 : Double(beta) * Double(start[row * cWidth + column])
        expected.append(Double(alpha) * sum + old)
      }
    }
    var c = start
    a.withUnsafeBufferPointer { a in
      b.withUnsafeBufferPointer { b in
        c.withUnsafeMutableBufferPointer { c in
          guard let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress else { return }
          LinearAlgebra.multiply(
            MatrixView(a, rows: m, columns: k, rowStride: aWidth, transposed: transposed.0),
            MatrixView(b, rows: k, columns: n, rowStride: bWidth, transposed: transposed.1),
            into: c, rowStride: cWidth, alpha: alpha, beta: beta)
        }
      }
    }
    let actual = (0..<m).flatMap { row in c[(row * cWidth)..<(row * cWidth + n)].map { Double($0) }
    }
    expectClose(
      actual, expected, relative: relative, absolute: relative, "\(extents) \(transposed)")
    for row in 0..<m {
      for column in n..<cWidth {
        let index = row * cWidth + column
        #expect(c[index] == start[index] || (c[index].isNaN && start[index].isNaN))
      }
    }
  }

  @Test(arguments: [false, true], [false, true])
  func productsAreSumsOverTheInnerExtent(_ left: Bool, _ right: Bool) {
    for extents in [(1, 1, 1), (3, 4, 5), (1, 17, 33), (64, 10, 40), (5, 70, 1)] {
      expectProduct(Float.self, extents, (left, right), alpha: 1, beta: 0, relative: 1e-5)
      expectProduct(Float.self, extents, (left, right), alpha: 0.5, beta: 1, relative: 1e-5)
      expectProduct(Double.self, extents, (left, right), alpha: 1, beta: 0, relative: 1e-13)
      expectProduct(Double.self, extents, (left, right), alpha: -2, beta: 0.25, relative: 1e-13)
    }
  }

  @Test func anEmptyInnerExtentScalesTheResult() {
    var c: [Float] = [2, .nan]
    let nothing: [Float] = [0]
    nothing.withUnsafeBufferPointer { nothing in
      guard let empty = nothing.baseAddress else { return }
      c.withUnsafeMutableBufferPointer { c in
        guard let c = c.baseAddress else { return }
        let (a, b) = (
          MatrixView(empty, rows: 1, columns: 0), MatrixView(empty, rows: 0, columns: 1)
        )
        LinearAlgebra.multiply(a, b, into: c, beta: 0.5)
        LinearAlgebra.multiply(a, b, into: c + 1, beta: 0)
      }
    }
    #expect(c == [1, 0])
  }

  @Test func extentsThatDoNotFitTrap() async {
    await #expect(processExitsWith: .failure) {
      let pointer = UnsafeMutablePointer<Float>.allocate(capacity: 16)
      LinearAlgebra.multiply(
        MatrixView(pointer, rows: 2, columns: 3), MatrixView(pointer, rows: 2, columns: 2),
        into: pointer)
    }
    await #expect(processExitsWith: .failure) {
      let pointer = UnsafeMutablePointer<Float>.allocate(capacity: 16)
      _ = MatrixView(pointer, rows: 2, columns: 3, rowStride: 2)
    }
  }
}
