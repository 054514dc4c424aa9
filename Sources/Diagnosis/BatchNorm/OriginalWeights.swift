// SPDX-License-Identifier: Apache-2.0

package import ThawBackbones
package import ThawNetwork
package import ThawTensors

/// What a network still has of the pretrained checkpoint that its training began with.
///
/// Training with frozen layers leaves their weights as they were, to the bit. So a comparison with
/// the published file says what was frozen, and whether the batch norms between frozen weights
/// stayed as well: when they did not, the network was trained on batch statistics.
package struct OriginalWeights: Sendable {
  /// How many tensors of a kind there are, and how many of them differ.
  package struct Count: Sendable, Equatable {
    package var tensors = 0
    package var changed = 0

    package init(tensors: Int = 0, changed: Int = 0) {
      self.tensors = tensors
      self.changed = changed
    }
  }

  /// The card of the checkpoint.
  package let card: String
  /// Convolutions, their biases, and everything else that is no batch norm, before the head.
  package let weights: Count
  /// Scales and shifts of batch norms.
  package let affine: Count
  /// Running means and variances.
  package let statistics: Count
  /// Batch norms with a changed tensor, in order of computation.
  package let changedLayers: [ParameterPath]
  /// All parameters of the checkpoint, its own head included.
  package let parameters: Parameters
  /// Whether the running statistics are the checkpoint's with a few digits each: they were rounded when
  /// the network was saved, and no training moved them.
  package let isRounded: Bool

  /// Collects a comparison that was made elsewhere.
  package init(
    card: String, weights: Count, affine: Count, statistics: Count, changedLayers: [ParameterPath],
    parameters: Parameters = Parameters(), isRounded: Bool = false
  ) {
    self.isRounded = isRounded
    self.card = card
    (self.weights, self.affine, self.statistics) = (weights, affine, statistics)
    self.changedLayers = changedLayers
    self.parameters = parameters
  }

  /// Whether the layers before the head never trained: their weights are the checkpoint's.
  package var isBackboneUntouched: Bool { weights.changed == 0 }
  /// Whether batch norms differ between weights that do not.
  package var hasChangedBatchNormsAlone: Bool { isBackboneUntouched && !changedLayers.isEmpty }
  /// Whether scales and shifts were trained, and so know the labels of the training photos.
  package var hasTrainedAffine: Bool { affine.changed > 0 }

  /// The checkpoint at hand that `parameters` of `graph` agree with most.
  ///
  /// Only weights that are on this machine are looked at; those that cannot be read are passed over.
  ///
  /// - Returns: nil when no card of the architecture has its weights here, or when less than half of
  ///   the tensors could be compared.
  package static func closest(
    to graph: Graph, _ parameters: Parameters, in store: PretrainedStore
  ) -> OriginalWeights? {
    let cards = ((try? store.cards()) ?? []).filter {
      $0.architecture == graph.name && store.hasWeights(of: $0)
    }
    var best: OriginalWeights?
    for card in cards {
      guard let backbone = try? PretrainedBackbone(card, from: store),
        let found = OriginalWeights(graph, parameters, backbone)
      else { continue }
      if best.map({ found.changes < $0.changes }) ?? true { best = found }
    }
    return best
  }

  private var changes: (Int, Int) { (weights.changed, affine.changed + statistics.changed) }

  private init?(_ graph: Graph, _ parameters: Parameters, _ original: PretrainedBackbone) {
    var (weights, affine, statistics) = (Count(), Count(), Count())
    var (changed, missing): ([ParameterPath], Int) = ([], 0)
    var isRounded = true
    for node in graph.nodes where node.group < graph.groups.count - 1 {
      var differs = false
      for parameter in node.parameters {
        guard let mine = parameters[parameter.path],
          let theirs = original.parameters[parameter.path],
          mine.shape == theirs.shape
        else {
          missing += 1
          continue
        }
        let isSame = OriginalWeights.areSame(mine, theirs)
        func count(_ kind: inout Count) {
          kind.tensors += 1
          if !isSame { kind.changed += 1 }
        }
        if case .batchNormalization = node.operation {
          differs = differs || !isSame
          parameter.role.isTrainable ? count(&affine) : count(&statistics)
          isRounded = isRounded && (isSame || OriginalWeights.isRounded(mine, from: theirs))
        } else {
          count(&weights)
        }
      }
      if differs { changed.append(node.path) }
    }
    guard weights.tensors > missing else { return nil }
    card = original.card.name
    (self.weights, self.affine, self.statistics) = (weights, affine, statistics)
    changedLayers = changed
    self.isRounded = isRounded && !changed.isEmpty
    self.parameters = original.parameters
  }

  /// Whether two tensors hold the same numbers, or the first holds the second's in half precision.
  package static func areSame(_ mine: Tensor<Float>, _ theirs: Tensor<Float>) -> Bool {
    mine.withUnsafeElements { mine in
      theirs.withUnsafeElements { theirs in
        if mine.elementsEqual(theirs) { return true }
        // Half precision keeps 11 bits and bfloat16 8; what is too small for half becomes coarser.
        return zip(mine, theirs).allSatisfy { one, other in
          one == other || abs(one - other) <= max(abs(other) / 255, 1e-7)
        } && mine.allSatisfy { OriginalWeights.isShort($0) }
      }
    }
  }

  /// Whether the first tensor holds the second's numbers in so few bits that each is off by up to an
  /// eighth, very small ones by more; very large ones are cut.
  package static func isRounded(_ mine: Tensor<Float>, from theirs: Tensor<Float>) -> Bool {
    mine.withUnsafeElements { mine in
      theirs.withUnsafeElements { theirs in
        let largest = mine.reduce(0) { max($0, abs($1)) }
        for (one, other) in zip(mine, theirs) {
          guard one.bitPattern & 0x7FFFF == 0 else { return false }
          let isNear = abs(one - other) <= max(abs(other) / 8, 0.004)
          // No format cuts numbers at 1 or less: nothing but zeros is no rounding.
          let isCut = largest > 1 && abs(one) == largest && abs(other) > largest
          guard isNear || isCut else { return false }
        }
        return true
      }
    }
  }

  /// Whether a number has no more bits than half precision or bfloat16 keep.
  private static func isShort(_ value: Float) -> Bool {
    value.bitPattern & 0xFFFF == 0 || Float(Float16(value)) == value
  }
}
