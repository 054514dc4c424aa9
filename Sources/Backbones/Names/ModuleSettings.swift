// SPDX-License-Identifier: Apache-2.0

package import ThawCheckpoints
import ThawNetwork

/// What a whole pickled module says of its layers, set against the network that its tensors were taken for.
///
/// The code of a module is not in its file, and would not be run. But layers of PyTorch's own keep their
/// settings as plain attributes: an epsilon, a stride, the class of an activation. Where those differ from
/// the network's, the module computes something else with the same tensors.
package struct ModuleSettings: Sendable {
  /// What differs, as clauses: `'bn1' has an epsilon of 0.1, not 1e-05`.
  package let contradictions: [String]
  /// Whether the last of all modules is a sigmoid at the end of a sequence: what makes the probabilities.
  package let endsWithSigmoid: Bool

  /// Activations by the name of their class; nil for those that no network here has.
  private static let activations: [String: Activation?] = [
    "ReLU": .relu, "ReLU6": .relu6, "SiLU": .silu, "Swish": .silu, "Sigmoid": .sigmoid,
    "GELU": .gelu, "Tanh": nil, "LeakyReLU": nil, "PReLU": nil, "RReLU": nil, "ELU": nil,
    "SELU": nil, "CELU": nil, "Hardtanh": nil, "Hardswish": .hardSwish, "HardSwish": .hardSwish,
    "Hardsigmoid": .hardSigmoid, "HardSigmoid": .hardSigmoid, "Mish": nil, "Softplus": nil,
    "Softsign": nil,
    "GLU": nil, "LogSigmoid": nil, "Threshold": nil, "QuickGELU": nil, "Hardshrink": nil,
    "Softshrink": nil, "Tanhshrink": nil,
  ]

  /// - Throws: ``BackboneError`` when the network of `fit` cannot be built.
  package init(_ modules: [PickledModule], _ fit: WeightFit) throws {
    let graph = try fit.graph()
    let own = Dictionary(modules.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })
    var found: [String] = []
    var judged: Set<String> = []
    for node in graph.nodes {
      let path = ModuleSettings.path(of: node, fit)
      guard let module = own[path] else { continue }
      let differences = ModuleSettings.differences(module, node.operation)
      if !differences.isEmpty { judged.insert(path) }
      found += differences.map { "'\(path)' \($0)" }
    }
    let ending = ModuleSettings.ending(modules, own)
    endsWithSigmoid = ending != nil
    if fit.head != nil {
      let head = ModuleHead(modules, own, fit, graph, ending: ending)
      for flaw in head.flaws where judged.insert(flaw.path).inserted {
        found.append("'\(flaw.path)' \(flaw.text)")
      }
    }
    let others = modules.filter { !judged.contains($0.path) && $0 != ending }
    found += ModuleSettings.strangers(
      others.filter { ($0.path + ".").hasPrefix(fit.prefix) }
        + ModuleSettings.following(fit.prefix, others, own), in: graph)
    contradictions = found
  }

  /// The first few, as one text; nil for none.
  package var summary: String? {
    guard !contradictions.isEmpty else { return nil }
    let more = contradictions.count - 4
    return contradictions.prefix(4).joined(separator: "; ")
      + (more > 0 ? "; and \(more) more" : "")
  }

  /// A sigmoid at the end of everything.
  private static func ending(
    _ modules: [PickledModule], _ own: [String: PickledModule]
  ) -> PickledModule? {
    guard let last = modules.last, last.shortName == "Sigmoid" else { return nil }
    let parent = last.path.split(separator: ".").dropLast().joined(separator: ".")
    return own[parent]?.shortName == "Sequential" ? last : nil
  }

  /// Functions at the end of a sequence whose first part the network is: `Sequential(network, Sigmoid())`.
  /// Other parts of one are a classifier, which is read by its tensors.
  private static func following(
    _ prefix: String, _ modules: [PickledModule], _ own: [String: PickledModule]
  ) -> [PickledModule] {
    let parts = prefix.split(separator: ".").dropLast()
    guard !prefix.isEmpty, own[parts.joined(separator: ".")]?.shortName == "Sequential" else {
      return []
    }
    return modules.filter { module in
      let path = module.path.split(separator: ".")
      return path.count == parts.count + 1 && path.dropLast().elementsEqual(parts)
        && !(module.path + ".").hasPrefix(prefix)
        && ["Sigmoid", "Tanh", "LogSigmoid", "Hardsigmoid", "Hardtanh"].contains(module.shortName)
    }
  }

  /// Where the file has the module that a layer is.
  static func path(of node: Node, _ fit: WeightFit) -> String {
    for leaf in ["weight", "running_mean"] {
      guard let name = fit.source(of: node.path.appending(leaf)),
        let dot = name.lastIndex(of: ".")
      else { continue }
      return fit.prefix + name[..<dot]
    }
    return fit.prefix + node.path.description
  }

  // MARK: One layer

  private static func differences(_ module: PickledModule, _ operation: Operation) -> [String] {
    switch operation {
    case .batchNormalization(let layer) where module.shortName.contains("BatchNorm"):
      return epsilon(module, layer.epsilon)
    case .batchNormalization where module.shortName.contains("InstanceNorm"):
      return ["is an \(module.shortName), no batch norm"]
    case .layerNormalization(let layer): return epsilon(module, layer.epsilon)
    case .convolution(let layer) where module.shortName.contains("Conv2d"):
      return window(module, layer.window, transparent: true)
        + integers(module, "groups", [layer.groups], "groups")
        + (module.settings["padding_mode"]?.text ?? "zeros" == "zeros"
          ? [] : ["pads with '\(module.settings["padding_mode"]?.text ?? "")', not with zeros"])
    case .pooling(let kind, let window):
      if module.shortName == "Identity" { return ["is an Identity, no pooling"] }
      let expected = kind == .maximum ? "MaxPool2d" : "AvgPool2d"
      guard ["MaxPool2d", "AvgPool2d"].contains(module.shortName) else { return [] }
      guard module.shortName == expected else { return ["is \(module.shortName), not \(expected)"] }
      return self.window(module, window, transparent: false)
        + integers(module, "kernel_size", extents(window.kernel), "a kernel")
    case .activation(let function):
      if module.shortName == "Identity" { return ["is an Identity, no \(function.rawValue)"] }
      guard let other = activations[module.shortName], other != function else { return [] }
      return ["is \(module.shortName), not \(function.rawValue)"]
    default: return []
    }
  }

  private static func epsilon(_ module: PickledModule, _ expected: Double) -> [String] {
    guard let epsilon = module.settings["eps"]?.double,
      abs(epsilon - expected) > 1e-6 * max(abs(expected), 1e-12)
    else { return [] }
    return ["has an epsilon of \(epsilon), not \(expected)"]
  }

  /// - Parameter transparent: whether padding may be written as a word, as convolutions have it.
  private static func window(
    _ module: PickledModule, _ window: Window2D, transparent: Bool
  ) -> [String] {
    var found = integers(module, "stride", extents(window.stride), "a stride")
    found += integers(module, "dilation", extents(window.dilation), "a dilation")
    let isSame = module.shortName.contains("Same") || module.settings["padding"]?.text == "same"
    if case .explicit(let insets) = window.padding {
      let isSymmetric = insets.top == insets.bottom && insets.left == insets.right
      let isOne = window.stride == Extent2D(1)
      if isSame {
        let same = insets == Window2D.samePadding(window)
        return found + (isOne && same ? [] : ["pads as TensorFlow does (\(module.shortName))"])
      }
      guard transparent || isSymmetric else { return found }
      return found + integers(module, "padding", [insets.top, insets.left], "a padding")
    }
    if isSame { return found }
    let same = Window2D.samePadding(window)
    guard window.stride == Extent2D(1), same.top == same.bottom, same.left == same.right else {
      return found + ["pads by fixed amounts, not as TensorFlow does"]
    }
    return found + integers(module, "padding", [same.top, same.left], "a padding")
  }

  private static func extents(_ extent: Extent2D) -> [Int] { [extent.height, extent.width] }

  /// A setting that PyTorch keeps as one number or as one for each direction.
  private static func integers(
    _ module: PickledModule, _ key: String, _ expected: [Int], _ what: String
  ) -> [String] {
    guard let value = module.settings[key],
      let numbers = value.integer.map({ [$0] }) ?? value.integers,
      let first = numbers.first
    else { return [] }
    let all = numbers.count == expected.count ? numbers : expected.map { _ in first }
    guard all != expected else { return [] }
    func shown(_ list: [Int]) -> String {
      Set(list).count == 1 ? "\(list[0])" : list.map(String.init).joined(separator: " x ")
    }
    return ["has \(what) of \(shown(all)), not \(shown(expected))"]
  }

  // MARK: Layers without parameters

  /// Modules that compute something that occurs nowhere in the network.
  private static func strangers(_ modules: [PickledModule], in graph: Graph) -> [String] {
    var functions: Set<Activation> = []
    var pools: Set<String> = []
    for node in graph.nodes {
      switch node.operation {
      case .activation(let function): functions.insert(function)
      case .pooling(.maximum, _): pools.insert("MaxPool2d")
      case .pooling(.average, _): pools.insert("AvgPool2d")
      default: break
      }
    }
    var seen: Set<String> = []
    return modules.compactMap { module in
      let name = module.shortName
      let isKnown: Bool
      if let function = activations[name] {
        isKnown = function.map(functions.contains) ?? false
      } else if ["MaxPool2d", "AvgPool2d"].contains(name) {
        isKnown = pools.contains(name)
      } else {
        isKnown = !name.hasPrefix("BlurPool") && !ModuleHead.poolsOtherwise(name)
      }
      guard !isKnown, seen.insert(name).inserted else { return nil }
      return "'\(module.path)' is \(name), which occurs nowhere in \(graph.name)"
    }
  }
}

extension Window2D {
  /// TensorFlow's padding of a window with a stride of 1.
  fileprivate static func samePadding(_ window: Window2D) -> EdgeInsets {
    var same = window
    same.padding = .same
    return same.insets(for: Extent2D(4096))
  }
}
