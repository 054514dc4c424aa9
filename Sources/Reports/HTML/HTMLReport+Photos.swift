// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDiagnosis

/// Photos to look at: answers of all kinds, and labels that look wrong.
extension HTMLReport {
  /// What was answered to some of the judged photos.
  var photosSection: Section? {
    let parts = [
      answers(
        "mistakes", "Wrong",
        "The most confident wrong answers, worst first. Look for wrong labels among them."
          + (content.evidence.isEmpty
            ? "" : " Below each photo: bright where something spoke for the wrong answer."),
        content.mistakes, style: "bad"),
      answers(
        "unsure", "Right, but unsure",
        "Right answers with the least confidence. Photos like these are the next to go wrong.",
        content.unsure, style: "warn"),
      answers(
        "sure", "Right and sure", "The most confident right answers of each class.",
        content.sure, style: "good"),
    ].compactMap { $0 }
    guard !parts.isEmpty else { return nil }
    return Section(id: "photos", title: "Photos it got wrong and right", body: .joined(parts))
  }

  private func answers(
    _ id: Markup, _ title: Markup, _ text: String, _ answers: [ReportContent.Answer],
    style: Markup
  ) -> Markup? {
    guard !answers.isEmpty else { return nil }
    let cards = answers.map { answer -> Markup in
      let second: Markup =
        id == "unsure"
        ? optional(answer.second) {
          "; next was \(name($0.name)) (\(Format.percent($0.probability, decimals: 0)))"
        } : ""
      return card(
        answer.path, labelled: answer.truth,
        """
        <p>Predicted <strong class="\(style)">\(name(answer.predicted))</strong> \
        (\(Format.percent(answer.probability, decimals: 0))), labelled \
        <strong>\(name(answer.truth))</strong>\(second)</p>
        """, below: id == "mistakes" ? evidence(answer) : "")
    }
    return "<h3 id=\"\(id)\">\(title)</h3>" + gallery(text, cards)
  }

  private func evidence(_ answer: ReportContent.Answer) -> Markup {
    optional(Base64.imageAddress(content.evidence[answer.path] ?? [])) {
      "<img alt=\"Bright where something speaks for \(answer.predicted)\" src=\"\($0)\">"
    }
  }

  var suspectsSection: Section? {
    let suspects = content.fit?.labels.filter(\.isSuspicious) ?? []
    guard !suspects.isEmpty else { return nil }
    let cards = suspects.map { suspect -> Markup in
      card(
        suspect.path, labelled: suspect.label,
        """
        <p>Labelled <strong class="bad">\(name(suspect.label))</strong>, looks like \
        <strong>\(name(suspect.suggestion))</strong> (\(Format.fixed(suspect.score, 2)))</p>
        """)
    }
    return Section(
      id: "suspects", title: "Suspicious labels",
      body: gallery(
        "A classifier that has not seen the photo and its nearest neighbours both contradict the"
          + " label. The number says how clearly, 0 to 1. Some of these are right and merely"
          + " unusual: look.", cards))
  }

  func gallery(_ text: String, _ cards: [Markup]) -> Markup {
    """
    <p>\(text)</p>
    <ul class="gallery">\(Markup.joined(cards))</ul>

    """
  }

  /// A photo, perhaps with another picture below it, and its path below what is said about it.
  func card(
    _ path: String, labelled label: String, _ text: Markup, below more: Markup = ""
  ) -> Markup {
    let image = picture(
      content.thumbnails[path] ?? [], "Photo labelled \(label): \(fileName(path))")
    return """
      <li>\(image)\(more)\(text)<p class="fine" title="\(path)">\(self.path(shortened(path)))</p></li>

      """
  }

  /// An image inside the page, or a word that there is none.
  func picture(_ bytes: [UInt8], _ description: String) -> Markup {
    optional(Base64.imageAddress(bytes)) { "<img alt=\"\(description)\" src=\"\($0)\">" }.orElse(
      "<span class=\"blank\">no preview</span>")
  }

  private func fileName(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }
}

extension Markup {
  fileprivate func orElse(_ other: Markup) -> Markup { text.isEmpty ? other : self }
}
