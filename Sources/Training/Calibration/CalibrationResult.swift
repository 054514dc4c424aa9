// SPDX-License-Identifier: Apache-2.0

/// What calibration makes of a model's probabilities on the photos that were judged.
package struct CalibrationResult: Sendable, Equatable, Codable {
  /// Of the model, see ``Temperature``.
  package let temperature: Temperature
  /// How photos were looked at where the temperature was chosen.
  package let look: String
  /// Whether these photos chose it, so that `after` is a little too good.
  package let isOfSamePhotos: Bool
  /// As the network says it.
  package let before: Reliability
  /// With the temperature.
  package let after: Reliability
  /// What sets of labels keep of their promise, for some promises; empty where a model has none.
  package let sets: [SetCoverage]
  /// The same of sets whose promise is one for each class; nil in what earlier versions wrote, and of their models.
  package let classSets: [SetCoverage]?

  private enum CodingKeys: String, CodingKey {
    case temperature, look, before, after, sets
    case classSets = "class_sets"
    case isOfSamePhotos = "same_photos"
  }

  package init(
    temperature: Temperature, look: String, isOfSamePhotos: Bool, before: Reliability,
    after: Reliability, sets: [SetCoverage], classSets: [SetCoverage]? = nil
  ) {
    self.temperature = temperature
    self.look = look
    self.isOfSamePhotos = isOfSamePhotos
    self.before = before
    self.after = after
    self.sets = sets
    self.classSets = classSets
  }

  /// What a reader must know of the temperature, as a sentence; nil for nothing.
  package var caution: String? {
    guard temperature.isOfFew else { return nil }
    return
      "Only \(temperature.photos) validation photos chose the temperature: it is uncertain."
  }
}
