// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawConsole
import ThawDatasets
import ThawDiagnosis
import ThawFiles
import ThawReports

extension RunReport {
  /// What the run's diagnoses of preprocessing and fit say; those never made are left out.
  var diagnoses: [ReportContent.DiagnosisResult] {
    [
      result(PreprocessingDiagnosis.self, "preprocessing").map(\.reported),
      result(FitFindings.self, "fit").map(\.reported),
    ].compactMap { $0 }
  }

  /// The photos whose labels the diagnosis of the fit found suspicious, with thumbnails.
  var suspects: [ReportContent.Suspect] {
    let found = result(FitFindings.self, "fit")?.labels.filter(\.isSuspicious) ?? []
    var records: [String: Manifest.Record] = [:]
    for record in manifest.records { records[record.path.description] = record }
    return found.map { photo in
      ReportContent.Suspect(
        path: photo.path, label: photo.label, suggestion: photo.suggestion, score: photo.score,
        thumbnail: records[photo.path].map(thumbnail) ?? [])
    }
  }

  /// The last result of a diagnosis; nil when there is none, or one of another version.
  private func result<Result: Decodable>(_ type: Result.Type, _ kind: String) -> Result? {
    guard let bytes = try? FileSystem.read(run.diagnosis(kind), limit: 1 << 26) else { return nil }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try? decoder.decode(type, from: Data(bytes))
  }
}

extension PreprocessingDiagnosis {
  fileprivate var reported: ReportContent.DiagnosisResult {
    let status: ReportContent.Status =
      switch self.status {
      case .consistent: .good
      case .wrong: .problem
      case .undecided: .warning
      }
    let shown = ranking.enumerated().filter { $0.offset < 10 || $0.element.isDeclared }
    return ReportContent.DiagnosisResult(
      title: "Preprocessing", status: status, verdict: verdict,
      recommendation: ([recommendation].compactMap { $0 } + notes).joined(separator: " "),
      table: ReportContent.Table(
        columns: ["Contract", "Divergence", "Entropy of the answers", ""],
        rows: shown.map { _, rank in
          [
            rank.name, Format.significant(rank.divergence, 3),
            rank.head.map { Format.fixed($0.entropy, 2) } ?? "–", rank.isDeclared ? "declared" : "",
          ]
        }, numericColumns: [1, 2]))
  }
}

extension FitFindings {
  fileprivate var reported: ReportContent.DiagnosisResult {
    let status: ReportContent.Status =
      switch self.status {
      case .healthy: suspiciousCount == 0 ? .good : .warning
      case .bias, .variance, .undecided: .warning
      case .mismatch, .broken: .problem
      }
    let rows: [(String, BiasVariance.Part?)] = [
      ("Avoidable bias", parts.avoidableBias), ("Variance", parts.variance),
      ("Mismatch", parts.mismatch),
    ]
    return ReportContent.DiagnosisResult(
      title: "Fit", status: status, verdict: verdict,
      recommendation: next.enumerated().map { "\($0.offset + 1). \($0.element)" }
        .joined(separator: " "),
      table: ReportContent.Table(
        columns: ["Part of the error", "Size", "Chance alone"],
        rows: rows.compactMap { name, part in
          part.map { [name, Format.percent($0.size), "± \(Format.percent($0.noise))"] }
        }, numericColumns: [1, 2]))
  }
}
