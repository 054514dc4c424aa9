// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawConsole
import ThawDiagnosis
import ThawFiles
import ThawReports
import ThawTraining

extension RunDirectory {
  /// The report's page on batch normalisation; nil when it was not diagnosed, or by a version whose
  /// results are not understood.
  var batchNormSection: ReportContent.BatchNormSection? {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    guard let bytes = try? FileSystem.read(diagnosis("batchnorm"), limit: 1 << 24),
      let found = try? decoder.decode(BatchNormDiagnosis.self, from: Data(bytes))
    else { return nil }
    return found.section
  }
}

extension BatchNormDiagnosis {
  /// The same as the report shows it.
  var section: ReportContent.BatchNormSection {
    typealias Section = ReportContent.BatchNormSection
    var phases = [
      Section.Phase(
        name: "Inference: running statistics, \(photos) photos (\(split))",
        accuracy: inference.accuracy, loss: inference.loss, auc: inference.auc)
    ]
    phases += batchSizes.map {
      .init(
        name: "Training: batches of \($0.batch)", accuracy: $0.accuracy, loss: $0.loss,
        auc: $0.auc)
    }
    if let heldOut {
      phases.append(
        .init(
          name: "Inference, \(heldOutPhotos) other photos", accuracy: heldOut.accuracy,
          loss: heldOut.loss, auc: heldOut.auc))
    }
    let isFrozen = layers.map { $0.frozen ?? false }
    let last = isFrozen.lastIndex(of: true)
    return Section(
      status: kind == .healthy || kind == .noBatchNorm ? .good : .problem, verdict: verdict,
      recommendation: recommendation, evidence: evidence, phases: phases,
      layers: layers.map {
        .init(
          path: $0.path, divergence: $0.divergence,
          divergenceInInference: $0.divergenceInInference, lossAlone: $0.lossAlone,
          lossUpTo: $0.lossUpTo, isSuspect: $0.suspect)
      }, lastFrozen: last == layers.count - 1 ? nil : last, inferenceLoss: lossBeforeSwitching,
      fixes: fixes.isEmpty ? nil : fixTable)
  }

  private var fixTable: ReportContent.Table {
    let rows = fixes.map { fix in
      [
        fix.name + (fix.name == recommendedFix ? " (recommended)" : ""), fix.what,
        Format.percent(fix.accuracy), Format.fixed(fix.loss, 4),
        Format.duration(seconds: fix.seconds),
      ]
    }
    return ReportContent.Table(
      columns: ["Fix", "What was done", "Accuracy on other photos", "Loss", "Time"], rows: rows,
      numericColumns: [2, 3, 4])
  }
}
