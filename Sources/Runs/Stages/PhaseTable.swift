// SPDX-License-Identifier: Apache-2.0

/// What trains in one phase, layer group by layer group.
package struct PhaseTable: Encodable, Sendable {
  /// Number, from 1.
  package let phase: Int
  /// Its first epoch, from 1.
  package let firstEpoch: Int
  /// Its last epoch unless it stops early.
  package let lastEpoch: Int
  /// Side of the network's input in pixels.
  package let size: Int
  /// Name of the schedule.
  package let schedule: String
  /// The node whose output crosses from the frozen part to the one that trains.
  package let cut: String
  /// The layer groups, input to head.
  package let groups: [GroupRow]

  /// What is frozen, for people.
  package var frozen: String {
    groups.first?.trainable == 0 ? "frozen up to '\(cut)'" : "nothing in front is frozen"
  }
}
