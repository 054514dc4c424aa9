// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDiagnosis

/// What the diagnoses of preprocessing and fit found.
extension HTMLReport {
  var diagnosisSection: Section? {
    let items = [content.preprocessing.map(preprocessing), content.fit.map(fit)]
    let found = items.compactMap { $0 }
    return found.isEmpty
      ? nil : Section(id: "diagnosis", title: "Diagnosis", body: .joined(found))
  }

  private func preprocessing(_ found: PreprocessingDiagnosis) -> Markup {
    let status: Status =
      switch found.status {
      case .consistent: .good
      case .wrong: .problem
      case .undecided: .warning
      }
    let columns = [
      Column("Contract"), Column("Divergence", numeric: true),
      Column("Entropy of the answers", numeric: true), Column(""),
    ]
    let shown = found.ranking.enumerated().filter { $0.offset < 10 || $0.element.isDeclared }
    let rows = shown.map { _, rank in
      [
        rank.name, Format.significant(rank.divergence, 3),
        rank.head.map { Format.fixed($0.entropy, 2) } ?? "–", rank.isDeclared ? "declared" : "",
      ].map(name)
    }
    let advice = ([found.recommendation].compactMap { $0 } + found.notes).joined(separator: " ")
    return note("Preprocessing", status, found.verdict, advice)
      + table(columns, rows, caption: "Preprocessing")
  }

  private func fit(_ found: FitFindings) -> Markup {
    let status: Status =
      switch found.status {
      case .healthy: found.suspiciousCount == 0 ? .good : .warning
      case .bias, .variance, .undecided: .warning
      case .mismatch, .broken, .head: .problem
      }
    let columns = [
      Column("Part of the error"), Column("Size", numeric: true),
      Column("Chance alone", numeric: true),
    ]
    let parts = [
      ("Avoidable bias", found.parts.avoidableBias), ("Variance", found.parts.variance),
      ("Mismatch", found.parts.mismatch),
    ]
    let rows = parts.compactMap { title, part in
      part.map { [title, Format.percent($0.size), "± \(Format.percent($0.noise))"].map(name) }
    }
    let steps = found.next.enumerated().map { "\($0.offset + 1). \($0.element)" }
    return note("Fit", status, found.verdict, steps.joined(separator: " "))
      + table(columns, rows, caption: "Fit")
  }
}
