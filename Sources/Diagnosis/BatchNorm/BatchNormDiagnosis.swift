// SPDX-License-Identifier: Apache-2.0

/// What `thaw diagnose batchnorm` found: plain values, as they are printed and kept in a run.
package struct BatchNormDiagnosis: Sendable, Equatable, Codable {
  /// One learning phase.
  package struct Phase: Sendable, Equatable, Codable {
    /// Share of right predictions.
    package var accuracy: Double
    /// Mean of -log of the true class's probability.
    package var loss: Double
    /// Mean over the classes of each against the rest; nil with photos of one class only.
    package var auc: Double?

    /// Collects the numbers.
    package init(accuracy: Double, loss: Double, auc: Double?) {
      self.accuracy = accuracy
      self.loss = loss
      self.auc = auc
    }
  }

  /// The training phase at one batch size.
  package struct BatchSize: Sendable, Equatable, Codable {
    /// Photos in a batch.
    package var batch: Int
    /// Share of right predictions.
    package var accuracy: Double
    /// Mean loss.
    package var loss: Double
    /// See ``Phase/auc``.
    package var auc: Double?
    /// Its accuracy minus that in inference.
    package var gap: Double

    /// Collects the numbers.
    package init(batch: Int, phase: Phase, gap: Double) {
      self.batch = batch
      (accuracy, loss, auc) = (phase.accuracy, phase.loss, phase.auc)
      self.gap = gap
    }
  }

  /// One batch norm, in order of computation.
  package struct Layer: Sendable, Equatable, Codable {
    /// Its name.
    package var path: String
    /// Its layer group.
    package var group: String
    /// Whether its group was frozen in training; nil when nobody knows.
    package var frozen: Bool?
    /// Distance of the data's mean from the running mean, in running standard deviations, when all
    /// layers before it normalise by the data; median over the channels.
    package var meanShift: Double
    /// The data's variance over the running variance; median over the channels.
    package var varianceRatio: Double
    /// Divergence of the two, nats; median over the channels.
    package var divergence: Double
    /// Divergence that one channel in ten exceeds.
    package var divergenceOfWorstTenth: Double
    /// Divergence as the network runs in inference: errors of earlier layers included.
    package var divergenceInInference: Double
    /// Loss when this layer alone is switched to batch statistics; nil when that was not measured.
    package var lossAlone: Double?
    /// Loss when all layers up to this one are.
    package var lossUpTo: Double?
    /// Whether its running statistics are out of line with those of the layers around it.
    package var suspect: Bool

    /// Collects the numbers.
    package init(
      path: String, group: String, frozen: Bool?, meanShift: Double, varianceRatio: Double,
      divergence: Double, divergenceOfWorstTenth: Double, divergenceInInference: Double,
      lossAlone: Double?, lossUpTo: Double?, suspect: Bool
    ) {
      self.path = path
      self.group = group
      self.frozen = frozen
      self.meanShift = meanShift
      self.varianceRatio = varianceRatio
      self.divergence = divergence
      self.divergenceOfWorstTenth = divergenceOfWorstTenth
      self.divergenceInInference = divergenceInInference
      self.lossAlone = lossAlone
      self.lossUpTo = lossUpTo
      self.suspect = suspect
    }
  }

  /// One layer group.
  package struct Group: Sendable, Equatable, Codable {
    package var name: String
    /// Loss when this group alone is switched to batch statistics; nil without batch norms.
    package var lossAlone: Double?
    /// Whether it was frozen; nil when nobody knows.
    package var frozen: Bool?

    /// Collects the numbers.
    package init(
      name: String, lossAlone: Double?, frozen: Bool?
    ) {
      self.name = name
      self.lossAlone = lossAlone
      self.frozen = frozen
    }
  }

  /// The network fed by another contract.
  package struct Input: Sendable, Equatable, Codable {
    /// The contract.
    package var name: String
    /// Accuracy in inference.
    package var accuracy: Double
    /// Loss in inference.
    package var loss: Double
    /// Median divergence at the first batch norm.
    package var divergence: Double?

    /// Collects the numbers.
    package init(
      name: String, accuracy: Double, loss: Double, divergence: Double?
    ) {
      self.name = name
      self.accuracy = accuracy
      self.loss = loss
      self.divergence = divergence
    }
  }

  /// Code of the finding; see ``BatchNormFinding``.
  package var kind: BatchNormFinding
  /// The finding, a sentence or two.
  package var verdict: String
  /// What can be won on new photos, and how sure that is, a sentence or two; nil when that is not known.
  package var gain: String?
  /// What to do, a sentence or two.
  package var recommendation: String
  /// The same for one's own training, in the language it was done in; nil when there is nothing to write.
  package var code: String?
  /// What the verdict rests on, sentences.
  package var evidence: [String]
  /// The signature by name, when it is there.
  package var signature: String?
  /// Running statistics.
  package var inference: Phase
  /// Statistics of the batch, at ``batch``.
  package var training: Phase
  /// Accuracy in training minus accuracy in inference, of the same photos.
  package var gap: Double
  /// Photos in a batch of the training phase.
  package var batch: Int
  /// The training phase at several batch sizes.
  package var batchSizes: [BatchSize]
  /// How many photos, and which.
  package var photos: Int
  /// Their split: `train`, or `all`.
  package var split: String
  /// Photos that judge fixes and over-fitting.
  package var heldOutPhotos: Int
  /// Inference on them; nil without.
  package var heldOut: Phase?
  /// Whether the network knows the photos, from their folders, what was said, and traces in it.
  package var familiarity: Familiarity?
  /// The same of the photos that judge fixes.
  package var judgingFamiliarity: Familiarity?
  /// Whether its head was made for statistics of the data rather than running ones; nil without batch
  /// norms.
  package var headPreference: HeadPreference?
  /// Whether its head was made for the checkpoint's statistics rather than those it was saved with.
  package var checkpointPreference: HeadPreference?
  /// Batch norms with another epsilon; nil when none was tried.
  package var otherEpsilon: Epsilon?
  /// The photos that judge fixes by the head the network has, and by one solved on the same features
  /// without them; nil without enough photos.
  package var head: HeadComparison?
  /// The photos that judge fixes, as the network is, and whether that number is biased.
  package var asItIs: Fix?
  /// The pretrained checkpoint that the network was compared with, and what differs.
  package var original: Original?
  /// Every batch norm.
  package var layers: [Layer]
  /// Every layer group.
  package var groups: [Group]
  /// Layers to blame, the worst first.
  package var suspects: [String]
  /// Loss in inference of the photos that layers were switched on; nil when they were not.
  package var lossBeforeSwitching: Double?
  /// The layer whose switch alone changes the loss most; nil without batch norms.
  package var decisiveLayer: String?
  /// The group whose switch alone changes the loss most.
  package var decisiveGroup: String?
  /// Where frozen layers end: the last frozen group with batch norms, and whether the trouble is in
  /// frozen layers, trained ones or both; nil when nobody knows what was frozen.
  package var boundary: String?
  /// What other preprocessing contracts would give, the declared one first.
  package var inputs: [Input]
  /// Fixes that were tried, the cheapest first.
  package var fixes: [Fix]
  /// Name of the recommended fix; nil when there is nothing to fix here.
  package var recommendedFix: String?
  /// The mapping when classes answer to other names: class to the name it is predicted under.
  package var renamedClasses: [String: String]
  /// Photos that were run through the network, each time counted: what the diagnosis took.
  package var photoPasses: Double?

  /// Collects the numbers.
  package init(
    kind: BatchNormFinding, verdict: String, recommendation: String, evidence: [String],
    signature: String?, inference: Phase, training: Phase, gap: Double, batch: Int,
    batchSizes: [BatchSize], photos: Int, split: String, heldOutPhotos: Int, heldOut: Phase?,
    layers: [Layer], groups: [Group], suspects: [String], lossBeforeSwitching: Double?,
    decisiveLayer: String?,
    decisiveGroup: String?, boundary: String?, inputs: [Input], fixes: [Fix],
    recommendedFix: String?, renamedClasses: [String: String], familiarity: Familiarity? = nil,
    head: HeadComparison? = nil, original: Original? = nil
  ) {
    (self.familiarity, self.head, self.original) = (familiarity, head, original)
    self.kind = kind
    self.verdict = verdict
    self.recommendation = recommendation
    self.evidence = evidence
    self.signature = signature
    self.inference = inference
    self.training = training
    self.gap = gap
    self.batch = batch
    self.batchSizes = batchSizes
    self.photos = photos
    self.split = split
    self.heldOutPhotos = heldOutPhotos
    self.heldOut = heldOut
    self.layers = layers
    self.groups = groups
    self.suspects = suspects
    self.lossBeforeSwitching = lossBeforeSwitching
    self.decisiveLayer = decisiveLayer
    self.decisiveGroup = decisiveGroup
    self.boundary = boundary
    self.inputs = inputs
    self.fixes = fixes
    self.recommendedFix = recommendedFix
    self.renamedClasses = renamedClasses
  }
}

/// What a diagnosis of batch norms comes to.
package enum BatchNormFinding: String, Sendable, Codable, CaseIterable {
  /// Nothing is wrong that this diagnosis knows of.
  case healthy
  /// The network was trained on batch statistics that inference does not use.
  case batchStatistics = "batch_statistics"
  /// Running statistics are those a new layer starts with: they were never trained, or not loaded.
  case initialStatistics = "initial_statistics"
  /// Batch norms of layers that never trained are not those of the checkpoint: their statistics moved
  /// in training, or their scales and shifts did.
  case alteredBatchNorms = "altered_batch_norms"
  /// Running statistics of single layers are wrong.
  case corruptedStatistics = "corrupted_statistics"
  /// The network was trained with another epsilon than its architecture has here.
  case otherEpsilon = "other_epsilon"
  /// The photos are not prepared as the network was trained.
  case preprocessing
  /// Classes answer to each other's names.
  case labelOrder = "label_order"
  /// What was learned does not carry over to new photos.
  case overfitting
  /// The head does worse than one solved on the same features, in both phases.
  case undertrained
  /// The network is poor in both phases, for none of these reasons.
  case weak
  /// There are too few photos to say.
  case cannotTell = "cannot_tell"
  /// There is no batch norm in the network.
  case noBatchNorm = "no_batch_norm"

  /// Whether batch normalisation is what is wrong.
  package var isBatchNormProblem: Bool {
    switch self {
    case .batchStatistics, .initialStatistics, .alteredBatchNorms, .corruptedStatistics,
      .otherEpsilon:
      true
    case .healthy, .preprocessing, .labelOrder, .overfitting, .undertrained, .weak, .cannotTell,
      .noBatchNorm:
      false
    }
  }
}
