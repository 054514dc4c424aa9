// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawFiles
import ThawRecipes
import ThawTraining

/// The tables of Documentation/recipes.md, made from the declarations of the keys.
struct RecipeDocumentation {
  /// The page in the checkout.
  static let page = FilePath(#filePath).removingLastComponent().removingLastComponent()
    .removingLastComponent().appending("Documentation").appending("recipes.md")

  /// The page as it is.
  static func text() throws -> String { String(decoding: try FileSystem.read(page), as: UTF8.self) }

  /// The tables by the names of their places in the page.
  static let tables: [String: String] = {
    let plain = Recipe()
    return [
      "top": table([.name, .backbone, .seed, .minutes, .sizes, .precision, .cache], [plain]),
      "data": table(Recipe.Data.keys, [plain.data]),
      "image": table(Recipe.Image.keys, [plain.image]),
      "head": table(Recipe.Head.keys, [plain.head]),
      "train": table(Recipe.Train.keys, [plain.train, plain.fineTune.train]),
      "fine_tune": table(Recipe.FineTune.ownKeys, [plain.fineTune]),
      "phase": table(Recipe.Phase.keys, []),
      "evaluate": table(Recipe.Evaluate.keys, [plain.evaluate]),
      "schedule": schedules,
      "parts": table([.layerDecay, .cycleLength, .cycleMult, .warmUp], [], named: "option"),
    ]
  }()

  /// `page` with every table made anew: what stands between `<!-- keys: NAME -->` and
  /// `<!-- end -->` is replaced.
  ///
  /// - Returns: the page, and the names of the tables in it.
  static func filled(_ page: String) -> (text: String, names: Set<String>) {
    var lines: [Substring] = []
    var names: Set<String> = []
    var isInside = false
    for line in page.split(separator: "\n", omittingEmptySubsequences: false) {
      if line == "<!-- end -->" { isInside = false }
      if !isInside { lines.append(line) }
      guard line.hasPrefix("<!-- keys: ") else { continue }
      let name = String(line.dropFirst(11).dropLast(4))
      names.insert(name)
      lines.append(Substring(tables[name] ?? ""))
      isInside = true
    }
    return (lines.joined(separator: "\n"), names)
  }

  /// - Parameters:
  ///   - defaults: the sections with default values whose keys these are; none without defaults.
  ///   - column: the title of the first column.
  private static func table<Section>(
    _ keys: [RecipeKey<Section>], _ defaults: [Section], named column: String = "key"
  ) -> String {
    let hasOptions = column == "key" && keys.contains { $0.option != nil }
    let titles =
      [column, "values"] + (defaults.isEmpty ? [] : ["default"])
      + (hasOptions ? ["option"] : []) + ["meaning"]
    let rows = keys.map { key in
      let name = column == "key" ? "`\(key.name)`" : "`--\(key.option ?? "")`"
      var values: [String] = []
      for text in defaults.map(key.documented) where values.last != text { values.append(text) }
      let usual = values.map { $0.isEmpty ? "" : "`\($0)`" }.joined(separator: " / ")
      return [name, key.type] + (defaults.isEmpty ? [] : [usual])
        + (hasOptions ? [key.option.map { "`--\($0)`" } ?? ""] : []) + [key.text]
    }
    return markdown(titles, rows)
  }

  private static let schedules = markdown(
    ["name", "keys and defaults", "factor on the rate"],
    ScheduleKind.allCases.map { kind in
      let numbers = kind.schedule.numbers.map { "`\($0): \($1)`" }
      return ["`\(kind.rawValue)`", numbers.joined(separator: ", "), kind.text]
    })

  private static func markdown(_ titles: [String], _ rows: [[String]]) -> String {
    ([titles, titles.map { _ in "---" }] + rows)
      .map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
  }
}
