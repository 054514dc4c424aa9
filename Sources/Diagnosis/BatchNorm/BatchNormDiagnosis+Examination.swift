// SPDX-License-Identifier: Apache-2.0

package import ThawInference
import ThawNetwork

extension BatchNormDiagnosis {
  /// What was measured and judged, before any fix is tried.
  package init(
    _ examination: BatchNormExamination, _ judgement: BatchNormJudgement,
    _ classifier: Classifier
  ) {
    let facts = examination.facts
    let graph = classifier.graph
    let frozen: (Int) -> Bool? = { group in
      classifier.record.map { !$0.freezing.trains(group: group) }
    }
    let attribution = examination.attribution
    let training = examination.batchSizes.first { $0.batch == examination.batch }
    let switched = Phase(
      accuracy: facts.training.accuracy, loss: facts.training.loss, auc: training?.auc)
    let layers = facts.layers.enumerated().map { index, layer in
      Layer(
        path: layer.path.description, group: graph.groups[layer.group].name,
        frozen: frozen(layer.group), meanShift: layer.own.meanShift,
        varianceRatio: layer.own.varianceRatio, divergence: layer.own.divergence,
        divergenceOfWorstTenth: layer.own.divergenceOfWorstTenth,
        divergenceInInference: layer.asRun.divergence, lossAlone: attribution?.alone[index],
        lossUpTo: attribution?.upTo[index], suspect: judgement.suspects.contains(index))
    }
    let groups = graph.groups.enumerated().map { index, group in
      Group(name: group.name, lossAlone: attribution?.groups[index], frozen: frozen(index))
    }
    self.init(
      kind: judgement.kind, verdict: judgement.verdict, recommendation: "",
      evidence: examination.contradictions + judgement.evidence, signature: judgement.signature,
      inference: examination.inference, training: switched,
      gap: facts.training.accuracy - facts.inference.accuracy, batch: examination.batch,
      batchSizes: examination.batchSizes, photos: examination.photos.main.count,
      split: examination.photos.names.main, heldOutPhotos: examination.photos.heldOut.count,
      heldOut: examination.heldOut, layers: layers, groups: groups,
      suspects: judgement.suspects.map { layers[$0].path },
      lossBeforeSwitching: attribution?.inferenceLoss,
      decisiveLayer: attribution.flatMap { $0.decisive($0.alone.map(Optional.some)) }.map {
        layers[$0].path
      },
      decisiveGroup: attribution.flatMap { $0.decisive($0.groups) }.map { groups[$0].name },
      boundary: nil,
      inputs: facts.inputs.map {
        Input(
          name: $0.name, accuracy: $0.results.accuracy, loss: $0.results.loss,
          divergence: $0.divergence)
      },
      fixes: [], recommendedFix: nil, renamedClasses: facts.renamed,
      familiarity: facts.familiarity,
      head: facts.unseen.map { HeadComparison(own: $0.inference, solved: $0.solved) },
      original: facts.original.map { Original($0, batchNorms: facts.layers.count) })
    boundary = boundarySentence
    judgingFamiliarity = examination.judgingFamiliarity
    (headPreference, checkpointPreference) = (facts.preference, facts.checkpointPreference)
    otherEpsilon = facts.otherEpsilon.map(Epsilon.init)
  }

  /// Whether the trouble lies in frozen layers.
  private var boundarySentence: String? {
    let known = layers.compactMap { layer in layer.frozen.map { (layer, $0) } }
    guard !known.isEmpty, let inference = lossInInference else { return nil }
    guard let last = known.last(where: \.1)?.0 else {
      return "No layer was frozen."
    }
    if known.allSatisfy(\.1) {
      return "Every batch norm was frozen; only the layers behind '\(last.path)' were trained."
    }
    let gain: (Bool) -> Double = { isFrozen in
      groups.filter { $0.frozen == isFrozen }.compactMap(\.lossAlone).map { inference - $0 }.max()
        ?? 0
    }
    let place = gain(true) >= gain(false) ? "frozen" : "trained"
    return "Layers up to '\(last.path)' were frozen; the switch that changes most is in the"
      + " \(place) part."
  }

  private var lossInInference: Double? { lossBeforeSwitching }
}

extension PhaseAttribution {
  /// The entry that differs most from the loss in inference.
  fileprivate func decisive(_ losses: [Double?]) -> Int? {
    losses.indices.filter { losses[$0] != nil }.max {
      abs((losses[$0] ?? 0) - inferenceLoss) < abs((losses[$1] ?? 0) - inferenceLoss)
    }
  }
}
