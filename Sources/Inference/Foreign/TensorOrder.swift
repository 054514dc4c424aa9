// SPDX-License-Identifier: Apache-2.0

import ThawBackbones
package import ThawCheckpoints
import ThawNetwork
import ThawTensors

/// Recognises a network by the shapes of its tensors in the order of the file, whatever their names.
///
/// A state dictionary lists tensors in the order in which the layers were defined. Somebody who wrote a
/// ResNet of their own, or wrapped one, has other names but the same shapes in the same order. That is
/// no proof (two layers of one shape could stand for each other), so it is offered and never assumed.
package struct TensorOrder: Sendable {
  /// Name of the architecture whose shapes these are.
  package let architecture: String
  /// The file's names, and ours; the classifier's tensors keep theirs.
  package let names: [(stored: String, own: String)]

  /// The architectures whose shapes, in order, are those of `checkpoint`; empty for none.
  ///
  /// safetensors and NumPy files list tensors by name or size: nothing is recognised in them.
  package static func all(_ checkpoint: Checkpoint) -> [TensorOrder] {
    guard [.torchZip, .torchLegacy].contains(checkpoint.format) else { return [] }
    var found: [TensorOrder] = []
    let parts = NetworkPart.all(checkpoint)
    for name in Architecture.names where !name.hasSuffix("_keras") {
      guard let architecture = try? Architecture(named: name) else { continue }
      let graph = architecture.graph(Head(classes: 1))
      let orders = orders(of: graph)
      for part in parts where !found.contains(where: { $0.architecture == name }) {
        guard let names = orders.lazy.compactMap({ match(part, $0, graph) }).first else { continue }
        found.append(TensorOrder(architecture: name, names: names))
      }
    }
    return found
  }

  /// The checkpoint under our names.
  package func renamed(_ checkpoint: Checkpoint) -> Checkpoint {
    let new = Dictionary(names.map { ($0.stored, $0.own) }, uniquingKeysWith: { first, _ in first })
    return checkpoint.with(
      checkpoint.tensors.filter { !NetworkPart.isCounter($0.name) }.map {
        $0.renamed(new[$0.name] ?? $0.name)
      })
  }

  /// The parameters before the head: as the graph has them, and with each shortcut's behind its
  /// block's, where PyTorch's definitions have it.
  private static func orders(of graph: Graph) -> [[ParameterDescription]] {
    let backbone = graph.nodes.filter { $0.group < graph.groups.count - 1 }
    let plain = backbone.flatMap(\.parameters)
    var late: [ParameterDescription] = []
    var waiting: [ParameterDescription] = []
    var block = ""
    for parameter in plain {
      let path = parameter.path.description
      let isShortcut = path.contains(".downsample.")
      let own = path.split(separator: ".").prefix(2).joined(separator: ".")
      if own != block {
        late += waiting
        (waiting, block) = ([], own)
      }
      if isShortcut { waiting.append(parameter) } else { late.append(parameter) }
    }
    late += waiting
    return late.map(\.path) == plain.map(\.path) ? [plain] : [late, plain]
  }

  private static func match(
    _ part: NetworkPart, _ order: [ParameterDescription], _ graph: Graph
  ) -> [(stored: String, own: String)]? {
    let stored = part.tensors.filter { $0.shape.rank > 0 }
    guard stored.count >= order.count, stored.count <= order.count + 4, order.count >= 8 else {
      return nil
    }
    for (tensor, parameter) in zip(stored, order) {
      guard tensor.elementType.isFloatingPoint,
        tensor.shape.extents.filter({ $0 != 1 }) == parameter.shape.extents.filter({ $0 != 1 })
      else { return nil }
    }
    // The names of the classifier must not be those of layers that were just named.
    var names = zip(stored, order).map {
      (stored: part.prefix + $0.name, own: $1.path.description)
    }
    for (index, tensor) in stored.dropFirst(order.count).enumerated() {
      let leaf = tensor.name.split(separator: ".").last.map(String.init) ?? tensor.name
      names.append((part.prefix + tensor.name, "\(graph.output.path).\(index / 2).\(leaf)"))
    }
    return names
  }
}
