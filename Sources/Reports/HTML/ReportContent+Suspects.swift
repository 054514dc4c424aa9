// SPDX-License-Identifier: Apache-2.0

extension ReportContent {
  /// A photo whose label looks wrong.
  public struct Suspect: Sendable {
    /// Its path.
    public var path: String
    /// Its label.
    public var label: String
    /// What it looks like.
    public var suggestion: String
    /// How much more speaks for the suggestion than for the label, 0 to 1.
    public var score: Double
    /// A small PNG or JPEG, whole file; anything else is shown as "no preview".
    public var thumbnail: [UInt8]

    /// A suspect.
    public init(
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
