// SPDX-License-Identifier: Apache-2.0

/// A number and what it counts, in the right form: `1 photo`, `2 photos`, `3 classes`.
///
/// - Parameter plural: where it is not the noun and an `s`.
package func counted(_ count: Int, _ noun: String, _ plural: String? = nil) -> String {
  "\(count) \(count == 1 ? noun : plural ?? noun + "s")"
}
