// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawConsole
import ThawDatasets
import ThawFiles

/// Tags of one's own: a table with a row for each photo and tag.
package struct TagTable {
  /// In the order of their first row.
  package private(set) var names: [String] = []
  /// The photos of each tag, as the table spells them.
  package private(set) var photos: [String: Set<String>] = [:]

  /// Reads a table with a column `path` and a column `tag`; further columns are not looked at. A photo may
  /// have several rows.
  ///
  /// - Throws: `FileError`; ``PipelineError/data(_:)`` with the line that is wrong.
  package init(_ file: FilePath) throws {
    let text = String(decoding: try FileSystem.read(file, limit: 1 << 28), as: UTF8.self)
    func wrong(_ line: Int?, _ problem: String) -> PipelineError {
      .data(
        "\(file.displayed)\(line.map { ":\($0)" } ?? ""): \(problem). Expected a first row with the names"
          + " 'path' and 'tag', and a row for each photo and tag.")
    }
    let rows: [DelimitedText.Row]
    do { rows = try DelimitedText(text).rows } catch { throw wrong(error.line, error.problem) }
    guard let header = rows.first else { throw wrong(nil, "is empty") }
    let titles = header.cells.map { $0.lowercased() }
    guard let path = titles.firstIndex(of: "path"), let tag = titles.firstIndex(of: "tag") else {
      throw wrong(
        header.line, "has the columns \(header.cells.map { "'\($0)'" }.joined(separator: ", "))")
    }
    for row in rows.dropFirst() {
      guard row.cells.count > max(path, tag) else {
        throw wrong(row.line, "has \(row.cells.count) cells")
      }
      let (name, photo) = (row.cells[tag], row.cells[path])
      guard !name.isEmpty, !photo.isEmpty else { throw wrong(row.line, "has an empty cell") }
      if photos[name] == nil { names.append(name) }
      photos[name, default: []].insert(photo)
    }
    guard !names.isEmpty else { throw wrong(nil, "has no row behind the first") }
  }

  /// Which photos have each tag, and the paths that are none of `names`.
  ///
  /// - Parameters:
  ///   - names: of the photos, below `root`.
  ///   - root: paths may also begin with it.
  func matched(
    _ names: [String], root: String
  ) -> (tags: [(name: String, meaning: String?, has: [Bool])], unknown: [String]) {
    let places = Dictionary(names.enumerated().map { ($1, $0) }) { first, _ in first }
    func place(_ path: String) -> Int? {
      let text = VisibleText.escape(path)
      let below = text.hasPrefix(root + "/") ? String(text.dropFirst(root.count + 1)) : text
      return places[below.hasPrefix("./") ? String(below.dropFirst(2)) : below]
    }
    var unknown: Set<String> = []
    let tags = self.names.map { name -> (name: String, meaning: String?, has: [Bool]) in
      var has = [Bool](repeating: false, count: names.count)
      for path in photos[name] ?? [] {
        if let index = place(path) { has[index] = true } else { unknown.insert(path) }
      }
      return (name, nil, has)
    }
    return (tags, unknown.sorted())
  }
}
