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
      Column("Entropy of the answers", numeric: true), Column("Note"),
    ]
    let shown = found.ranking.enumerated().filter { $0.offset < 10 || $0.element.isDeclared }
    let rows = shown.map { _, rank in
      [
        rank.name, Format.significant(rank.divergence, 3),
        rank.head.map { Format.fixed($0.entropy, 2) } ?? "–", rank.isDeclared ? "declared" : "",
      ].map(name)
    }
    let advice =
      ([found.gain.map { "To be won: \($0)" }, found.recommendation].compactMap(\.self)
      + found.notes).joined(separator: " ")
    return note("Preprocessing", status, found.verdict, advice)
      + definitions([
        (
          "Divergence",
          "how far what the network sees inside lies from what it saw when it was trained; 0 is alike."
        ),
        ("Entropy of the answers", "how undecided the answers are; 0 is sure."),
      ])
      + table(columns, rows, caption: "Preprocessing", stacks: true)
  }

  private func fit(_ found: FitFindings) -> Markup {
    let status: Status =
      switch found.status {
      case .healthy: found.suspiciousCount == 0 ? .good : .warning
      case .bias, .variance, .undecided: .warning
      case .mismatch, .broken, .head, .indistinct: .problem
      }
    let columns = [
      Column("Part of the error"), Column("Size", numeric: true),
      Column("Chance alone", numeric: true),
    ]
    let parts = [
      (
        "Avoidable bias", "what it gets wrong even of the photos it learnt from, beyond a person",
        found.parts.avoidableBias
      ),
      (
        "Variance", "how much more it gets wrong of photos of the same kind that it has not seen",
        found.parts.variance
      ),
      (
        "Mismatch", "how much more it gets wrong of the judged photos, being of another kind",
        found.parts.mismatch
      ),
    ]
    let rows = parts.compactMap { title, meaning, part in
      part.map {
        [
          term(title, meaning), "\(Format.percent($0.size))", "± \(Format.percent($0.noise))",
        ] as [Markup]
      }
    }
    let steps = found.next.enumerated().map { "\($0.offset + 1). \($0.element)" }
    return note("Fit", status, found.verdict, steps.joined(separator: " "))
      + table(columns, rows, caption: "Fit")
  }
}
