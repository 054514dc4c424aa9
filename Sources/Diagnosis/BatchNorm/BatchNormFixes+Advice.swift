// SPDX-License-Identifier: Apache-2.0

import ThawConsole

extension BatchNormFixes {
  /// Writes what can be won and what to do.
  package func recommend(_ diagnosis: inout BatchNormDiagnosis) {
    diagnosis.recommendation = advice(diagnosis)
  }

  private func advice(_ diagnosis: BatchNormDiagnosis) -> String {
    let fix = diagnosis.fixes.first { $0.name == diagnosis.recommendedFix }
    let won = gain(fix, diagnosis)
    switch diagnosis.kind {
    case .healthy where fix == nil:
      return "Nothing to do."
    case .healthy:
      return won + "The features serve these photos better than the head does."
    case .batchStatistics, .alteredBatchNorms:
      return won + cure(fix?.name) + Self.ownTraining
    case .otherEpsilon:
      return won + "Give the batch norms the epsilon the network was trained with."
    case .initialStatistics:
      return won + "Load the checkpoint's running_mean and running_var (moving_mean,"
        + " moving_variance), or compute them anew."
    case .corruptedStatistics:
      let names = diagnosis.suspects.prefix(3).joined(separator: ", ")
      return won + "Load the running statistics of \(names) again from the original checkpoint, or"
        + " compute them anew."
    case .preprocessing:
      let name = judgement.betterInput.map { examination.inputs.results[$0].name } ?? ""
      return won + "Prepare photos as '\(name)': it belongs to the weights."
    case .labelOrder:
      return won + "Put the class names in the order the network was trained with; match labels by"
        + " name."
    case .undertrained:
      return won + "Train the head longer, or with another learning rate: the features serve better"
        + " than it does."
    case .overfitting:
      return won
        + "Train on more photos, augment, decay weights or thaw fewer layers. Nothing about batch"
        + " norm will help."
    case .weak:
      return won
        + "Check that the photos show what the classes are called, then train longer or thaw more"
        + " layers; thaw diagnose fit says which."
    case .noBatchNorm:
      return "Look elsewhere: thaw diagnose preprocessing, thaw diagnose fit."
    case .cannotTell:
      return "Give more photos, those it was trained on and others: --train-data and --data."
    }
  }

  private static let ownTraining =
    " In your own training, freeze batch norms in inference mode (--frozen-batch-norm inference;"
    + " layer(x, training=False) in Keras, module.eval() in PyTorch)."

  /// What the fix does on new photos, and how sure that is.
  private func gain(_ fix: BatchNormDiagnosis.Fix?, _ diagnosis: BatchNormDiagnosis) -> String {
    guard let fix else {
      return !judgement.kind.isBatchNormProblem || diagnosis.fixes.isEmpty
        ? "" : "None of the fixes tried does better than the network as it is. "
    }
    let count = judged.count
    let range = fix.interval.map {
      " (\(Format.percent($0[0])) to \(Format.percent($0[1])) on as many others)"
    }
    if let bias = fix.bias {
      return
        "With '\(fix.name)' \(Format.percent(fix.accuracy)) of \(count) photos; new ones will do"
        + " worse, for \(bias): give photos it was not trained on with --data and these with"
        + " --train-data. "
    }
    let before: String
    if let asItIs = diagnosis.asItIs, asItIs.bias == nil {
      before = " instead of \(Format.percent(asItIs.accuracy))"
    } else {
      before = ""
    }
    return "On photos it has not seen the network gets \(Format.percent(fix.accuracy))"
      + "\(range ?? "") with '\(fix.name)'\(before); --apply FILE writes that model. "
  }

  private func cure(_ fix: String?) -> String {
    switch fix {
    case "recalibrate": "Compute the running statistics anew on your photos, without gradients."
    case "recalibrate-head", "recalibrate-blend":
      "Compute the running statistics anew, then train the head again in inference mode."
    case "restore": "Load the batch norms of the original checkpoint again."
    case "restore-head":
      "Load the batch norms of the original checkpoint again and train the head behind them in"
        + " inference mode."
    default: "Train the head again with batch norms frozen in inference mode."
    }
  }
}
