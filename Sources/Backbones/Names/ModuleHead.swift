// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork

/// The classifier of a whole pickled module, layer by layer, set against the one that its tensors were
/// taken for: a dense layer, or two with a ReLU between.
///
/// A sequence is judged in its order, and so are the heads of known libraries. A class of the program's own
/// may compute anything with its layers, and its code is not in the file.
struct ModuleHead {
  /// A module that is not as assumed, and why, as a clause behind its path.
  struct Flaw: Equatable {
    let path: String
    let text: String
  }

  private(set) var flaws: [Flaw] = []
  private let own: [String: PickledModule]
  /// Paths of the classifier's dense layers, the first first.
  private let layers: [String]
  /// Whether the network has dense layers before its classifier, as VGG has.
  private let isBehindDense: Bool

  init(
    _ modules: [PickledModule], _ own: [String: PickledModule], _ fit: WeightFit, _ graph: Graph,
    ending: PickledModule?
  ) {
    self.own = own
    func isDense(_ node: Node) -> Bool {
      if case .dense = node.operation { true } else { false }
    }
    let isInHead: (Node) -> Bool = { $0.group == graph.groups.count - 1 }
    layers = graph.nodes.filter { isInHead($0) && isDense($0) }.compactMap { node in
      let inside = ModuleSettings.path(of: node, fit)
      if own[inside] != nil { return inside }
      let name = fit.source(of: node.path.appending("weight")) ?? ""
      let outside = name.split(separator: ".").dropLast().joined(separator: ".")
      return own[outside] == nil ? nil : outside
    }
    isBehindDense = graph.nodes.contains { isDense($0) && !isInHead($0) }
    for path in layers { judgeLayer(path) }
    let homes = homes(fit.prefix)
    if let strange = homes.compactMap({ own[$0] }).first(where: { !ModuleHead.isKnown($0) }) {
      flaws.append(
        Flaw(
          path: strange.path,
          text: "is \(strange.shortName), a class of its own that may compute anything"))
      return
    }
    let backbone = Set(
      graph.nodes.filter { !isInHead($0) || !isDense($0) && !$0.parameters.isEmpty }
        .map { ModuleSettings.path(of: $0, fit) })
    let parents = Set(modules.map { ModuleHead.parent($0.path) })
    let wrapper = ModuleHead.parent(String(fit.prefix.dropLast()))
    let isSequence = !fit.prefix.isEmpty && own[wrapper]?.shortName == "Sequential"
    // What stands before the network in a sequence prepares photos.
    let first = modules.firstIndex { ($0.path + ".").hasPrefix(fit.prefix) } ?? 0
    let behind = Set(modules[first...].map(\.path))
    judge(
      modules.filter { module in
        guard !parents.contains(module.path), module != ending, !backbone.contains(module.path)
        else { return false }
        if layers.contains(module.path) { return true }
        if isSequence, ModuleHead.parent(module.path) == wrapper {
          return behind.contains(module.path) && !(module.path + ".").hasPrefix(fit.prefix)
        }
        return homes.contains { module.path.hasPrefix($0 + ".") }
      })
    judgePools(modules.filter { ModuleHead.parent($0.path) == wrapper }, fit.prefix)
  }

  /// Whether a module of this class makes other features of a map than their mean.
  static func poolsOtherwise(_ name: String) -> Bool {
    name.contains("Adaptive") && name.contains("Max") || name == "GeM" || name == "LPPool2d"
      || name.hasPrefix("GeneralizedMean") || name.hasPrefix("FractionalMaxPool")
  }

  private static func parent(_ path: String) -> String {
    path.split(separator: ".").dropLast().joined(separator: ".")
  }

  /// The modules that the layers are in and the backbone is not, the outermost first.
  private func homes(_ prefix: String) -> [String] {
    var found: [String] = []
    for layer in layers {
      var path = ModuleHead.parent(layer)
      var above: [String] = []
      while !path.isEmpty, !prefix.hasPrefix(path + ".") {
        above.append(path)
        path = ModuleHead.parent(path)
      }
      for one in above.reversed() where !found.contains(one) { found.append(one) }
    }
    return found
  }

  /// Whether a module with parts computes what its name says, one of a library.
  private static func isKnown(_ module: PickledModule) -> Bool {
    ["torch.", "torchvision.", "timm.", "transformers.", "fastai."].contains {
      module.className.hasPrefix($0)
    }
  }

  private mutating func judgeLayer(_ path: String) {
    guard let module = own[path] else { return }
    let dense: Set = ["Linear", "NonDynamicallyQuantizableLinear", "LazyLinear", "Conv2d"]
    guard !dense.contains(module.shortName) || !ModuleHead.isKnown(module) else { return }
    flaws.append(Flaw(path: path, text: "is \(module.className), not PyTorch's Linear"))
  }

  /// Modules without parts, in their order.
  private mutating func judge(_ modules: [PickledModule]) {
    var passed = 0
    var hasReLU = false
    let idle: Set = [
      "Identity", "Flatten", "AdaptiveAvgPool2d", "SelectAdaptivePool2d", "FastAdaptiveAvgPool",
      "FastAdaptiveAvgPool2d",
    ]
    for module in modules {
      let name = module.shortName
      if layers.contains(module.path) {
        passed += 1
        if passed == 2, !hasReLU, modules.contains(where: { $0.path == layers.first }) {
          flaws.append(Flaw(path: module.path, text: "follows '\(layers[0])' without a ReLU"))
        }
      } else if idle.contains(name) || name.contains("Dropout") || poolsAnyway(name) {
        continue
      } else if name == "ReLU", passed == 1, layers.count == 2 {
        hasReLU = true
      } else if passed == 0, isBehindDense {
        continue
      } else if ["Softmax", "LogSoftmax"].contains(name), passed == layers.count {
        let axis = module.settings["dim"]?.integer ?? 1
        if axis != 1, axis != -1 {
          flaws.append(Flaw(path: module.path, text: "is a \(name) over axis \(axis), not 1"))
        }
      } else if !isFunctionElsewhere(name) {
        let place = passed == layers.count ? "behind" : passed == 0 ? "before" : "between"
        flaws.append(
          Flaw(path: module.path, text: "is \(name) \(place) the classifier's dense layers"))
      }
    }
  }

  /// Poolings are judged where all of them are.
  private func poolsAnyway(_ name: String) -> Bool { ModuleHead.poolsOtherwise(name) }

  /// A function that other checks name.
  private func isFunctionElsewhere(_ name: String) -> Bool {
    ["Sigmoid", "Tanh", "LogSigmoid", "Hardsigmoid", "Hardtanh"].contains(name)
  }

  /// A pooling beside the part that the network's tensors are in.
  private mutating func judgePools(_ modules: [PickledModule], _ prefix: String) {
    for module in modules
    where ModuleHead.poolsOtherwise(module.shortName) && !(module.path + ".").hasPrefix(prefix) {
      flaws.append(Flaw(path: module.path, text: "is \(module.shortName), no mean of the features"))
    }
  }
}
