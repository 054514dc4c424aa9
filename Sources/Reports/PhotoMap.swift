// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// Photos laid out on a plane by what the network makes of them: those that it sees alike are near each other.
package struct PhotoMap: Sendable, Equatable, Codable {
  /// A photo and its place.
  package struct Point: Sendable, Equatable, Codable {
    /// Below the dataset's root.
    package let path: String
    package let label: String
    package let split: String
    /// In the unit square, y downwards.
    package let x: Double
    package let y: Double

    package init(path: String, label: String, split: String, x: Double, y: Double) {
      (self.path, self.label, self.split) = (path, label, split)
      (self.x, self.y) = (x, y)
    }
  }

  /// What it was computed from; another one is computed anew.
  package let key: String
  /// By class and then from left to right, which is the order of the arrow keys.
  package let points: [Point]
  /// Photos that there are; more than ``points`` when these are a sample.
  package let count: Int
  /// A JPEG of small pictures, row after row, in the order of ``points``.
  package let sheet: Data
  /// Pictures in a row of ``sheet``.
  package let columns: Int

  package init(key: String, points: [Point], count: Int, sheet: Data, columns: Int) {
    (self.key, self.points, self.count) = (key, points, count)
    (self.sheet, self.columns) = (sheet, columns)
  }
}
