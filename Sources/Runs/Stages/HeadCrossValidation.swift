// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDatasets
import ThawDiagnosis
import ThawInference
import ThawRecipes
import ThawTensors
import ThawTraining

/// What new heads on a run's features make of photos they have not seen.
///
/// The validation photos chose the epoch, so that their accuracy is a little too good, and they are
/// few. Here every training and validation photo is judged once, by a head that was solved on the
/// photos of the other folds: nothing of it is chosen by the photo it judges but the strength of the
/// penalty, one number for all. It is an estimate for a head of one layer on features that stay as
/// they are, and says nothing of fine-tuned layers.
struct HeadCrossValidation {
  /// Photos times features times classes above which it would take more than a few seconds.
  static let limit = 4_000_000

  let run: OpenRun

  /// Photos judged and right; nil where the head is no such head, where photos may have several labels,
  /// or where it would take too long.
  ///
  /// - Throws: ``PipelineError/interrupted``; errors of the features.
  func heldOut(by model: TrainingRecord) throws -> Evaluation.HeldOut? {
    let (recipe, manifest) = (run.recipe, run.manifest)
    // A head that photos without labels have helped is another one than those of the folds.
    guard model.isHeadAlone, recipe.head.hidden == nil, model.unlabelled?.isKept != true,
      recipe.train.cachedViews(seed: recipe.seed).isEmpty,
      recipe.train.views != .fresh
        || !recipe.train.augmentation.isActive
    else { return nil }
    let network = try TransferNetwork(recipe, classes: manifest.classes, context: run.context)
    guard !network.plan.frozenBatchNorm.movesRunningStatistics, !network.partition.prefix.isEmpty
    else { return nil }
    let records = manifest.records.filter { $0.split != .test }
    guard case .single(let labels) = SampleLabels(of: records, in: manifest) else { return nil }
    let store = try FeatureStore(network, of: run, precision: FeaturePrecision(recipe.cache))
    guard records.count * store.rowLength * manifest.classes.count <= Self.limit else { return nil }
    _ = try store.fill(records)
    let features = CachedFeatures(clean: try store.matrix(records), labels: .single(labels))
    let progress = run.context.console.progress(
      "Cross-validating the head", total: nil, unit: "solutions")
    var groups = Array(labels.indices)
    for members in manifest.sameness(of: records) {
      for photo in members { groups[photo] = members[0] }
    }
    let probabilities = try CrossValidation.probabilities(
      features.tensor, labels: labels, groups: groups, classes: manifest.classes.count,
      classWeights: recipe.train.classWeights(labels: labels, classes: manifest.classes.count),
      seed: recipe.seed, onSolve: { progress.advance() })
    progress.finish()
    let classes = manifest.classes.count
    let judged = labels.indices.filter { probabilities[$0 * classes].isFinite }
    guard !judged.isEmpty else { return nil }
    let predictions = Probabilities.predictions(probabilities.rows(judged))
    let correct = zip(judged, predictions).count { labels[$0] == $1 }
    let pictures = Set(judged.map { groups[$0] }).count
    return Evaluation.HeldOut(
      count: judged.count, correct: correct,
      independent: pictures < judged.count ? pictures : nil)
  }
}
