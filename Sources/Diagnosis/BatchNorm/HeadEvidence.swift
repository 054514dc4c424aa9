// SPDX-License-Identifier: Apache-2.0

import ThawNetwork
import ThawOneDNN
import ThawTensors

/// What a network's head tells: compared with new ones under one choice of batch norms after the other.
struct HeadEvidence {
  /// Its own head and new ones, as they are, on the photos that are examined; nil when none was solved.
  let pair: HeadPair?
  /// Another usual epsilon, the better one on photos of a poor head.
  let otherEpsilon: BatchNormFacts.OtherEpsilon?
  /// Whether the network knows the photos that are examined, and those that judge fixes.
  let (familiarity, judging): (Familiarity?, Familiarity?)
  /// Photos it has not seen, in every way.
  let unseen: BatchNormFacts.Unseen?
  /// Whether its head was made for statistics of the data, and whether for those of the checkpoint.
  let (preference, checkpointPreference): (HeadPreference?, HeadPreference?)
  /// The small batches that suit it best.
  let smallBatches: BatchNormFacts.SmallBatches?

  /// - Parameter training: the photos that are examined, on batch statistics.
  init(
    _ heads: ComparedHeads, training: PhotoResults, isSeen: Bool?, chance: Double
  ) throws {
    pair = try heads.trials.trial(.asTheyAre).pairOnFixing()
    otherEpsilon = try heads.otherEpsilon()
    preference = try heads.preference(.anew(nil), chance)
    checkpointPreference = try heads.preference(.checkpoint, chance)
    let ways = heads.ways(otherEpsilon?.epsilon)
    let shown = try heads.traces(heads.photos.main, ways) { try $0.pairOnFixing() }
    smallBatches = try heads.smallBatches(preference, isUnseen: shown?.answer == .unseen)
    let traces = smallBatches?.areWhereItLearned == true ? shown?.hiddenByBatches : shown
    let known = "they are its training photos"
    if heads.photos.isDivided {
      let judged = try heads.traces(heads.photos.heldOut, ways) { try $0.pairOnJudging() }
      familiarity = Familiarity(.seen, because: known, traces: traces)
      judging =
        heads.photos.isJudgedByCopies
        ? Familiarity(.seen, because: "they show the same as its training photos")
        : Familiarity(.unseen, because: "they were kept apart", traces: judged)
    } else if heads.photos.areOfRun, heads.photos.isTrainingData {
      familiarity = Familiarity(.seen, because: known, traces: traces)
      judging = familiarity
    } else {
      familiarity = isSeen.map { Familiarity(said: $0, traces: traces) } ?? traces
      judging = familiarity
    }
    unseen = judging?.answer == .unseen ? try heads.unseen(training) : nil
  }
}

/// Asks heads about photos.
struct ComparedHeads {
  let trials: HeadTrials
  let photos: DiagnosisPhotos
  let passes: PhasePasses
  let original: OriginalWeights?
  /// Side of the photos.
  let size: Extent2D

  /// PyTorch's and TensorFlow's.
  private static let usualEpsilons = [1e-5, 1e-3]
  private static let sizes = [2, 4]
  private static let sample = 160

  private var hasBatchNorms: Bool { !passes.network.layers.isEmpty }

  /// The other usual epsilon under which the network's own head does better on the photos that are
  /// examined; nil when both are no other.
  func otherEpsilon() throws -> BatchNormFacts.OtherEpsilon? {
    let own = passes.network.layers.map(\.normalization.epsilon)
    let others = try ComparedHeads.usualEpsilons
      .filter { epsilon in own.contains { abs($0 / epsilon - 1) > 0.1 } }
      .map { epsilon in
        let trial = try trials.trial(.epsilon(epsilon))
        var results = PhotoResults(trial.ownOnFixing, photos.main.labels)
        if photos.isDivided { results = results + PhotoResults(trial.own, photos.heldOut.labels) }
        return BatchNormFacts.OtherEpsilon(
          epsilon: epsilon, asItIs: try asItIs(), results: results)
      }
    return others.min { $0.results.loss < $1.results.loss }
  }

  /// All photos by the network as it is.
  private func asItIs() throws -> PhotoResults {
    let trial = try trials.trial(.asTheyAre)
    let own = PhotoResults(trial.ownOnFixing, photos.main.labels)
    return photos.isDivided ? own + PhotoResults(trial.own, photos.heldOut.labels) : own
  }

  /// The batch norms under which the network may know its photos: its own, those of the data, and those
  /// it may have been meant to have.
  func ways(_ epsilon: Double?) -> [BatchNormChoice] {
    var ways: [BatchNormChoice] = [.asTheyAre]
    if hasBatchNorms { ways.append(.anew(nil)) }
    if original?.hasChangedBatchNormsAlone == true { ways.append(.checkpoint) }
    if let epsilon { ways.append(.epsilon(epsilon)) }
    return ways
  }

  /// Whether the network knows `photos`; nil when no head could be solved.
  func traces(
    _ photos: LabelledTensors, _ ways: [BatchNormChoice], _ pair: (HeadTrial) throws -> HeadPair?
  ) throws -> Familiarity? {
    let known = try ways.compactMap { way in
      try pair(trials.trial(way)).map { (way: way, pair: $0) }
    }
    let best = known.max {
      ($0.pair.own.accuracy, -$0.pair.own.loss) < ($1.pair.own.accuracy, -$1.pair.own.loss)
    }
    guard let best,
      let solved = known.map(\.pair.solved).max(by: { $0.accuracy < $1.accuracy })
    else { return nil }
    return Familiarity(
      best: best.pair.own, solved: solved,
      mirrored: try trials.own(photos.mirrored(size: size), under: best.way))
  }

  /// The photos that judge, in every way.
  ///
  /// - Parameter training: those that are examined on batch statistics, which are the same ones in a
  ///   single folder.
  func unseen(_ training: PhotoResults) throws -> BatchNormFacts.Unseen? {
    guard let pair = try trials.trial(.asTheyAre).pairOnJudging() else { return nil }
    return BatchNormFacts.Unseen(
      inference: pair.own,
      training: photos.isDivided ? try passes.results(photos.heldOut, .all) : training,
      solved: pair.solved)
  }

  /// Whether its head was made for other batch norms than it has; nil where there are none.
  func preference(_ choice: BatchNormChoice, _ chance: Double) throws -> HeadPreference? {
    guard hasBatchNorms,
      choice != .checkpoint || original?.hasChangedBatchNormsAlone == true
    else { return nil }
    let (running, other) = (try trials.trial(.asTheyAre), try trials.trial(choice))
    var sets: [(running: HeadPair, anew: HeadPair)] = []
    if let first = try running.pairOnFixing(), let second = try other.pairOnFixing() {
      sets.append((first, second))
    }
    if photos.isDivided, let first = try running.pairOnJudging(),
      let second = try other.pairOnJudging()
    {
      sets.append((first, second))
    }
    return sets.isEmpty ? nil : HeadPreference(sets, chance: chance)
  }

  /// Some photos in smaller batches, where a head that is poor in the usual ones may have learned.
  ///
  /// - Parameter isUnseen: whether the network shows no trace of knowing the photos. A head that was made
  ///   for batch statistics is then tried in smaller batches as well: those hide what it knows.
  func smallBatches(
    _ preference: HeadPreference?, isUnseen: Bool
  ) throws -> BatchNormFacts.SmallBatches? {
    guard let pair = try trials.trial(.asTheyAre).pairOnFixing(), let preference,
      preference.isSkilled, !preference.prefersOther || isUnseen,
      pair.own.loss > pair.solved.loss || pair.own.accuracy < pair.solved.accuracy
    else { return nil }
    let few = photos.main.sample(ComparedHeads.sample, seed: passes.seed)
    let asRun = try passes.results(few, .none)
    let usual = preference.prefersOther ? try passes.results(few, .all) : nil
    let all = try ComparedHeads.sizes.filter { $0 < passes.batch }.map { size in
      BatchNormFacts.SmallBatches(
        batch: size, inference: asRun, results: try passes.results(few, .all, batch: size),
        usual: usual)
    }
    return all.max { $0.results.accuracy < $1.results.accuracy }
  }
}
