// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDatasets

/// A report as one self-contained HTML page.
///
/// The page needs no network, fonts or scripts and says so in a content security policy; it follows
/// the reader's light or dark preference, fits screens from 360 pixels and prints. Its parts draw the
/// results themselves, each in a file of its own (`HTMLReport+...`). The same content gives the same
/// bytes.
package struct HTMLReport: Sendable {
  /// What it says.
  package let content: ReportContent

  /// A report that says `content`.
  package init(_ content: ReportContent) { self.content = content }

  /// The whole file, UTF-8.
  package var html: String { page.text }

  /// A part of the page with an entry in its table of contents.
  struct Section {
    let id: Markup
    let title: Markup
    let body: Markup
  }

  private var page: Markup {
    let sections = sections
    let style = Markup(trusted: ChartPalette.css + ReportStyle.css)
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
      style-src 'unsafe-inline'; img-src data:">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="generator" content="thaw">
      <title>\(content.title)</title>
      <style>\(style)</style>
      </head>
      <body>
      <header><h1>\(content.title)</h1>\(optional(content.manifest) { "<p>\($0.root.description)</p>" })\
      \(contents(sections))</header>
      <main>
      \(warnings)\(headline)\(Markup.joined(sections.map(element)))</main>
      <footer><p>Written by thaw. This page is one file and loads nothing.</p></footer>
      </body>
      </html>

      """
  }

  /// All sections with something to say, in reading order.
  private var sections: [Section] {
    let all: [Section?] = [
      evaluationSection, confusionSection, mistakesSection, batchNormSection,
      diagnosisSection, suspectsSection,
      dataSection, augmentationSection, modelSection, freezePlanSection, trainingSection,
      learningRateSection, finderSection, reproductionSection,
    ]
    return all.compactMap { $0 }
  }

  private func contents(_ sections: [Section]) -> Markup {
    guard sections.count > 2 else { return "" }
    let links = sections.map { "<a href=\"#\($0.id)\">\($0.title)</a>" as Markup }
    return "<nav aria-label=\"Sections\">\(Markup.joined(links, separator: " "))</nav>"
  }

  private func element(_ section: Section) -> Markup {
    """
    <section id="\(section.id)" aria-labelledby="\(section.id)-title">
    <h2 id="\(section.id)-title">\(section.title)</h2>
    \(section.body)
    </section>

    """
  }

  private var warnings: Markup {
    let warnings = content.manifest?.warnings ?? []
    guard !warnings.isEmpty else { return "" }
    let items = warnings.map { "<li>\($0)</li>" as Markup }
    return """
      <div class="note warn" id="warnings"><p class="label">Before you trust this</p><ul>\
      \(Markup.joined(items))</ul></div>

      """
  }

  /// `body` of the value, or nothing.
  func optional<Value>(_ value: Value?, _ body: (Value) -> Markup) -> Markup {
    value.map(body) ?? ""
  }
}
