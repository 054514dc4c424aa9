// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawFiles

extension BatchNormFixes {
  /// Writes what can be won and what to do.
  package func recommend(_ diagnosis: inout BatchNormDiagnosis) {
    let fix = diagnosis.fixes.first { $0.name == diagnosis.recommendedFix }
    diagnosis.gain = gain(fix, diagnosis)
    diagnosis.recommendation = advice(diagnosis, fix)
    let code = BatchNormCode(
      diagnosis.kind, fix?.name, of: classifier, isOfRun: examination.photos.areOfRun)
    diagnosis.code = code?.text
  }

  private func advice(
    _ diagnosis: BatchNormDiagnosis, _ fix: BatchNormDiagnosis.Fix?
  ) -> String {
    let file = fix == nil ? "" : "--apply FILE writes the model with '\(fix?.name ?? "")'. "
    switch diagnosis.kind {
    case .healthy where fix == nil:
      return "Nothing to do."
    case .healthy:
      return file
        + (isBeyondChance(fix)
          ? "The features serve these photos better than the head does."
          : isAhead(fix) || !hasMoreToLearnFrom(fix?.name ?? "")
            ? "A head solved anew does no worse on these photos; that it does better may be chance."
            : "A head solved anew learns from these photos as well; that it does worse on them, each left out"
              + " in turn, may be chance.")
    case .batchStatistics, .alteredBatchNorms:
      return file + cure(fix?.name)
        + (classifier.record?.freezing.frozenBatchNorm == .inference
          ? "" : " In your own training, freeze batch norms in inference mode.")
    case .otherEpsilon:
      return file + "Or give the batch norms the epsilon the network was trained with."
    case .initialStatistics:
      return file + "Or load the checkpoint's running_mean and running_var (moving_mean,"
        + " moving_variance); else compute them anew."
    case .corruptedStatistics:
      let names = diagnosis.suspects.prefix(3).joined(separator: ", ")
      return file + "Or load the running statistics of \(names) again from the original checkpoint."
    case .preprocessing:
      let name = judgement.betterInput.map { examination.inputs.results[$0].name } ?? ""
      guard fix?.name == "head" else {
        return file + "Prepare photos as '\(name)': it belongs to the weights."
      }
      return file + "It has a head for photos prepared as declared, which new photos are told apart"
        + " by better. Or keep the head and prepare photos as '\(name)', as those it learned."
    case .labelOrder:
      return file + "Put the class names in the order the network was trained with; match labels by"
        + " name."
    case .undertrained:
      return file
        + "Or train the head longer, or with another learning rate: the features serve better"
        + " than it does."
    case .overfitting:
      return file
        + "Train on more photos, augment"
        + (isHeadAlone ? " or decay weights." : ", decay weights or thaw fewer layers.")
        + " Nothing about batch norm will help."
    case .weak:
      return file
        + "Check that the photos show what the classes are called, then train longer or thaw more"
        + " layers; thaw diagnose fit says which."
    case .noBatchNorm:
      return "Look elsewhere: thaw diagnose preprocessing, thaw diagnose fit."
    case .cannotTell:
      return "Give more photos, those it was trained on and others. \(bothKinds)"
    }
  }

  /// What the fix does on new photos, and how sure that is; nil when none was tried for a problem.
  private func gain(_ fix: BatchNormDiagnosis.Fix?, _ diagnosis: BatchNormDiagnosis) -> String? {
    guard let fix else {
      guard judgement.kind.isBatchNormProblem, !diagnosis.fixes.isEmpty else { return nil }
      return "None of the fixes tried does better than the network as it is."
    }
    if let bias = fix.bias { return biasedGain(fix, bias) }
    let now: String
    if let asItIs = diagnosis.asItIs, asItIs.bias == nil {
      now = comparison(fix, asItIs.accuracy)
    } else {
      now = "; what it gets as it is cannot be said from photos that it may have learned"
    }
    return
      "Of new photos \(Format.percent(fix.accuracy))\(range(fix.interval)) with '\(fix.name)'\(now)."
  }

  /// How a fix does beside the network as it is, both judged fairly.
  private func comparison(_ fix: BatchNormDiagnosis.Fix, _ asItIs: Double) -> String {
    let number = Format.percent(asItIs)
    if fix.accuracy == asItIs { return ", as many as it gets as it is" }
    guard fix.accuracy < asItIs else { return ", instead of \(number)" }
    let chance = ", instead of \(number): behind by what may be chance on \(judged.count) photos"
    if fix.name == "restore-head" {
      return "\(chance), and with the statistics that belong to the weights"
    }
    if isAhead(fix) {
      return ", instead of \(number): fewer, but with more probability for the right class"
    }
    return hasMoreToLearnFrom(fix.name)
      ? "\(chance), and having learned from these as well" : chance
  }

  /// Whether a fix is better than the network as it is on the photos that judge, by chance or not.
  private func isAhead(_ fix: BatchNormDiagnosis.Fix?) -> Bool {
    guard let outcome = fix.flatMap({ outcomes[$0.name] }), let asItIs else { return false }
    return outcome.lead(over: asItIs).mean > 0
  }

  /// Whether a fix is better than the network as it is by more than chance would have it.
  private func isBeyondChance(_ fix: BatchNormDiagnosis.Fix?) -> Bool {
    guard let outcome = fix.flatMap({ outcomes[$0.name] }), let asItIs else { return false }
    let lead = outcome.lead(over: asItIs)
    return lead.mean > BatchNormFixes.errorsOfSurprise * lead.error
  }

  /// What can be said of a fix whose number holds for photos that were learned: what a head would do that
  /// was made for the same features.
  private func biasedGain(_ fix: BatchNormDiagnosis.Fix, _ bias: String) -> String {
    let number = "'\(fix.name)' gets \(Format.percent(fix.accuracy)) of these photos, but \(bias)"
    guard let scores = outcomes[fix.name]?.expected else {
      return "\(number): of new ones it will get fewer. To be sure: \(bothKinds)"
    }
    let expected = PhotoResults(scores, judged.labels).accuracy
    let interval = BatchNormFixes.newPhotos(expected, judged.count)
    return "\(number). Heads that have not seen the photo they answer for get"
      + " \(Format.percent(expected))\(range([interval.lowerBound, interval.upperBound])) on the same"
      + " features: expect that of new ones. To be sure: \(bothKinds)"
  }

  /// How to give photos of both kinds. A run has its own alone, so its model is asked about.
  private var bothKinds: String {
    guard examination.photos.areOfRun else {
      return "--data with photos it was not trained on, --train-data with those it was."
    }
    return "thaw diagnose batchnorm --model \(ShellWord.quote(classifier.source))"
      + " --train-data TRAINED --data OTHERS, each a folder with one folder per class."
  }

  /// Whether only the head was trained, as the model's own record says or the checkpoint's weights do.
  var isHeadAlone: Bool {
    classifier.trainedHeadAlone
      ?? (canRestore && examination.facts.original?.hasTrainedAffine == false)
  }

  private func range(_ interval: [Double]?) -> String {
    interval.map {
      " (\(Format.percent($0[0])) to \(Format.percent($0[1])) of \(judged.count) others)"
    } ?? ""
  }

  private func cure(_ fix: String?) -> String {
    switch fix {
    case "recalibrate": "It computes the running statistics anew on your photos, without gradients."
    case "recalibrate-head", "recalibrate-part-head":
      "It computes the running statistics anew and trains the head again behind them."
    case "restore": "It loads the batch norms of the original checkpoint again."
    case "restore-head":
      "It loads the batch norms of the original checkpoint again and trains the head behind them."
    case nil: "Train the head again with batch norms frozen in inference mode."
    default: "It trains the head again with batch norms frozen in inference mode."
    }
  }
}
