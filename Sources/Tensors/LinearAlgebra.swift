// SPDX-License-Identifier: Apache-2.0

import CThawOpenBLAS

/// A scalar OpenBLAS has kernels for: `Float` and `Double`.
package protocol BLASScalar: TensorScalar, BinaryFloatingPoint {
  /// C = alpha * op(A) op(B) + beta * C; see ``LinearAlgebra/multiply(_:_:into:alpha:beta:)``.
  ///
  /// The caller has checked every extent.
  static func gemm(
    _ a: MatrixView<Self>, _ b: MatrixView<Self>, into c: UnsafeMutablePointer<Self>,
    rowStride: Int, alpha: Self, beta: Self)
}

/// A row-major matrix somewhere in memory, possibly seen transposed.
package struct MatrixView<Scalar> {
  /// Rows and columns of the matrix as it is *used*, that is after the transposition.
  package let rows: Int
  /// Columns as used.
  package let columns: Int
  /// First element in memory.
  package let base: UnsafePointer<Scalar>
  /// Distance in elements between rows as *stored*.
  package let rowStride: Int
  /// Whether the stored matrix is `[columns, rows]`.
  package let isTransposed: Bool

  /// A view of `rows` x `columns` (as used).
  ///
  /// - Parameter rowStride: stored row distance; the stored width when nil.
  package init(
    _ base: UnsafePointer<Scalar>, rows: Int, columns: Int, rowStride: Int? = nil,
    transposed: Bool = false
  ) {
    precondition(rows >= 0 && columns >= 0, "A matrix cannot be \(rows) x \(columns).")
    let width = transposed ? rows : columns
    self.rows = rows
    self.columns = columns
    self.base = base
    self.rowStride = max(rowStride ?? width, 1)
    self.isTransposed = transposed
    precondition(
      self.rowStride >= width, "Row stride \(self.rowStride) is below the width \(width).")
  }
}

/// Dense products on OpenBLAS, with the extents checked here: OpenBLAS itself prints and returns.
package enum LinearAlgebra {
  /// C[m, n] = alpha * A[m, k] * B[k, n] + beta * C, all row major.
  ///
  /// With `beta` 0 the old contents of C are not read, so they may be anything, NaN included.
  /// Edge cases: m or n of 0 does nothing; k of 0 scales C by `beta`.
  package static func multiply<Scalar: BLASScalar>(
    _ a: MatrixView<Scalar>, _ b: MatrixView<Scalar>, into c: UnsafeMutablePointer<Scalar>,
    rowStride: Int? = nil, alpha: Scalar = 1, beta: Scalar = 0
  ) {
    precondition(
      a.columns == b.rows,
      "Cannot multiply \(a.rows) x \(a.columns) by \(b.rows) x \(b.columns).")
    let stride = rowStride ?? max(b.columns, 1)
    precondition(stride >= b.columns, "Row stride \(stride) is below the width \(b.columns).")
    let largest = max(max(a.rows, a.rowStride), max(b.rows, b.rowStride), max(b.columns, stride))
    precondition(largest <= Int(Int32.max), "Extent \(largest) is beyond this OpenBLAS's Int32.")
    guard a.rows > 0, b.columns > 0 else { return }
    if a.columns == 0 { return scale(c, rows: a.rows, columns: b.columns, stride, by: beta) }
    Scalar.gemm(a, b, into: c, rowStride: stride, alpha: alpha, beta: beta)
  }

  /// Sets the size of OpenBLAS's thread pool (at least 1).
  package static func setThreadCount(_ count: Int) {
    thaw_blas_set_threads(Int32(clamping: max(count, 1)))
  }

  private static func scale<Scalar: BLASScalar>(
    _ c: UnsafeMutablePointer<Scalar>, rows: Int, columns: Int, _ stride: Int, by beta: Scalar
  ) {
    for row in 0..<rows {
      for column in 0..<columns {
        let index = row * stride + column
        c[index] = beta == 0 ? 0 : c[index] * beta
      }
    }
  }
}

extension Float: BLASScalar {
  /// Single precision, `sgemm`.
  package static func gemm(
    _ a: MatrixView<Float>, _ b: MatrixView<Float>, into c: UnsafeMutablePointer<Float>,
    rowStride: Int, alpha: Float, beta: Float
  ) {
    thaw_sgemm(
      a.isTransposed, b.isTransposed, Int64(a.rows), Int64(b.columns), Int64(a.columns), alpha,
      a.base, Int64(a.rowStride), b.base, Int64(b.rowStride), beta, c, Int64(rowStride))
  }
}

extension Double: BLASScalar {
  /// Double precision, `dgemm`.
  package static func gemm(
    _ a: MatrixView<Double>, _ b: MatrixView<Double>, into c: UnsafeMutablePointer<Double>,
    rowStride: Int, alpha: Double, beta: Double
  ) {
    thaw_dgemm(
      a.isTransposed, b.isTransposed, Int64(a.rows), Int64(b.columns), Int64(a.columns), alpha,
      a.base, Int64(a.rowStride), b.base, Int64(b.rowStride), beta, c, Int64(rowStride))
  }
}

extension LinearAlgebra {
  /// The library in its own words, for example `OpenBLAS 0.3.21 … SkylakeX MAX_THREADS=64`.
  package static var library: String { String(cString: thaw_blas_description()) }
}
