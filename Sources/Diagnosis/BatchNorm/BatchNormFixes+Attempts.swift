// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawNetwork
import ThawOneDNN
import ThawTensors
import ThawTraining

extension BatchNormFixes {
  /// A fix by name, what it does, and how; nil when it turns out to be impossible.
  typealias Attempt = (name: String, what: String, make: () throws -> Outcome?)

  /// Which batch norms a network gets.
  enum Statistics: Hashable {
    /// Its own.
    case asTheyAre
    /// Running statistics computed anew; of some layers, or of all.
    case anew(Set<ParameterPath>?)
    /// The pretrained checkpoint's, scales and shifts included.
    case checkpoint

    var name: String {
      switch self {
      case .asTheyAre: "as they are"
      case .anew(nil): "anew"
      case .anew: "some anew"
      case .checkpoint: "checkpoint"
      }
    }
  }

  /// The fixes for what was found, the cheapest first.
  var attempts: [Attempt] {
    switch judgement.kind {
    case .batchStatistics: return [head, recalibrate, recalibrateHead] + blends
    case .alteredBatchNorms: return restoring + [recalibrate, recalibrateHead, head] + blends
    case .initialStatistics:
      return (canRestore ? restoring : []) + [recalibrate, recalibrateHead, head]
    case .corruptedStatistics:
      let paths = Set(judgement.suspects.map { examination.facts.layers[$0].path })
      let some: Attempt = (
        "recalibrate-layers",
        "running statistics of \(paths.map(\.description).sorted().joined(separator: ", "))"
          + " computed anew, no gradients",
        { [self] in try withOwnHead("recalibrate-layers", original, statistics: .anew(paths)) }
      )
      return (canRestore ? restoring : []) + [some, recalibrate, recalibrateHead, head]
    case .undertrained: return [head, recalibrateHead] + blends
    case .preprocessing: return contracts
    case .labelOrder:
      return [
        (
          "names", "class names put in the order of the outputs",
          { [self] in try withOwnHead("names", renamed, statistics: .asTheyAre) }
        )
      ]
    case .healthy, .overfitting, .weak, .noBatchNorm, .cannotTell: return []
    }
  }

  /// Whether the checkpoint's batch norms belong to the weights this network has.
  var canRestore: Bool { examination.facts.original?.isBackboneUntouched ?? false }

  private var recalibrate: Attempt {
    (
      "recalibrate", "all running statistics computed anew, no gradients",
      { [self] in try withOwnHead("recalibrate", original, statistics: .anew(nil)) }
    )
  }

  private var head: Attempt {
    (
      "head", "batch norms frozen in inference mode, a new head solved on the features",
      { [self] in try withNewHead(original, statistics: .asTheyAre) }
    )
  }

  private var recalibrateHead: Attempt {
    (
      "recalibrate-head", "running statistics computed anew, then a new head on the features",
      { [self] in try withNewHead(original, statistics: .anew(nil)) }
    )
  }

  private var restoring: [Attempt] {
    let card = examination.facts.original?.card ?? ""
    return [
      (
        "restore", "the batch norms of \(card) put back",
        { [self] in try withOwnHead("restore", original, statistics: .checkpoint) }
      ),
      (
        "restore-head", "the batch norms of \(card) put back, a new head on the features",
        { [self] in try withNewHead(original, statistics: .checkpoint) }
      ),
    ]
  }

  /// Heads between the old and the new one, where both can be judged.
  private var blends: [Attempt] {
    guard hasUnseenPhotos else { return [] }
    return [
      (
        "blend", "a head between the network's own and a new one",
        { [self] in try blend(original, statistics: .asTheyAre) }
      ),
      (
        "recalibrate-blend", "running statistics computed anew, a head between the two",
        { [self] in try blend(original, statistics: .anew(nil)) }
      ),
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
        { [self] in try withOwnHead("contract", network, statistics: .asTheyAre) }
      ),
      (
        "contract-and-head", "photos prepared as '\(input.name)' and a new head",
        { [self] in try withNewHead(network, statistics: .asTheyAre) }
      ),
    ]
  }

  /// The class names in the order in which the outputs answer.
  private var renamed: Repaired {
    var result = original
    for (class_, output) in examination.moved {
      result.classNames[output] = classifier.classNames[class_]
    }
    // Outputs that took no class keep a name of their own.
    var seen: Set<String> = []
    for index in result.classNames.indices where !seen.insert(result.classNames[index]).inserted {
      result.classNames[index] += " (unused \(index))"
    }
    return result
  }
}
