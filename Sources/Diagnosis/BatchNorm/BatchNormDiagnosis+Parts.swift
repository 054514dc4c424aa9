// SPDX-License-Identifier: Apache-2.0

/// Parts of a diagnosis that say what fixes and comparisons came to.
extension BatchNormDiagnosis {
  /// A network's head against one solved on the features that it really computes in inference.
  package struct HeadComparison: Sendable, Equatable, Codable {
    /// Accuracy of its own head.
    package var own: Double
    /// Accuracy of a head that has not seen the photos.
    package var solved: Double
    /// Photos that only the solved head gets right, and only its own.
    package var gained: Int
    package var lost: Int
    /// Number of photos.
    package var photos: Int

    /// Compares results of the same photos.
    package init(own: PhotoResults, solved: PhotoResults) {
      let pair = PairedLosses(first: own, second: solved)
      (self.own, self.solved) = (own.accuracy, solved.accuracy)
      (gained, lost, photos) = (pair.gained, pair.lost, pair.count)
    }
  }

  /// A comparison with the checkpoint that training began with.
  package struct Original: Sendable, Equatable, Codable {
    package var card: String
    /// Tensors before the head that are no batch norm's, and how many differ.
    package var weights: Int
    package var changedWeights: Int
    /// Batch norms, and how many differ.
    package var batchNorms: Int
    package var changedBatchNorms: Int

    /// Collects the numbers.
    package init(_ original: OriginalWeights, batchNorms: Int) {
      card = original.card
      (weights, changedWeights) = (original.weights.tensors, original.weights.changed)
      self.batchNorms = batchNorms
      changedBatchNorms = original.changedLayers.count
    }
  }

  /// A fix that was tried.
  package struct Fix: Sendable, Equatable, Codable {
    /// For `--apply`: `recalibrate`, `head`, ….
    package var name: String
    /// What was done, a phrase.
    package var what: String
    /// Accuracy on the photos that judge fixes; see ``bias``.
    package var accuracy: Double
    /// Loss on them.
    package var loss: Double
    /// Where the accuracy on as many new photos lies, 95 times in 100.
    package var interval: [Double]?
    /// Why the numbers are better than new photos will be, when neither photos that the fix nor
    /// those that the network learned from could be avoided; nil for an honest number.
    package var bias: String?
    /// Accuracy on the photos it learned from.
    package var accuracyOnFixing: Double
    /// Time it took, seconds.
    package var seconds: Double
    /// Whether it is as good as the best, within the error of the measurement.
    package var sufficient: Bool

    /// Collects the numbers.
    package init(
      name: String, what: String, accuracy: Double, loss: Double, interval: [Double]? = nil,
      bias: String? = nil, accuracyOnFixing: Double, seconds: Double, sufficient: Bool
    ) {
      self.name = name
      self.what = what
      self.accuracy = accuracy
      self.loss = loss
      self.interval = interval
      self.bias = bias
      self.accuracyOnFixing = accuracyOnFixing
      self.seconds = seconds
      self.sufficient = sufficient
    }
  }

  /// The network with another epsilon in its batch norms.
  package struct Epsilon: Sendable, Equatable, Codable {
    package var epsilon: Double
    /// Accuracy and loss with it.
    package var accuracy: Double
    package var loss: Double
    /// Accuracy without, of the same photos.
    package var asItIs: Double

    /// Collects the numbers.
    package init(_ found: BatchNormFacts.OtherEpsilon) {
      epsilon = found.epsilon
      (accuracy, loss) = (found.results.accuracy, found.results.loss)
      asItIs = found.asItIs.accuracy
    }
  }
}
