// SPDX-License-Identifier: Apache-2.0

extension ReportContent {
  /// What `thaw diagnose batchnorm` found.
  public struct BatchNormSection: Sendable {
    /// One line of the table of phases.
    public struct Phase: Sendable {
      /// Such as "Inference: running statistics".
      public var name: String
      /// Share of right predictions, 0 to 1.
      public var accuracy: Double
      /// Mean loss.
      public var loss: Double
      /// Area under the curve; nil where there is none.
      public var auc: Double?

      /// A line.
      public init(name: String, accuracy: Double, loss: Double, auc: Double? = nil) {
        self.name = name
        self.accuracy = accuracy
        self.loss = loss
        self.auc = auc
      }
    }

    /// One batch norm, in order of computation.
    public struct Layer: Sendable {
      /// Its name.
      public var path: String
      /// Divergence of the data from its running statistics, layers before it set right.
      public var divergence: Double
      /// The same as the network runs.
      public var divergenceInInference: Double
      /// Loss when it alone is on batch statistics; nil when that was not measured.
      public var lossAlone: Double?
      /// Loss when all layers up to it are.
      public var lossUpTo: Double?
      /// Whether it is to blame.
      public var isSuspect: Bool

      /// A layer.
      public init(
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
    public var status: Status
    /// What was found.
    public var verdict: String
    /// What to do.
    public var recommendation: String
    /// Further sentences.
    public var evidence: [String]
    /// The learning phases.
    public var phases: [Phase]
    /// The layers.
    public var layers: [Layer]
    /// Last layer of the frozen part, as an index; nil when that is all, none or unknown.
    public var lastFrozen: Int?
    /// Loss in inference of the photos that layers were switched on.
    public var inferenceLoss: Double?
    /// Fixes that were tried.
    public var fixes: Table?

    /// A section.
    public init(
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
