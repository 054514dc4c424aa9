// SPDX-License-Identifier: Apache-2.0

import CThawOpenBLAS

extension LinearAlgebra {
  /// The eigenvalues of a symmetric matrix, the largest first, and their eigenvectors of length 1.
  ///
  /// A vector's sign is fixed: its element of the largest magnitude, of equals the first, is positive.
  ///
  /// - Parameter matrix: [n, n], row major, symmetric; only one triangle is read.
  /// - Returns: n values, and [n, n] with the vector of value i in row i; nil when LAPACK does not
  ///   converge, or an element is not finite.
  package static func symmetricEigen(
    _ matrix: [Double], size n: Int
  ) -> (values: [Double], vectors: [Double])? {
    precondition(matrix.count == n * n, "\(matrix.count) elements are no \(n) x \(n) matrix.")
    precondition(n <= 16_384, "An eigenvalue problem of \(n) rows is beyond this OpenBLAS's Int32.")
    guard n > 0 else { return ([], []) }
    guard matrix.allSatisfy(\.isFinite) else { return nil }
    var (vectors, values) = (matrix, [Double](repeating: 0, count: n))
    let status = vectors.withUnsafeMutableBufferPointer { vectors in
      values.withUnsafeMutableBufferPointer { values in
        guard let matrix = vectors.baseAddress, let result = values.baseAddress else {
          return Int32(0)
        }
        return thaw_dsyevd(Int32(n), matrix, result)
      }
    }
    guard status == 0 else { return nil }
    var sorted: [Double] = []
    sorted.reserveCapacity(n * n)
    for row in (0..<n).reversed() {
      let vector = vectors[(row * n)..<((row + 1) * n)]
      let largest = vector.max { abs($0) < abs($1) } ?? 1
      sorted += largest < 0 ? vector.map { -$0 } : Array(vector)
    }
    return (values.reversed(), sorted)
  }
}
