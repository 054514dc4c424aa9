// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawNetwork
import ThawOneDNN
import ThawTensors
import ThawTraining

extension BatchNormFixes {
  /// A fix by name, what it does, and how; nil when it turns out to be impossible.
  typealias Attempt = (name: String, what: String, make: () throws -> Outcome?)

  /// The fixes for what was found, the cheapest first.
  var attempts: [Attempt] {
    switch judgement.kind {
    case .batchStatistics, .alteredBatchNorms:
      return restoring + [head] + recalibrating + mixed + blends
    case .initialStatistics: return restoring + (canRestore ? [] : recalibrating + [head])
    case .corruptedStatistics:
      return restoring + (canRestore ? [head] : [recalibrateLayers] + recalibrating + [head])
    case .undertrained: return [head, recalibrateHead] + mixed + blends
    case .preprocessing: return contracts + [head]
    case .otherEpsilon: return otherEpsilon + [head]
    case .labelOrder: return [names]
    case .healthy, .overfitting, .weak, .noBatchNorm: return [head]
    case .cannotTell: return []
    }
  }

  /// Whether the checkpoint's batch norms belong to the weights this network has.
  var canRestore: Bool { examination.facts.original?.isBackboneUntouched ?? false }

  private var recalibrating: [Attempt] { [recalibrate, recalibrateHead] }

  private var recalibrate: Attempt {
    (
      "recalibrate", "all running statistics computed anew, no gradients",
      { [self] in try withOwnHead(original, .anew(nil)) }
    )
  }

  private var recalibrateLayers: Attempt {
    let paths = Set(judgement.suspects.map { examination.facts.layers[$0].path })
    return (
      "recalibrate-layers",
      "running statistics of \(paths.map(\.description).sorted().joined(separator: ", "))"
        + " computed anew, no gradients",
      { [self] in try withOwnHead(original, .anew(paths)) }
    )
  }

  private var head: Attempt {
    (
      "head", "batch norms frozen in inference mode, a new head solved on the features",
      { [self] in try withNewHead(original, .asTheyAre) }
    )
  }

  private var recalibrateHead: Attempt {
    (
      "recalibrate-head", "running statistics computed anew, then a new head on the features",
      { [self] in try withNewHead(original, .anew(nil)) }
    )
  }

  private var restoring: [Attempt] {
    guard canRestore, let original = examination.facts.original, !original.changedLayers.isEmpty
    else { return [] }
    return [
      (
        "restore", "the batch norms of \(original.card) put back",
        { [self] in try withOwnHead(self.original, .checkpoint) }
      ),
      (
        "restore-head", "the batch norms of \(original.card) put back, a new head on the features",
        { [self] in try withNewHead(self.original, .checkpoint) }
      ),
    ]
  }

  /// Running statistics that err less than those of a few photos alone. Where the checkpoint's are to be
  /// had, those are better; of many photos the data's own are, and take less time.
  private var mixed: [Attempt] {
    guard fixing.count <= Recalibration.fewPhotos, !canRestore || !changesBatchNorms else {
      return []
    }
    let share = Format.percent(Recalibration.share(of: fixing.count), decimals: 0)
    return [
      (
        "recalibrate-part-head",
        "running statistics \(share) of the way to those of the photos, a new head on the features",
        { [self] in try withNewHead(original, .mixed) }
      )
    ]
  }

  /// A head between the old and the new one, where both can be judged and may belong to the batch norms.
  private var blends: [Attempt] {
    guard hasUnseenPhotos, !canRestore || !changesBatchNorms else { return [] }
    return [
      (
        "blend", "a head between the network's own and a new one",
        { [self] in try blend(original, .asTheyAre) }
      )
    ]
  }

  private var contracts: [Attempt] {
    guard let index = judgement.betterInput else { return [] }
    let input = examination.inputs.results[index]
    var changed = original
    changed.preprocessing = input.preprocessing
    let network = changed
    return [
      (
        "contract", "photos prepared as '\(input.name)'",
        { [self] in try withOwnHead(network, .asTheyAre) }
      ),
      (
        "contract-and-head", "photos prepared as '\(input.name)' and a new head",
        { [self] in try withNewHead(network, .asTheyAre) }
      ),
    ]
  }

  private var otherEpsilon: [Attempt] {
    guard let epsilon = examination.facts.otherEpsilon?.epsilon else { return [] }
    return [
      (
        "epsilon", "running variances that make up for an epsilon of \(epsilon)",
        { [self] in try withOwnHead(original, .epsilon(epsilon)) }
      )
    ]
  }

  private var names: Attempt {
    (
      "names", "class names put in the order of the outputs",
      { [self] in try withOwnHead(original, .asTheyAre) }
    )
  }
}
