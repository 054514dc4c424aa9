// SPDX-License-Identifier: Apache-2.0

import ThawArchives
package import ThawNetwork
import ThawTensors

extension Checkpoint {
  /// The parameters of `graph`, all of them or an error; nothing is read before everything fits.
  ///
  /// Counters called `num_batches_tracked` are passed over: no computation uses them. Extents of 1 at
  /// the end may differ: libraries keep a scale per channel as [C] or as [C, 1, 1], a 1x1 kernel as
  /// [O, I] or as [O, I, 1, 1].
  ///
  /// - Parameter rename: gives the parameter that a stored name stands for. Nil leaves the tensor
  ///   out on purpose (an auxiliary classifier); give an unknown name back as it is, and it is
  ///   reported as unexpected.
  /// - Throws: ``CheckpointError`` of kind ``CheckpointError/Kind/mismatch`` with the first ten each
  ///   of the missing, the unexpected and the wrongly shaped or typed tensors.
  package func parameters(
    renaming rename: (String) -> ParameterPath? = { ParameterPath($0) }, for graph: Graph
  ) throws(CheckpointError) -> Parameters {
    var matching = ParameterMatching(graph)
    for tensor in tensors where ParameterPath(tensor.name).leaf != "num_batches_tracked" {
      if let target = rename(tensor.name) { matching.add(tensor, as: target) }
    }
    if let reason = matching.complaint { throw CheckpointError(path, .mismatch, reason) }
    var parameters = Parameters()
    for (target, tensor) in matching.found {
      let floats = try tensor.floats()
      parameters[target] = matching.needed[target].map { floats.reshaped($0) } ?? floats
    }
    return parameters
  }
}

extension Shape {
  /// The extents up to the last one that is not 1.
  fileprivate var withoutTrailingOnes: ArraySlice<Int> {
    extents[..<((extents.lastIndex { $0 != 1 } ?? -1) + 1)]
  }
}

/// Stored tensors set against those a network needs.
private struct ParameterMatching {
  let needed: [ParameterPath: Shape]
  private let order: [ParameterPath]
  private(set) var found: [ParameterPath: StoredTensor] = [:]
  private var unexpected: [String] = []
  private var unfitting: [String] = []

  init(_ graph: Graph) {
    let parameters = graph.parameters
    order = parameters.map(\.path)
    needed = Dictionary(
      parameters.map { ($0.path, $0.shape) }, uniquingKeysWith: { first, _ in first })
  }

  mutating func add(_ tensor: StoredTensor, as path: ParameterPath) {
    guard let shape = needed[path] else {
      unexpected.append(quoted(tensor.name))
      return
    }
    if let other = found.updateValue(tensor, forKey: path) {
      unfitting.append("\(quoted(tensor.name)) stands for '\(path)' like \(quoted(other.name))")
    } else if tensor.shape.withoutTrailingOnes != shape.withoutTrailingOnes {
      unfitting.append("\(quoted(tensor.name)) is \(tensor.shape), the layer expects \(shape)")
    } else if !tensor.elementType.isFloatingPoint {
      unfitting.append("\(quoted(tensor.name)) is of type \(tensor.elementType.rawValue)")
    }
  }

  /// Everything that does not fit, nil when all does.
  var complaint: String? {
    let missing = order.filter { found[$0] == nil }.map { quoted($0.description) }
    let parts = [
      ParameterMatching.part("missing", missing),
      ParameterMatching.part("unexpected", unexpected.sorted()),
      ParameterMatching.part("unfitting", unfitting),
    ].compactMap(\.self)
    return parts.isEmpty
      ? nil : "the tensors do not fit the network: " + parts.joined(separator: "; ")
  }

  private static func part(_ what: String, _ entries: [String]) -> String? {
    guard !entries.isEmpty else { return nil }
    let shown = entries.prefix(10).joined(separator: ", ") + (entries.count > 10 ? ", …" : "")
    return "\(entries.count) \(what): \(shown)"
  }
}
