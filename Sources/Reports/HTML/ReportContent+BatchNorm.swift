// SPDX-License-Identifier: Apache-2.0

extension ReportContent {
  /// What `thaw diagnose batchnorm` found.
  package struct BatchNormSection: Sendable {
    /// One line of the table of phases.
    package struct Phase: Sendable {
      /// Such as "Inference: running statistics".
      package var name: String
      /// Share of right predictions, 0 to 1.
      package var accuracy: Double
      /// Mean loss.
      package var loss: Double
      /// Area under the curve; nil where there is none.
      package var auc: Double?

      /// A line.
      package init(name: String, accuracy: Double, loss: Double, auc: Double? = nil) {
        self.name = name
        self.accuracy = accuracy
        self.loss = loss
        self.auc = auc
      }
    }

    /// One batch norm, in order of computation.
    package struct Layer: Sendable {
      /// Its name.
      package var path: String
      /// Divergence of the data from its running statistics, layers before it set right.
      package var divergence: Double
      /// The same as the network runs.
      package var divergenceInInference: Double
      /// Loss when it alone is on batch statistics; nil when that was not measured.
      package var lossAlone: Double?
      /// Loss when all layers up to it are.
      package var lossUpTo: Double?
      /// Whether it is to blame.
      package var isSuspect: Bool

      /// A layer.
      package init(
        path: String, divergence: Double, divergenceInInference: Double, lossAlone: Double?,
        lossUpTo: Double?, isSuspect: Bool
      ) {
        self.path = path
        self.divergence = divergence
        self.divergenceInInference = divergenceInInference
        self.lossAlone = lossAlone
        self.lossUpTo = lossUpTo
        self.isSuspect = isSuspect
      }
    }

    /// How bad it is.
    package var status: Status
    /// What was found.
    package var verdict: String
    /// What to do.
    package var recommendation: String
    /// Further sentences.
    package var evidence: [String]
    /// The learning phases.
    package var phases: [Phase]
    /// The layers.
    package var layers: [Layer]
    /// Last layer of the frozen part, as an index; nil when that is all, none or unknown.
    package var lastFrozen: Int?
    /// Loss in inference of the photos that layers were switched on.
    package var inferenceLoss: Double?
    /// Fixes that were tried.
    package var fixes: Table?

    /// A section.
    package init(
      status: Status, verdict: String, recommendation: String, evidence: [String] = [],
      phases: [Phase], layers: [Layer] = [], lastFrozen: Int? = nil, inferenceLoss: Double? = nil,
      fixes: Table? = nil
    ) {
      self.status = status
      self.verdict = verdict
      self.recommendation = recommendation
      self.evidence = evidence
      self.phases = phases
      self.layers = layers
      self.lastFrozen = lastFrozen
      self.inferenceLoss = inferenceLoss
      self.fixes = fixes
    }
  }
}
