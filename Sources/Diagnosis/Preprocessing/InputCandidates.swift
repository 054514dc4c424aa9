// SPDX-License-Identifier: Apache-2.0

import ThawConsole
package import ThawImages
package import ThawInference
import ThawNetwork
import ThawOneDNN
import ThawTensors

/// The network fed as other contracts would feed it: is this what it was trained on?
package struct InputCandidates {
  /// One contract and what came of it.
  package struct Result {
    package let name: String
    package let preprocessing: Preprocessing
    package let results: PhotoResults
    /// At the first batch norms, see ``ContractEvidence``; nil when the network has none.
    package let divergence: Double?
  }

  /// The declared contract first.
  package let results: [Result]
  /// The contract that the network was trained on, as an index, when that is certainly not the
  /// declared one.
  package let certain: Int?

  private static let (photos, usual) = (96, 6)
  /// Nats; photos like the training data have 0.01 to 0.04, strange ones up to 0.16.
  private static let goodFit = 0.2

  /// Runs `photos`, prepared as `classifier` declares, as other contracts would have prepared them:
  /// the usual ones, the one that fits best and the other channel order.
  package init(
    _ classifier: Classifier, _ photos: LabelledTensors, seed: UInt64, context: StageContext
  ) throws {
    let declared = classifier.preprocessing
    let sample = photos.sample(InputCandidates.photos, seed: seed)
    let trial = try ContractTrial(
      classifier,
      PreparedPhotos(tensors: sample, preprocessing: declared, classNames: classifier.classNames),
      seed: seed, context: context)
    let swapped = declared.withSwappedChannels
    let judgement = trial.judgement
    let chosen = trial.candidates.indices.filter { index in
      index <= InputCandidates.usual || index == judgement.best
        || trial.candidates[index].preprocessing == swapped
    }
    results = try chosen.map { index in
      try Interruption.check()
      let candidate = trial.candidates[index]
      let tensors = photos.converted(from: declared, to: candidate.preprocessing)
      return Result(
        name: candidate.name, preprocessing: candidate.preprocessing,
        results: PhotoResults(
          PhaseOutput(logits: try classifier.logits(tensors)), labels: photos.labels),
        divergence: trial.evidence[index].divergence)
    }
    // A damaged first layer fits no contract well, some less badly than others.
    let fits = (trial.evidence[judgement.best].divergence ?? 0) <= InputCandidates.goodFit
    certain =
      judgement.status == .wrong && fits ? chosen.firstIndex(of: judgement.best) : nil
  }
}
