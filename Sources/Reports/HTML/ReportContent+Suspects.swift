// SPDX-License-Identifier: Apache-2.0

extension ReportContent {
  /// A photo whose label looks wrong.
  package struct Suspect: Sendable {
    /// Its path.
    package var path: String
    /// Its label.
    package var label: String
    /// What it looks like.
    package var suggestion: String
    /// How much more speaks for the suggestion than for the label, 0 to 1.
    package var score: Double
    /// A small PNG or JPEG, whole file; anything else is shown as "no preview".
    package var thumbnail: [UInt8]

    /// A suspect.
    package init(
      path: String, label: String, suggestion: String, score: Double, thumbnail: [UInt8] = []
    ) {
      self.path = path
      self.label = label
      self.suggestion = suggestion
      self.score = score
      self.thumbnail = thumbnail
    }
  }
}
