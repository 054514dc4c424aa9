// SPDX-License-Identifier: Apache-2.0

/// What heads make of photos that they have not seen, each photo once: what `thaw cross-validate` leaves in a run.
package struct CrossValidationResult: Sendable, Equatable, Codable {
  /// A share and between which values it lies, with 95 % confidence.
  package struct Share: Sendable, Equatable, Codable {
    /// Photos that a head was trained on, on average.
    package let photos: Int
    /// Share of right answers.
    package let accuracy: Double
    /// See above.
    package let lower: Double
    /// See above.
    package let upper: Double

    /// A share.
    package init(photos: Int, accuracy: Double, lower: Double, upper: Double) {
      self.photos = photos
      self.accuracy = accuracy
      self.lower = lower
      self.upper = upper
    }
  }

  /// One class.
  package struct ClassShare: Sendable, Equatable, Codable {
    /// The class.
    package let name: String
    /// Its photos.
    package let count: Int
    /// Share of them that was found.
    package let recall: Double
    /// By how much twice the photos (of every class) would raise the recall; nil where the class has too few
    /// photos to tell.
    package let gain: Double?
    /// Between which values the gain lies, with 95 % confidence.
    package let gainLower: Double?
    /// See above.
    package let gainUpper: Double?

    /// A class.
    package init(
      name: String, count: Int, recall: Double, gain: Double?, gainLower: Double?,
      gainUpper: Double?
    ) {
      self.name = name
      self.count = count
      self.recall = recall
      self.gain = gain
      self.gainLower = gainLower
      self.gainUpper = gainUpper
    }
  }

  /// Parts that were held out, one after the other.
  package var folds: Int
  /// Photos judged.
  package var count: Int
  /// Of those, pictures that say something of their own: copies count once.
  package var independent: Int
  /// Share of right answers.
  package var accuracy: Double
  /// Between which values it lies for other photos of this kind, with 95 % confidence (Wilson).
  package var lower: Double
  /// See ``lower``.
  package var upper: Double
  /// Mean of -log of the true class's probability.
  package var loss: Double
  /// Mean of the classes' F1.
  package var macroF1: Double
  /// The accuracy of each fold.
  package var foldAccuracies: [Double]
  /// In the order of the network's outputs.
  package var perClass: [ClassShare]
  /// With an eighth, a quarter, half and all of the photos to train on.
  package var learningCurve: [Share]
  /// What twice the photos would bring; nil when there are too few to say.
  package var doubled: Share?
  /// What it means, as a sentence.
  package var conclusion: String
  /// A hash of the photos and settings.
  package var key: String
  /// The table of all photos.
  package var predictions: String

  /// A result.
  package init(
    folds: Int, count: Int, independent: Int, accuracy: Double, lower: Double, upper: Double,
    loss: Double, macroF1: Double, foldAccuracies: [Double], perClass: [ClassShare],
    learningCurve: [Share], doubled: Share?, conclusion: String, key: String, predictions: String
  ) {
    self.folds = folds
    self.count = count
    self.independent = independent
    self.accuracy = accuracy
    self.lower = lower
    self.upper = upper
    self.loss = loss
    self.macroF1 = macroF1
    self.foldAccuracies = foldAccuracies
    self.perClass = perClass
    self.learningCurve = learningCurve
    self.doubled = doubled
    self.conclusion = conclusion
    self.key = key
    self.predictions = predictions
  }
}

extension CrossValidationResult {
  /// The classes for which more photos help most first; those of which it cannot be told last.
  package var perClassByGain: [ClassShare] {
    perClass.sorted { ($1.gain ?? -1, $0.name) < ($0.gain ?? -1, $1.name) }
  }
}
