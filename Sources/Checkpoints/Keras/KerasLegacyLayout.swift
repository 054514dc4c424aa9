// SPDX-License-Identifier: Apache-2.0

/// The layout of Keras 1 and 2: `layer_names` lists the groups, each group's `weight_names` its
/// arrays.
struct KerasLegacyLayout {
  private let source: ByteSource

  init(_ source: ByteSource) { self.source = source }

  /// The texts of an attribute, which Keras splits into `NAME0`, `NAME1`, … when it is long.
  static func texts(_ name: String, of group: HDF5Group) -> [String]? {
    if let whole = group.attributes[name] { return whole }
    var texts: [String]?
    var number = 0
    while let part = group.attributes[name + String(number)] {
      texts = (texts ?? []) + part
      number += 1
    }
    return texts
  }

  func layers(
    _ names: [String], in group: HDF5Group
  ) throws(CheckpointError) -> [KerasLayer] {
    var layers: [KerasLayer] = []
    for name in names {
      guard case .group(let layer)? = group[path: name] else {
        throw error("the group of layer \(quoted(name)) is missing")
      }
      var weights: [(parent: String, variable: KerasVariable)] = []
      for weight in KerasLegacyLayout.texts("weight_names", of: layer) ?? [] {
        guard case .dataset(let dataset)? = layer[path: weight] else {
          throw error("the array \(quoted(weight)) of layer \(quoted(name)) is missing")
        }
        let (parent, leaf) = KerasLegacyLayout.split(weight)
        weights.append((parent, KerasVariable(name: leaf, dataset: dataset)))
      }
      layers += KerasLegacyLayout.grouped(weights, name)
    }
    return layers
  }

  /// One layer, or the layers of a nested model: then the arrays have more than one parent.
  private static func grouped(
    _ weights: [(parent: String, variable: KerasVariable)], _ name: String
  ) -> [KerasLayer] {
    var parents: [String] = []
    var variables: [String: [KerasVariable]] = [:]
    for weight in weights {
      if variables[weight.parent] == nil { parents.append(weight.parent) }
      variables[weight.parent, default: []].append(weight.variable)
    }
    func scope(_ parent: String) -> KerasLayer.Scope {
      .group(name, parent.split(separator: "/").map(String.init))
    }
    guard parents.count > 1 else {
      return parents.map {
        KerasLayer(name: name, path: name, scope: scope($0), variables: weights.map(\.variable))
      }
    }
    return parents.map {
      KerasLayer(
        name: $0, path: name + "/" + $0, scope: scope($0), variables: variables[$0] ?? [])
    }
  }

  /// `block1_conv1/kernel:0` is the layer's name and `kernel`; Keras 1 wrote `block1_conv1_W_1:0`.
  private static func split(_ weight: String) -> (parent: String, leaf: String) {
    var text = weight[...]
    if let colon = text.lastIndex(of: ":"), text[colon...].dropFirst().allSatisfy(\.isNumber) {
      text = text[..<colon]
    }
    if let slash = text.lastIndex(of: "/") {
      let leaf = String(text[text.index(after: slash)...])
      return (String(text[..<slash]), leaf == "depthwise_kernel" ? "kernel" : leaf)
    }
    var stem = text
    if let bar = stem.lastIndex(of: "_"), stem[bar...].dropFirst().allSatisfy(\.isNumber) {
      stem = stem[..<bar]
    }
    // `running_std` held the variance.
    let endings = [
      ("_W", "kernel"), ("_b", "bias"), ("_gamma", "gamma"), ("_beta", "beta"),
      ("_running_mean", "moving_mean"), ("_running_std", "moving_variance"),
    ]
    for (ending, leaf) in endings where stem.hasSuffix(ending) { return ("", leaf) }
    return ("", String(text))
  }

  private func error(_ reason: String) -> CheckpointError {
    CheckpointError(source.path, .malformed, reason)
  }
}
