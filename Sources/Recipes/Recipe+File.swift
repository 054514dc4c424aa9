// SPDX-License-Identifier: Apache-2.0

import ThawConfiguration
import ThawConsole

extension Recipe {
  /// One line of the file at its top level: a key, or a section of keys.
  enum Entry: Sendable {
    case key(RecipeKey<Recipe>)
    case section(String, [RecipeKey<Recipe>], check: @Sendable (Recipe, YAMLFields) throws -> Void)

    /// A section whose keys are kept at `path`.
    static func section<Section>(
      _ name: String, _ path: WritableKeyPath<Recipe, Section> & Sendable,
      _ keys: [RecipeKey<Section>],
      check: @escaping @Sendable (Recipe, YAMLFields) throws -> Void = { _, _ in }
    ) -> Entry {
      .section(name, keys.map { $0.within(path) }, check: check)
    }
  }

  /// The file from top to bottom.
  static let entries: [Entry] = [
    .key(.name), .key(.backbone), .key(.seed), .key(.minutes),
    .section("data", \.data, Data.keys),
    // Before the keys that it sets, so that they can say otherwise.
    .key(.sizes),
    .section("image", \.image, Image.keys),
    .key(.precision), .key(.cache),
    .section("head", \.head, Head.keys),
    .section("train", \.train, Train.keys),
    .section("fine_tune", \.fineTune, FineTune.keys) { try $0.fineTune.check($1) },
    .section("evaluate", \.evaluate, Evaluate.keys),
  ]

  /// Reads a recipe.
  ///
  /// - Parameters:
  ///   - yaml: the text of the file; what it leaves out keeps its default.
  ///   - file: the name to give in errors.
  /// - Throws: ``ConfigurationError`` with the line.
  package init(yaml: String, file: String) throws {
    self.init()
    var fields = try YAMLFields(file: file, text: yaml)
    for entry in Recipe.entries {
      switch entry {
      case .key(let key): try key.read(&fields, into: &self)
      case .section(let name, let keys, let check):
        try fields.section(name) { fields in
          for key in keys { try key.read(&fields, into: &self) }
          try check(self, fields)
        }
      }
    }
    try fields.finish()
    guard data.valid + data.test < 1 else {
      throw ConfigurationError(
        file, line: nil, "data.valid and data.test leave nothing to train on.")
    }
  }

  /// Reads a recipe that a run wrote, by this version or an earlier one.
  ///
  /// Of what an earlier one did not know, and did in one way, that way is kept.
  ///
  /// - Throws: as ``init(yaml:file:)``.
  package init(written yaml: String, file: String) throws {
    try self.init(yaml: yaml, file: file)
    if !yaml.contains("\n  color_profiles:") { image.colorProfiles = .ignore }
    for (name, section) in [("train", \Recipe.train), ("fine_tune", \Recipe.fineTune.train)]
    where self[keyPath: section].drawsAnew && !Recipe.has("kept_pixels", in: name, of: yaml) {
      self[keyPath: section].keptPixels = .whole
    }
  }

  /// Whether a section of a recipe that a run wrote has a key.
  private static func has(_ key: String, in section: String, of yaml: String) -> Bool {
    guard let start = "\n\(yaml)".range(of: "\n\(section):\n") else { return false }
    let lines = "\n\(yaml)"[start.upperBound...].split(separator: "\n").prefix {
      $0.hasPrefix("  ")
    }
    return lines.contains { $0.hasPrefix("  \(key):") }
  }

  /// The recipe as a YAML file that reads back as the same recipe.
  package var yaml: String {
    Recipe.entries.map { entry in
      switch entry {
      case .key(let key): key.line(of: self).map { $0 + "\n" } ?? ""
      case .section(let name, let keys, _):
        "\(name):\n" + keys.compactMap { $0.line(of: self) }.map { "  \($0)\n" }.joined()
      }
    }.joined()
  }

  /// The settings of sections, `""` for the keys outside of them, in the order of the file: `epochs` of
  /// `train` is `train.epochs`. The name and the minutes, which decide nothing by themselves, are not among
  /// them.
  package func values(of sections: [String]) -> [(name: String, value: String)] {
    Recipe.entries.flatMap { entry -> [(name: String, value: String)] in
      switch entry {
      case .key(let key):
        sections.contains("") && !["name", "minutes"].contains(key.name)
          ? [(key.name, key.text(in: self))] : []
      case .section(let name, let keys, _):
        sections.contains(name)
          ? keys.filter { $0.name != "kept_pixels" || $0.write(self) != nil }
            .map { ("\(name).\($0.name)", $0.text(in: self)) } : []
      }
    }
  }

  /// This recipe, made from a valid one by changing fields, when they are valid as well.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` in the same words as for a file.
  package func checked() throws -> Recipe {
    do { return try Recipe(written: yaml, file: "options") } catch let error as ConfigurationError {
      throw PipelineError.usage("options: \(error.reason)")
    }
  }
}

extension Recipe.Train {
  /// The section, indented by two blanks; every key is there.
  package var yaml: String { Recipe.Train.keys.section(of: self) }
}

extension Recipe.FineTune {
  /// The section, indented by two blanks; every key is there.
  package var yaml: String { Recipe.FineTune.keys.section(of: self) }
}

extension RecipeKey {
  /// The value as a file has it, or where a file leaves it out as the documentation does.
  fileprivate func text(in section: Section) -> String {
    write(section) ?? documented(of: section).replacing("`", with: "")
  }

  /// `key: value`, nil when it is not written.
  fileprivate func line(of section: Section) -> String? {
    write(section).map { "\(name): \($0)" }
  }
}

extension Array {
  fileprivate func section<Section>(of value: Section) -> String
  where Element == RecipeKey<Section> {
    compactMap { $0.line(of: value) }.map { "  \($0)" }.joined(separator: "\n")
  }
}
