// SPDX-License-Identifier: Apache-2.0

import ThawConsole
package import ThawDatasets

/// A look at the photos before anything is trained, as one self-contained HTML page.
package struct PhotosPage: Sendable {
  private let look: DataLook
  private let manifest: Manifest
  private let warnings: [String]
  private let groups: [Manifest.NearDuplicateGroup]
  private let thumbnails: [BytePath: [UInt8]]
  /// The elements that reports are made of.
  private let elements: HTMLReport

  /// Photos of a group that are shown, at most.
  package static let photosOfGroup = 6

  /// - Parameters:
  ///   - warnings: the manifest's.
  ///   - groups: those of near-duplicates that are shown.
  ///   - thumbnails: small JPEGs of their photos; one without is shown as "no preview".
  package init(
    _ look: DataLook, _ manifest: Manifest, warnings: [String],
    showing groups: [Manifest.NearDuplicateGroup], thumbnails: [BytePath: [UInt8]]
  ) {
    self.look = look
    self.manifest = manifest
    self.warnings = warnings
    self.groups = groups
    self.thumbnails = thumbnails
    elements = HTMLReport(ReportContent(title: "A look at the photos"))
  }

  /// The whole file, UTF-8.
  package var html: String {
    HTMLReport.document(
      "A look at the photos",
      """
      <header><h1>A look at the photos</h1>\
      <p class="fine">Photos from \(elements.path(manifest.root.description))</p></header>
      <main id="main" tabindex="-1">
      \(findings)\(classes)\(copies)</main>
      """
    ).text
  }

  private func section(_ id: Markup, _ title: Markup, _ body: Markup) -> Markup {
    """
    <section id="\(id)" aria-labelledby="\(id)-title">
    <h2 id="\(id)-title">\(title)</h2>
    \(body)
    </section>

    """
  }

  /// What the look found, and what the scan did.
  private var findings: Markup {
    let items = (look.findings.map(\.text) + warnings).map { "<li>\($0)</li>" as Markup }
    return section(
      "findings", "What to look at",
      items.isEmpty
        ? "<p>Nothing stands out.</p>" : "<ul>\(Markup.joined(items))</ul>")
  }

  private var classes: Markup {
    typealias Column = HTMLReport.Column
    // Photos from the web rarely say what took them.
    let namesCameras = look.classes.contains { !$0.cameras.isEmpty }
    let columns =
      [
        Column("Class"), Column("Photos", numeric: true), Column("Formats"), Column("Middle size"),
      ] + (namesCameras ? [Column("Cameras")] : [])
    let rows = look.classes.map { item -> [Markup] in
      [
        elements.name(item.name), "\(Format.grouped(item.count))", "\(counted(item.formats))",
        "\(item.medianWidth) x \(item.medianHeight)",
      ] + (namesCameras ? ["\(counted(item.cameras))"] : [])
    }
    return section(
      "classes", "What each class is made of",
      elements.table(
        columns, rows,
        caption: namesCameras
          ? "Formats, sizes and cameras by class" : "Formats and sizes by class",
        stacks: true))
  }

  /// The most frequent first; few of them.
  private func counted(_ counts: [String: Int]) -> String {
    let sorted = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    let more = sorted.count > 4 ? ", and \(sorted.count - 4) more" : ""
    return sorted.prefix(4).map { "\($0.key) (\($0.value))" }.joined(separator: ", ") + more
  }

  /// The contact sheet of groups that show one picture each.
  private var copies: Markup {
    guard let all = manifest.nearDuplicates, !all.isEmpty else { return "" }
    let sheets = groups.map { group -> Markup in
      let photos = group.paths.prefix(PhotosPage.photosOfGroup).map { path -> Markup in
        """
        <li>\(elements.picture(thumbnails[path] ?? [], "Photo"))\
        <p class="fine" title="\(path.description)">\
        \(elements.path(elements.shortened(path.description)))</p></li>

        """
      }
      let more = group.paths.count - photos.count
      return """
        <h3>\(heading(group))</h3>
        <ul class="gallery">\(Markup.joined(photos))</ul>
        \(more > 0 ? "<p class=\"fine\">and \(more) more</p>" as Markup : "")

        """
    }
    let rest = all.count - groups.count
    return section(
      "copies", "Photos that show the same picture",
      "<p>\(all.count) pictures are there more than once; each counts once.</p>"
        + Markup.joined(sheets) + (rest > 0 ? "<p>and \(rest) more groups</p>" : ""))
  }

  private func heading(_ group: Manifest.NearDuplicateGroup) -> String {
    "\(group.paths.count) photos"
      + (group.kinds.contains(.acrossSplits) ? ", in several splits" : "")
      + (group.kinds.contains(.acrossClasses) ? ", in several classes" : "")
  }
}
