// SPDX-License-Identifier: Apache-2.0

package import ThawConsole

extension Recipe {
  /// The keys that a file may have, with their sections: `seed`, `train.learning_rate`.
  package static var names: [String] {
    entries.flatMap { entry in
      switch entry {
      case .key(let key): [key.name]
      case .section(let section, let keys, _): keys.map { "\(section).\($0.name)" }
      }
    }
  }

  /// The same recipe with one key set as a file would.
  ///
  /// - Parameters:
  ///   - name: one of ``names``.
  ///   - text: the value as a recipe or the command's option writes it.
  /// - Throws: ``PipelineError/usage(_:)`` for an unknown key, or a value that it does not take.
  package func setting(_ name: String, to text: String) throws(PipelineError) -> Recipe {
    guard let key = Recipe.key(named: name) else {
      throw .usage(
        "recipes have no key '\(name)'. Known are \(Recipe.names.joined(separator: ", ")).")
    }
    var result = self
    do { try key.set(text, in: &result) } catch {
      throw .usage("'\(name)' cannot be \(text): \(error)")
    }
    return result
  }

  /// The value of a key as a file would write it, a text without its quotes; nil for an unknown key.
  package func text(of name: String) -> String? {
    let text = Recipe.key(named: name).flatMap { key in
      key.write(self) ?? key.document(self)?.replacing("`", with: "")
    }
    guard let text, text.count > 1, text.hasPrefix("\""), text.hasSuffix("\"") else { return text }
    return String(text.dropFirst().dropLast())
  }

  private static func key(named name: String) -> RecipeKey<Recipe>? {
    for entry in entries {
      switch entry {
      case .key(let key) where key.name == name: return key
      case .section(let section, let keys, _) where name.hasPrefix("\(section)."):
        return keys.first { "\(section).\($0.name)" == name }
      default: continue
      }
    }
    return nil
  }
}
