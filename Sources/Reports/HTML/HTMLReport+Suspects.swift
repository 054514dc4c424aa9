// SPDX-License-Identifier: Apache-2.0

import ThawConsole

extension HTMLReport {
  var suspectsSection: Section? {
    guard !content.suspects.isEmpty else { return nil }
    let cards = content.suspects.map { suspect -> Markup in
      let image: Markup =
        Base64.imageAddress(suspect.thumbnail).map { "<img alt=\"\" src=\"\($0)\">" }
        ?? "<span class=\"blank\">no preview</span>"
      return """
        <li>\(image)<p>labelled <span class="bad">\(name(suspect.label))</span></p>\
        <p>looks like <strong>\(name(suspect.suggestion))</strong> \
        (\(Format.fixed(suspect.score, 2)))</p>\
        <p class="fine" title="\(suspect.path)">\(path(shortened(suspect.path)))</p></li>

        """
    }
    let body: Markup = """
      <p>A classifier that has not seen the photo and its nearest neighbours both contradict the label. \
      The number says how clearly, 0 to 1. Some of these are right and merely unusual: look.</p>
      <ul class="gallery">\(Markup.joined(cards))</ul>
      """
    return Section(id: "suspects", title: "Suspicious labels", body: body)
  }
}
