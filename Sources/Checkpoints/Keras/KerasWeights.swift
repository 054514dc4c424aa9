// SPDX-License-Identifier: Apache-2.0

/// Which tensors of a checkpoint belong to a layer of the configuration.
///
/// Keras 3's archives say it exactly. The older layout groups arrays by the outermost layer and names
/// each for the layer that has it, and below nested models that name alone, with or without the names
/// of the models between, is what there is.
package struct KerasWeights: Sendable {
  /// The variables of one layer.
  private struct Entry: Sendable {
    /// Names from the outermost on.
    let names: [String]
    /// Names of tensors by variable: `kernel`.
    let variables: [String: String]
  }

  private var exact: [[String]: [String: String]] = [:]
  private var groups: [String: [Entry]] = [:]

  package init() {}

  /// Tensors by the names of the models around a layer, outermost first, and its own.
  package init(_ exact: [[String]: [String: String]]) { self.exact = exact }

  /// Adds a layer of which all names are known.
  mutating func add(_ variables: [String: String], at names: [String]) {
    exact[names] = variables
  }

  /// Adds a layer of the older layout: the outermost layer's name, and what its arrays are named for.
  mutating func add(_ variables: [String: String], inGroup group: String, scope: [String]) {
    groups[group, default: []].append(Entry(names: scope, variables: variables))
  }

  /// Names of tensors by variable for the layer called `names`, outermost first.
  ///
  /// - Returns: nothing for a layer without variables, and for one that cannot be told from another.
  package func variables(of names: [String]) -> [String: String] {
    if let found = exact[names] { return found }
    guard let outer = names.first, let own = names.last, let entries = groups[outer] else {
      return [:]
    }
    if names.count == 1 { return entries.count == 1 ? entries[0].variables : [:] }
    let inner = Array(names.dropFirst())
    // From the exact to the merely unique: `model/block/conv`, `block/conv`, `conv`.
    for count in (1...inner.count).reversed() {
      let ending = Array(inner.suffix(count))
      let fitting = entries.filter { $0.names.suffix(count).elementsEqual(ending) }
      if fitting.count == 1 { return fitting[0].variables }
    }
    let numbered = entries.filter { KerasWeights.stem($0.names.last ?? "") == own }
    return numbered.count == 1 ? numbered[0].variables : [:]
  }

  /// `conv1` for `conv1_1`, as Keras called variables of a model that had been loaded.
  private static func stem(_ name: String) -> String {
    guard let bar = name.lastIndex(of: "_"), name[bar...].dropFirst().allSatisfy(\.isNumber) else {
      return name
    }
    return String(name[..<bar])
  }
}
