// SPDX-License-Identifier: Apache-2.0

/// What only those want to know who would do it differently: folded, at the end.
extension HTMLReport {
  /// Something folded away under a heading of its own.
  struct Part {
    let id: Markup
    let title: Markup
    let body: Markup
  }

  var detailsSection: Section? {
    let parts = [
      modelPart, freezePlanPart, learningRatePart, finderPart, reproductionPart,
    ].compactMap { $0 }
    guard !parts.isEmpty else { return nil }
    let body = parts.map { part -> Markup in
      """
      <details id="\(part.id)"><summary><h3>\(part.title)</h3></summary>\(part.body)</details>

      """
    }
    return Section(id: "details", title: "Technical details", body: .joined(body))
  }
}
