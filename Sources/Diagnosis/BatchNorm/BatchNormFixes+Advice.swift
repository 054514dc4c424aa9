// SPDX-License-Identifier: Apache-2.0

import ThawConsole

extension BatchNormFixes {
  /// Writes what to do.
  package func recommend(_ diagnosis: inout BatchNormDiagnosis) {
    diagnosis.recommendation = advice(diagnosis)
  }

  private func advice(_ diagnosis: BatchNormDiagnosis) -> String {
    let fix = diagnosis.fixes.first { $0.name == diagnosis.recommendedFix }
    let gain =
      fix.map { fix in
        let before = diagnosis.heldOut.map { " instead of \(Format.percent($0.accuracy))" } ?? ""
        return " Tried here: \(Format.percent(fix.accuracy))\(before) on"
          + " \(diagnosis.heldOutPhotos) photos it did not learn from; --apply FILE writes that model."
      } ?? ""
    switch diagnosis.kind {
    case .healthy:
      return "Nothing to do."
    case .batchStatistics:
      return cure(fix?.name) + gain
        + " In your own training, freeze batch norms in inference mode (--frozen-batch-norm"
        + " inference; layer(x, training=False) in Keras, module.eval() in PyTorch)."
    case .initialStatistics:
      return "Load the checkpoint's running_mean and running_var (moving_mean, moving_variance), or"
        + " compute them anew." + gain
    case .corruptedStatistics:
      let names = diagnosis.suspects.prefix(3).joined(separator: ", ")
      return
        "Load the running statistics of \(names) again from the original checkpoint, or compute"
        + " them anew." + gain
    case .preprocessing:
      let name = judgement.betterInput.map { examination.inputs.results[$0].name } ?? ""
      return "Prepare photos as '\(name)': it belongs to the weights." + gain
    case .labelOrder:
      return "Put the class names in the order the network was trained with; match labels by name."
        + gain
    case .overfitting:
      return
        "Train on more photos, augment, decay weights or thaw fewer layers. Nothing about batch"
        + " norm will help."
    case .weak:
      return
        "Check that the photos show what the classes are called, then train longer or thaw more"
        + " layers; thaw diagnose fit says which."
    case .noBatchNorm:
      return "Look elsewhere: thaw diagnose preprocessing, thaw diagnose fit."
    }
  }

  private func cure(_ fix: String?) -> String {
    switch fix {
    case "recalibrate": "Compute the running statistics anew on your photos, without gradients."
    case "head": "Freeze the batch norms in inference mode and train the head again."
    case "batchnorm": "Let the batch norms train."
    default: "Train the head again with batch norms frozen in inference mode."
    }
  }
}
