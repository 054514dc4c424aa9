// SPDX-License-Identifier: Apache-2.0

package import ThawConsole
package import ThawInference
package import ThawNetwork
package import ThawTraining

/// Finds the photos without labels that a recipe names: what head training asks of whoever can use them.
package protocol UnlabelledHelping: Sendable {
  /// The photos for `run`, found and checked.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` for a recipe whose heads they cannot help; `DatasetError`;
  ///   ``PipelineError/interrupted``.
  func photos(for run: OpenRun) throws -> any UnlabelledHelp
}

/// Photos without labels, and what they do for a head.
package protocol UnlabelledHelp {
  /// Hash of the photos and of how they are used.
  var key: String { get }
  /// Trains with them where they are worth it.
  ///
  /// - Parameter network: with a fresh head.
  /// - Returns: what was found out, and the head; nil where it stays as it is.
  func head(of network: TransferNetwork) throws -> (UnlabelledResult, HelpedHead?)
}

/// A head that was trained with the help of photos without labels.
package struct HelpedHead {
  /// Of the whole network.
  package let parameters: Parameters
  /// Of its epochs; none for a convex solver.
  package let history: [EpochRecord]
  /// By the validation photos; nil without any.
  package let validAccuracy: Double?
  /// See ``validAccuracy``.
  package let validLoss: Double?
  /// Photos of an epoch.
  package let samples: Int
  /// Time of its training alone.
  package let seconds: Double

  package init(
    parameters: Parameters, history: [EpochRecord], validAccuracy: Double?, validLoss: Double?,
    samples: Int, seconds: Double
  ) {
    self.samples = samples
    self.seconds = seconds
    self.parameters = parameters
    self.history = history
    self.validAccuracy = validAccuracy
    self.validLoss = validLoss
  }
}

extension OpenRun {
  /// The photos without labels that the recipe names; nil when it names none.
  ///
  /// - Parameter helping: who can use them; nil where a command does not.
  /// - Throws: ``PipelineError/usage(_:)``; errors of the photos.
  func unlabelled(_ helping: (any UnlabelledHelping)?) throws -> (any UnlabelledHelp)? {
    guard !recipe.data.unlabelled.isEmpty else { return nil }
    guard let helping else {
      throw PipelineError.usage(
        "data.unlabelled of the recipe is heeded by the commands thaw fit and thaw train. Leave it out here, or"
          + " use one of those.")
    }
    return try helping.photos(for: self)
  }
}

extension PipelineError {
  /// What is said where photos may have several labels.
  package static var unlabelledWithSeveralLabels: PipelineError {
    .usage(
      "--unlabelled takes the surest answer for a photo's label, and here a photo may have several or none."
        + " Leave it out (--unlabelled none).")
  }
}

/// The key of a head's training, which photos without labels may have a part in.
struct HelpedTrainingKey {
  let training: HeadTrainingKey
  /// Of the photos; nil without any.
  let unlabelled: String?

  /// The key of the head's model.
  ///
  /// - Parameter isHelped: whether the photos were of use: a head that they did not help is the one without.
  func key(isHelped: Bool) throws -> String {
    let own = try training.key()
    guard isHelped, let unlabelled else { return own }
    var hash = KeyHash("head training with unlabelled photos", version: 1)
    hash.add("training", own)
    hash.add("unlabelled", unlabelled)
    return hash.key
  }

  /// Whether a model was made by this training.
  func made(_ record: TrainingRecord) throws -> Bool {
    guard let unlabelled else { return try training.made(record) }
    guard let known = record.unlabelled, known.key == unlabelled else { return false }
    return try known.isKept ? record.key == key(isHelped: true) : training.made(record)
  }
}
