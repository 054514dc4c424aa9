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

  /// The judged photos' words.
  var words: ResultWords? {
    content.evaluation.map { evaluation in
      guard let outcome = content.network?.record.outcome, let manifest = content.manifest else {
        return ResultWords(evaluation)
      }
      return ResultWords(evaluation, outcome: outcome, manifest: manifest)
    }
  }

  private var page: Markup {
    let sections = sections
    return HTMLReport.document(
      content.title,
      """
      <a class="skip" href="#main">Skip to the result</a>
      <header><h1>\(name(content.title))</h1>\(subject)\(date)</header>
      <main id="main" tabindex="-1">
      \(headline)\(warnings)\(contents(sections))\(Markup.joined(sections.map(element)))</main>
      """)
  }

  /// A page that needs nothing but itself.
  static func document(_ title: String, _ body: Markup) -> Markup {
    let style = Markup(trusted: ChartPalette.css + ReportStyle.css + ReportStyle.map)
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
      style-src 'unsafe-inline'; img-src data:">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="generator" content="thaw">
      <title>\(title)</title>
      <style>\(style)</style>
      </head>
      <body>
      \(body)
      <footer><p>Written by thaw. This page is one file and loads nothing.</p></footer>
      </body>
      </html>

      """
  }

  /// All sections with something to say, in reading order: the result, what it is good for, how it came
  /// about.
  private var sections: [Section] {
    let all: [Section?] = [
      evaluationSection, earlierSection, photosSection, mapSection, errorsSection, shortcutsSection,
      confusionSection,
      decisionsSection,
      calibrationSection,
      crossValidationSection, unlabelledSection, suspectsSection, diagnosisSection,
      batchNormSection, usageSection,
      dataSection, augmentationSection,
      trainingSection, detailsSection,
    ]
    return all.compactMap { $0 }
  }

  /// What the classifier tells apart, and where it learnt it.
  private var subject: Markup {
    guard let manifest = content.manifest else { return "" }
    let known = manifest.classes.prefix(8).map { "<b>\(name($0))</b>" as Markup }
    let rest = manifest.classes.count - known.count
    let list =
      Markup.joined(known, separator: ", ")
      + (rest > 0 ? " and \(Format.grouped(rest)) more" as Markup : "")
    let count = counted(manifest.classes.count, "class", plural: "classes")
    return """
      <p>A classifier of photos into \(count): \(list).</p>\
      <p class="fine">Photos from \(path(manifest.root.description))</p>
      """
  }

  private var date: Markup {
    optional(content.date.flatMap(ReportDate.init)) {
      "<p class=\"fine\">Report of <time datetime=\"\($0.machine)\">\($0.text)</time></p>"
    }
  }

  private func contents(_ sections: [Section]) -> Markup {
    guard sections.count > 2 else { return "" }
    let links = sections.map { "<li><a href=\"#\($0.id)\">\($0.title)</a></li>" as Markup }
    return "<nav aria-label=\"Sections\"><ul>\(Markup.joined(links, separator: " "))</ul></nav>\n"
  }

  private func element(_ section: Section) -> Markup {
    """
    <section id="\(section.id)" aria-labelledby="\(section.id)-title">
    <h2 id="\(section.id)-title">\(section.title)</h2>
    \(section.body)
    </section>

    """
  }

  /// `body` of the value, or nothing.
  func optional<Value>(_ value: Value?, _ body: (Value) -> Markup) -> Markup {
    value.map(body) ?? ""
  }
}
