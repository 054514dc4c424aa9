// SPDX-License-Identifier: Apache-2.0

/// What becomes of photos that are in several classes, so that their labels contradict each other.
package enum ConflictPolicy: String, Sendable, Hashable, CaseIterable {
  /// They stop, all of them listed.
  case stop
  /// They are left out, all copies of them.
  case drop
  /// They stay in every class, with a warning.
  case keep
}

/// What becomes of photos that show the same picture.
package enum NearDuplicatePolicy: String, Sendable, Hashable, CaseIterable {
  /// They lie in one split.
  case group
  /// They are split like others, with a warning.
  case warn
  /// Nobody looks for them.
  case ignore
  /// Of each group only the largest photo of each class stays.
  case drop
}
