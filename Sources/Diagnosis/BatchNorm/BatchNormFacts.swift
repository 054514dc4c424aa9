// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// What was measured of a network: all that a verdict is drawn from.
package struct BatchNormFacts: Sendable {
  /// One batch norm.
  package struct Layer: Sendable {
    /// Its name.
    package var path: ParameterPath
    /// Its layer group.
    package var group: Int
    /// Data against running statistics when all layers before it normalise by the data.
    package var own: LayerShift
    /// The same as the network runs in inference.
    package var asRun: LayerShift
    /// Whether all its running means are 0 and its running variances 1.
    package var isInitial: Bool

    /// Collects the numbers.
    package init(
      path: ParameterPath, group: Int, own: LayerShift, asRun: LayerShift, isInitial: Bool
    ) {
      self.path = path
      self.group = group
      self.own = own
      self.asRun = asRun
      self.isInitial = isInitial
    }
  }

  /// The network in inference, fed as another contract would feed it.
  package struct Input: Sendable {
    /// The contract.
    package var name: String
    /// Results of the sampled photos.
    package var results: PhotoResults
    /// Divergence at the first batch norms, see ``ContractEvidence``; nil without any.
    package var divergence: Double?

    /// Collects the numbers.
    package init(name: String, results: PhotoResults, divergence: Double?) {
      self.name = name
      self.results = results
      self.divergence = divergence
    }
  }

  /// Every batch norm, in order of computation.
  package var layers: [Layer]
  /// All photos on running statistics.
  package var inference: PhotoResults
  /// The same on batch statistics.
  package var training: PhotoResults
  /// Area under the curve in each phase.
  package var auc: (inference: Double?, training: Double?)
  /// Share of the most frequent class: what guessing reaches.
  package var chance: Double
  /// All photos with the ``suspects`` alone on batch statistics; nil without suspects.
  package var repaired: PhotoResults?
  /// Inputs that were tried on sampled photos, the declared one first.
  package var inputs: [Input]
  /// The one of ``inputs`` that the running statistics say it was trained on, when that is certainly
  /// not the declared one.
  package var certainInput: Int?
  /// The sampled photos on batch statistics.
  package var sampledTraining: PhotoResults
  /// The sampled photos with the suspects alone on batch statistics; nil without suspects.
  package var sampledRepaired: PhotoResults?
  /// Photos the network has not seen, in inference.
  package var heldOut: PhotoResults?
  /// Whether the network was trained on the photos.
  package var isTrainingData: Bool
  /// Mode of the frozen batch norms, when the model file says.
  package var recordedMode: BatchNormMode?
  /// Names of classes that answer to another name, by class.
  package var renamed: [String: String]
  /// What is left of the pretrained checkpoint; nil when it is not at hand.
  package var original: OriginalWeights?
  /// All photos by a head that was solved by cross-validation on the features of inference.
  package var solved: PhotoResults?
  /// Photos the network has not seen, in every way; nil without any.
  package var unseen: Unseen?
  /// Whether the network knows the photos.
  package var familiarity: Familiarity?
  /// Another usual epsilon of the batch norms; nil when none was tried.
  package var otherEpsilon: OtherEpsilon?
  /// Some photos in batches smaller than those of ``training``; nil when that was not looked at.
  package var smallBatches: SmallBatches?
  /// Which statistics its head was made for; nil without batch norms or when no head was solved.
  package var preference: HeadPreference?
  /// Whether its head was made for the checkpoint's statistics rather than those it has; nil when they
  /// are the same.
  package var checkpointPreference: HeadPreference?

  /// Batch norms with another epsilon.
  package struct OtherEpsilon: Sendable {
    package var epsilon: Double
    /// All photos at hand by the network as it is.
    package var asItIs: PhotoResults
    /// The same with the epsilon.
    package var results: PhotoResults

    /// Collects results of the same photos.
    package init(epsilon: Double, asItIs: PhotoResults, results: PhotoResults) {
      self.epsilon = epsilon
      (self.asItIs, self.results) = (asItIs, results)
    }
  }

  /// The small batches that suit a network best.
  package struct SmallBatches: Sendable {
    /// Photos in a batch.
    package var batch: Int
    /// On running statistics.
    package var inference: PhotoResults
    /// On statistics of the batches.
    package var results: PhotoResults
    /// On those of batches of the usual size; nil where running statistics are what to compare with.
    package var usual: PhotoResults?

    /// Collects results of the same photos.
    package init(
      batch: Int, inference: PhotoResults, results: PhotoResults, usual: PhotoResults? = nil
    ) {
      (self.batch, self.inference, self.results) = (batch, inference, results)
      self.usual = usual
    }

    /// Whether the head does better on them than in inference, by five points and beyond chance.
    package var areBetter: Bool {
      let pair = PairedLosses(first: inference, second: results)
      return pair.accuracyGain >= 0.05 && pair.sigma > 2.5
    }

    /// Whether the head may have learned on them. One that was made for statistics of larger batches
    /// does clearly worse in small ones, whose statistics err: of 70 photos 80 % in batches of 4, 87 % in
    /// those of 32. One that learned in pairs does about as well (76 and 75 %, 81 and 83 %).
    package var areWhereItLearned: Bool {
      usual.map { results.accuracy >= $0.accuracy - 0.04 } ?? areBetter
    }
  }

  /// Photos that the network has not seen, which alone show what its head is worth.
  package struct Unseen: Sendable {
    /// On running statistics.
    package var inference: PhotoResults
    /// On batch statistics.
    package var training: PhotoResults
    /// By a head solved on the features of inference, which has not seen them either.
    package var solved: PhotoResults

    /// Collects results of the same photos.
    package init(inference: PhotoResults, training: PhotoResults, solved: PhotoResults) {
      self.inference = inference
      self.training = training
      self.solved = solved
    }
  }

  /// The network's own head and a solved one where they compare best: on photos that neither has
  /// seen, else on those at hand.
  package var heads: HeadPair? {
    unseen.map { HeadPair(own: $0.inference, solved: $0.solved) }
      ?? solved.map { HeadPair(own: inference, solved: $0) }
  }

  /// Collects the measurements.
  package init(
    layers: [Layer], inference: PhotoResults, training: PhotoResults,
    auc: (inference: Double?, training: Double?), chance: Double, repaired: PhotoResults?,
    inputs: [Input], certainInput: Int? = nil, sampledTraining: PhotoResults,
    sampledRepaired: PhotoResults?,
    heldOut: PhotoResults?, isTrainingData: Bool, recordedMode: BatchNormMode?,
    renamed: [String: String], original: OriginalWeights? = nil, solved: PhotoResults? = nil,
    unseen: Unseen? = nil, familiarity: Familiarity? = nil, preference: HeadPreference? = nil,
    checkpointPreference: HeadPreference? = nil, otherEpsilon: OtherEpsilon? = nil,
    smallBatches: SmallBatches? = nil
  ) {
    (self.smallBatches, self.checkpointPreference) = (smallBatches, checkpointPreference)
    (self.preference, self.otherEpsilon) = (preference, otherEpsilon)
    self.original = original
    self.solved = solved
    self.unseen = unseen
    self.familiarity = familiarity
    self.layers = layers
    self.inference = inference
    self.training = training
    self.auc = auc
    self.chance = chance
    self.repaired = repaired
    self.inputs = inputs
    self.certainInput = certainInput
    self.sampledTraining = sampledTraining
    self.sampledRepaired = sampledRepaired
    self.heldOut = heldOut
    self.isTrainingData = isTrainingData
    self.recordedMode = recordedMode
    self.renamed = renamed
  }

  /// The few layers whose batch norms differ from the checkpoint's while everything else is as it
  /// was, as indices: damage, since training changes all or none. Empty otherwise.
  package static func damaged(_ layers: [Layer], _ original: OriginalWeights?) -> [Int] {
    guard let original, original.hasChangedBatchNormsAlone,
      original.changedLayers.count <= max(4, layers.count / 5)
    else { return [] }
    let changed = Set(original.changedLayers)
    return layers.indices.filter { changed.contains(layers[$0].path) }
  }

  /// Layers whose running statistics are out of line with those of the layers around them, the worst
  /// first, four at most. A dataset unlike the original one shifts all layers together; damage does
  /// not. Some layers stand out a little by nature: ``areBeyondDoubt(_:in:)`` says when it is more.
  package static func suspects(_ layers: [Layer]) -> [Int] {
    let (excess, strangeness) = (excess(of: layers), strangeness(of: layers))
    let standOut = layers.indices.filter {
      layers[$0].own.severity > 0.12 && excess[$0] > 3
        || layers[$0].own.severity > 0.01 && strangeness[$0] > 0.5
    }
    return Array(standOut.sorted { excess[$0] > excess[$1] }.prefix(4))
  }

  /// Those of `suspects` that no dataset explains, whether or not they cost accuracy.
  package static func areBeyondDoubt(_ suspects: [Int], in layers: [Layer]) -> [Int] {
    let (excess, strangeness) = (excess(of: layers), strangeness(of: layers))
    return suspects.filter {
      layers[$0].own.severity > 0.45 && excess[$0] > 6
        || layers[$0].own.severity > 0.015 && strangeness[$0] > 0.6
    }
  }

  /// How many times further off each layer is than the median of the eight around it.
  private static func excess(of layers: [Layer]) -> [Double] {
    let severities = layers.map(\.own.severity)
    return severities.indices.map { index in
      let around = neighbours(of: index, severities)
      guard !around.isEmpty else { return 0 }
      return severities[index] / (LayerShift.quantile(0.5, of: around) + 0.04)
    }
  }

  /// ``LayerShift/strangeness`` of each layer; 0 where it is common to the layers around.
  private static func strangeness(of layers: [Layer]) -> [Double] {
    let own = layers.map(\.own.strangeness)
    return own.indices.map { index in
      let around = neighbours(of: index, own)
      guard !around.isEmpty else { return 0 }
      return own[index] > 3 * LayerShift.quantile(0.5, of: around) ? own[index] : 0
    }
  }

  /// The values of the four layers before and after.
  private static func neighbours(of index: Int, _ values: [Double]) -> [Double] {
    let window = max(0, index - 4)...min(values.count - 1, index + 4)
    return window.filter { $0 != index }.map { values[$0] }
  }
}
