// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDiagnosis

/// Photos to look at: mistakes, and labels that look wrong.
extension HTMLReport {
  var mistakesSection: Section? {
    guard !content.mistakes.isEmpty else { return nil }
    let cards = content.mistakes.map { mistake -> Markup in
      card(
        mistake.path,
        """
        <p><span class="bad">\(name(mistake.predicted))</span> \
        \(Format.percent(mistake.probability, decimals: 0))</p>\
        <p>is <strong>\(name(mistake.truth))</strong> \
        (\(Format.percent(mistake.truthProbability, decimals: 0)))</p>
        """)
    }
    return Section(
      id: "mistakes", title: "Worst mistakes",
      body: gallery(
        "The most confident wrong predictions, worst first. Look for wrong labels among them.",
        cards))
  }

  var suspectsSection: Section? {
    let suspects = content.fit?.labels.filter(\.isSuspicious) ?? []
    guard !suspects.isEmpty else { return nil }
    let cards = suspects.map { suspect -> Markup in
      card(
        suspect.path,
        """
        <p>labelled <span class="bad">\(name(suspect.label))</span></p>\
        <p>looks like <strong>\(name(suspect.suggestion))</strong> \
        (\(Format.fixed(suspect.score, 2)))</p>
        """)
    }
    return Section(
      id: "suspects", title: "Suspicious labels",
      body: gallery(
        "A classifier that has not seen the photo and its nearest neighbours both contradict the"
          + " label. The number says how clearly, 0 to 1. Some of these are right and merely"
          + " unusual: look.", cards))
  }

  private func gallery(_ text: String, _ cards: [Markup]) -> Markup {
    """
    <p>\(text)</p>
    <ul class="gallery">\(Markup.joined(cards))</ul>
    """
  }

  /// A photo with its path below what is said about it.
  private func card(_ path: String, _ text: Markup) -> Markup {
    let image: Markup =
      content.thumbnails[path].flatMap(Base64.imageAddress).map { "<img alt=\"\" src=\"\($0)\">" }
      ?? "<span class=\"blank\">no preview</span>"
    return """
      <li>\(image)\(text)<p class="fine" title="\(path)">\(self.path(shortened(path)))</p></li>

      """
  }
}
