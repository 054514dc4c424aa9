// SPDX-License-Identifier: Apache-2.0

/// What `thaw diagnose preprocessing` found: plain values, as they are printed and kept in a run.
package struct PreprocessingDiagnosis: Sendable, Equatable, Codable {
  /// The answer.
  package enum Status: String, Sendable, Codable {
    /// The network is fed what it was trained on, as far as this can be seen.
    case consistent
    /// It is not.
    case wrong
    /// The evidence does not decide.
    case undecided
  }

  /// What the ranking was made by.
  package enum Evidence: String, Sendable, Codable {
    /// Divergence from the running statistics of the first batch norms.
    case batchNorm = "batch_norm"
    /// Range of the logits and confidence of the classifier.
    case head
  }

  /// One contract, the best first.
  package struct Rank: Sendable, Equatable, Codable {
    package var name: String
    /// How far photos prepared by it are from what the network remembers, nats. Without batch norms:
    /// how much less the answers tell than under the best contract.
    package var divergence: Double
    /// Whether it is the declared one.
    package var isDeclared: Bool
    /// Its arithmetic and geometry.
    package var contract: String
    /// Median divergence over the channels of each batch norm that was looked at.
    package var layers: [LayerDivergence]
    /// The classifier's answers; nil when it was not asked.
    package var head: HeadResponse?
    /// Share of right predictions; nil without labels.
    package var accuracy: Double?

    /// Collects the numbers.
    package init(
      name: String, divergence: Double, isDeclared: Bool, contract: String,
      layers: [LayerDivergence] = [], head: HeadResponse? = nil, accuracy: Double? = nil
    ) {
      self.name = name
      self.divergence = divergence
      self.isDeclared = isDeclared
      self.contract = contract
      self.layers = layers
      self.head = head
      self.accuracy = accuracy
    }
  }

  /// A way of resizing, with the numbers of the best contract.
  package struct Geometry: Sendable, Equatable, Codable {
    /// For example `bilinear`.
    package var name: String
    /// As in ``Rank``.
    package var divergence: Double

    /// Collects the numbers.
    package init(name: String, divergence: Double) {
      self.name = name
      self.divergence = divergence
    }
  }

  /// One sentence.
  package var verdict: String
  /// The same as a word.
  package var status: Status
  /// What the better contract wins, as far as labelled photos tell; nil when none is better.
  package var gain: String?
  /// What to do; nil when nothing is to be done.
  package var recommendation: String?
  /// Name of the declared contract in ``ranking``.
  package var declared: String
  /// Its arithmetic and geometry.
  package var declaredContract: String
  /// All contracts, the best first.
  package var ranking: [Rank]
  /// Ways of resizing, the best first; they can hardly be told apart.
  package var geometries: [Geometry]
  /// What the ranking was made by.
  package var evidence: Evidence
  /// Share of resamples of the photos in which the best contract beats the declared one.
  package var certainty: Double
  /// Photos looked at.
  package var photos: Int
  /// What else the reader should know, a sentence each.
  package var notes: [String]
  /// What the better contract does for the network on labelled photos; nil without those, or when
  /// there is none.
  package var cure: ContractCure?
  /// Where the corrected model was written.
  package var applied: String?

  /// Collects the findings.
  package init(
    verdict: String, status: Status, recommendation: String?, declared: String,
    declaredContract: String, ranking: [Rank], geometries: [Geometry] = [], evidence: Evidence,
    certainty: Double, photos: Int, notes: [String], cure: ContractCure? = nil,
    gain: String? = nil
  ) {
    self.gain = gain
    self.cure = cure
    self.verdict = verdict
    self.status = status
    self.recommendation = recommendation
    self.declared = declared
    self.declaredContract = declaredContract
    self.ranking = ranking
    self.geometries = geometries
    self.evidence = evidence
    self.certainty = certainty
    self.photos = photos
    self.notes = notes
  }
}
