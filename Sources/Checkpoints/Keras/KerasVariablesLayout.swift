// SPDX-License-Identifier: Apache-2.0

/// The layout of Keras 3: `layers/CLASS_NUMBER/vars/INDEX`.
///
/// Layers are numbered by class; their names come from the configuration, or from the `name` that
/// later versions of Keras 3 write beside the variables, or else are their place, `CLASS_NUMBER`, which
/// counts the layers of a class in the order of the model, not of their creation.
struct KerasVariablesLayout {
  private let configuration: KerasConfiguration?
  private var found: [KerasLayer] = []
  /// Whether a layer is called by its place because nothing gives its name.
  private(set) var hasUnnamedLayers = false

  init(_ configuration: KerasConfiguration?) { self.configuration = configuration }

  /// All layers with variables below `root`, in the model's order where it is known.
  mutating func layers(of root: HDF5Group) -> [KerasLayer] {
    found = []
    hasUnnamedLayers = false
    visit(root, "", configuration?.layers ?? [:])
    let order = configuration?.order ?? [:]
    return found.enumerated().sorted {
      let (left, right) = (order[$0.element.path] ?? .max, order[$1.element.path] ?? .max)
      return (left, $0.offset) < (right, $1.offset)
    }.map(\.element)
  }

  private mutating func visit(
    _ group: HDF5Group, _ path: String, _ known: [String: KerasConfiguration.Layer]
  ) {
    if case .group(let variables)? = group["vars"] { add(variables, path, known[path]) }
    for member in group.members.sorted(by: { naturalOrder($0.name, $1.name) }) {
      guard member.name != "vars", case .group(let inner) = member.node else { continue }
      // The optimizer's state is no weight.
      if path.isEmpty, member.name == "optimizer" { continue }
      visit(inner, path.isEmpty ? member.name : path + "/" + member.name, known)
    }
  }

  private mutating func add(
    _ group: HDF5Group, _ path: String, _ layer: KerasConfiguration.Layer?
  ) {
    let datasets = group.members.compactMap { member -> (Int, HDF5Dataset)? in
      guard case .dataset(let dataset) = member.node, let index = Int(member.name) else {
        return nil
      }
      return (index, dataset)
    }.sorted { $0.0 < $1.0 }
    guard !datasets.isEmpty else { return }
    let component = path.split(separator: "/").last.map(String.init) ?? ""
    let names = variableNames(
      of: layer?.className ?? stem(component), count: datasets.count, layer)
    let name = layer?.name ?? group.attributes["name"]?.first
    if name == nil { hasUnnamedLayers = true }
    // `layers/sequential/layers/conv2d` is called `sequential/conv2d`.
    let place = path.split(separator: "/").filter { $0 != "layers" }.joined(separator: "/")
    found.append(
      KerasLayer(
        name: name ?? place, path: path, scope: layer.map { .names($0.names) } ?? .unknown,
        variables: datasets.enumerated().map { position, dataset in
          KerasVariable(
            name: names.indices.contains(position) ? names[position] : String(dataset.0),
            dataset: dataset.1)
        }))
  }

  /// What the variables of a layer are, in the order in which Keras adds them.
  private func variableNames(
    of className: String, count: Int, _ layer: KerasConfiguration.Layer?
  ) -> [String] {
    switch className {
    case "conv2d", "depthwise_conv2d", "dense": return ["kernel", "bias"]
    case "separable_conv2d": return ["depthwise_kernel", "pointwise_kernel", "bias"]
    case "normalization": return ["mean", "variance", "count"]
    case "layer_normalization": return ["gamma", "beta"]
    case "batch_normalization":
      // One of three without a configuration: beta, because leaving gamma out is what is done in
      // front of a ReLU.
      let hasScale = layer?.hasScale ?? (count == 4)
      let hasCenter = layer?.hasCenter ?? (count >= 3)
      return (hasScale ? ["gamma"] : []) + (hasCenter ? ["beta"] : [])
        + ["moving_mean", "moving_variance"]
    default: return []
    }
  }

  /// `conv2d_12` without its number.
  private func stem(_ name: String) -> String {
    guard let bar = name.lastIndex(of: "_"), name[bar...].dropFirst().allSatisfy(\.isNumber) else {
      return name
    }
    return String(name[..<bar])
  }
}

/// Names with numbers in them in the order of the numbers: `conv2d`, `conv2d_2`, `conv2d_10`.
func naturalOrder(_ left: String, _ right: String) -> Bool {
  func parts(_ name: String) -> (String, Int) {
    let digits = name.reversed().prefix { $0.isASCII && $0.isNumber }.count
    return (String(name.dropLast(digits)), Int(name.suffix(digits)) ?? -1)
  }
  let (one, two) = (parts(left), parts(right))
  if one.0 == two.0 { return one.1 < two.1 }
  // `conv2d` comes before `conv2d_1`.
  return left < right
}
