// SPDX-License-Identifier: Apache-2.0

import ThawDatasets
import ThawFiles
import ThawInference
import ThawReports

extension RunReport {
  /// The model before the last new classes against the one of now, class by class, on the judged photos of
  /// the classes that it knew; nil when there is none.
  ///
  /// Placed photos stay in their splits, so neither model has learned from these.
  ///
  /// - Throws: ``PipelineError/interrupted``.
  func earlier() throws -> ReportContent.Earlier? {
    // Where a photo may have several labels no class alone is the answer.
    guard !manifest.severalLabels, FileSystem.exists(run.earlierModel),
      let classifier = try? Classifier(
        modelFile: run.earlierModel, compiler: open.context.compiler, threads: open.context.threads)
    else { return nil }
    let known = classifier.classNames
    let added = manifest.classes.filter { !known.contains($0) }
    let rows = result.records.indices.filter { known.contains(result.records[$0].className) }
    guard !added.isEmpty, !rows.isEmpty, Set(known).isSubset(of: manifest.classes) else {
      return nil
    }
    let root = manifest.root.filePath
    let outcomes = try classifier.classify(
      rows.map { result.records[$0].path.resolved(in: root) })
    var counts: [String: ReportContent.Earlier.ClassCount] = [:]
    for (row, outcome) in zip(rows, outcomes) {
      guard case .logits(let logits) = outcome else { continue }
      let name = result.records[row].className
      let answers = logits.elements.prefix(known.count)
      let best = answers.indices.max { (answers[$0], $1) < (answers[$1], $0) }
      counts[name, default: .init(name: name)].add(
        before: best.map { known[$0 - answers.startIndex] } == name,
        now: result.isRight(row))
    }
    return ReportContent.Earlier(
      classes: manifest.classes.compactMap { counts[$0] }, added: added)
  }
}
