// SPDX-License-Identifier: Apache-2.0

/// Which part of the photos goes to validation and to test when no folders say so.
package struct SplitFractions: Sendable, Hashable, Codable {
  /// Part of all photos, 0 up to 1.
  package let valid: Double
  /// Part of all photos, 0 up to 1.
  package let test: Double

  /// A fifth for validation, no test photos. Traps unless both are at least 0 and their sum is
  /// below 1.
  package init(valid: Double = 0.2, test: Double = 0) {
    precondition(
      SplitFractions.areUsable(valid, test),
      "Split fractions need 0 <= valid, 0 <= test, valid + test < 1, got \(valid) and \(test).")
    self.valid = valid
    self.test = test
  }

  static func areUsable(_ valid: Double, _ test: Double) -> Bool {
    valid >= 0 && test >= 0 && valid + test < 1
  }

  /// How many of a class's `count` photos each split gets, in the order of `Split.allCases`.
  ///
  /// The largest remainder: every share is rounded down, and what is left goes one by one to the shares
  /// that lost most. Then each split that is wanted gets one at least: training first, validation
  /// where there are two photos, test where there are three.
  func quota(of count: Int) -> [Int] {
    let exact = [1 - valid - test, valid, test].map { $0 * Double(count) }
    var quota = exact.map { Int($0) }
    let order = exact.indices.sorted {
      (exact[$1] - Double(quota[$1]), $0) < (exact[$0] - Double(quota[$0]), $1)
    }
    for index in order.prefix(max(count - quota.reduce(0, +), 0)) { quota[index] += 1 }
    let wanted = [0] + [(1, valid), (2, test)].filter { $0.1 > 0 }.map(\.0)
    for index in wanted.prefix(count) where quota[index] == 0 {
      guard let donor = quota.indices.max(by: { quota[$0] < quota[$1] }), quota[donor] > 1 else {
        continue
      }
      quota[donor] -= 1
      quota[index] += 1
    }
    return quota
  }
}
