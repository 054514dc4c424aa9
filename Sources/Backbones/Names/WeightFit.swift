// SPDX-License-Identifier: Apache-2.0

package import ThawCheckpoints
package import ThawNetwork
import ThawTensors

/// How the tensors of a checkpoint fit an architecture, whatever classifier it ends with.
///
/// Every tensor of the file and every parameter of the network is accounted for: matched, missing,
/// unexpected, or of another shape. Nothing is read before ``parameters()``.
package struct WeightFit: Sendable {
  /// Name for ``Architecture/init(named:)``.
  package let architecture: String
  /// Whose names the tensors have, for people.
  package let naming: String
  /// The classifier in the file; nil when the weights end with the features.
  package let head: Head?
  /// Parameters that have their tensor.
  package var matched: Int { found.count }
  /// Parameters that the network needs, with the file's classifier.
  package let needed: Int
  /// Parameters without a tensor.
  package let missing: [String]
  /// Tensors that stand for nothing in the network.
  package let unexpected: [String]
  /// Tensors of another shape than their parameter, as sentences.
  package let unfitting: [String]
  /// What stands before the names of the network's tensors; empty for nothing.
  package let prefix: String
  /// Tensors beside the network that nothing needs, by name.
  package let ignored: [String]
  /// Tensors where the classifier should be that are none that can be computed.
  package let otherHead: [String]
  /// What the names leave open of what is computed, as a clause; nil for nothing.
  package let openQuestion: String?
  /// What was taken for granted, as sentences.
  package let notes: [String]

  /// Scales and shifts of batch norms that are 1 and 0 here, for no batch norm in the file has one.
  let filledNorms: Int

  /// Whether the classifier has one output, that of a sigmoid, which became two classes.
  package let splitsOutput: Bool

  let found: [ParameterPath: StoredTensor]
  private let constants: [ParameterPath: (shape: Shape, value: Float)]

  /// Whether every parameter has its tensor and every tensor its place.
  package var isComplete: Bool { missing.isEmpty && unexpected.isEmpty && unfitting.isEmpty }

  /// The network, with the file's classifier or up to its features.
  ///
  /// - Throws: ``BackboneError``.
  package func graph() throws -> Graph {
    let architecture = try Architecture(named: architecture)
    return head.map { architecture.graph($0) } ?? architecture.graph(Head(classes: 1)).withoutHead
  }

  /// Reads the weights.
  ///
  /// - Parameter seed: draws what is missing at random, as PyTorch begins (see
  ///   ``drawn(_:seed:)``); nil makes it an error.
  /// - Throws: `CheckpointError`: of kind `mismatch` with what is missing or left over, or when the
  ///   file can no longer be read.
  package func parameters(
    of checkpoint: Checkpoint, drawingMissing seed: UInt64? = nil
  ) throws(CheckpointError) -> Parameters {
    let isDrawn = seed != nil && unexpected.isEmpty && unfitting.isEmpty
    if let complaint, !isDrawn { throw CheckpointError.mismatch(checkpoint, complaint) }
    var parameters = Parameters()
    if let seed, !missing.isEmpty { parameters = drawn(Set(missing), seed: seed) }
    for (path, tensor) in found { parameters[path] = try tensor.floats() }
    for (path, constant) in constants {
      let values = [Float](repeating: constant.value, count: constant.shape.count)
      parameters[path] = Tensor(values, shape: constant.shape)
    }
    return parameters
  }

  /// Fresh values for the parameters at `paths`: uniform weights of variance
  /// 2 / fan-in, scales and variances 1, everything else 0.
  ///
  /// - Source: He et al. 2015, arXiv:1502.01852.
  private func drawn(_ paths: Set<String>, seed: UInt64) -> Parameters {
    var parameters = Parameters()
    guard let graph = try? graph() else { return parameters }
    for (index, parameter) in graph.parameters.enumerated()
    where paths.contains(parameter.path.description) {
      var random = RandomStream(seed: seed, purpose: .initialization, sample: index)
      let fanIn = Double(max(1, parameter.shape.extents.dropFirst().reduce(1, *)))
      let bound = (6 / fanIn).squareRoot()
      let values = (0..<parameter.shape.count).map { _ -> Float in
        switch parameter.role {
        case .weight: Float(random.uniform(in: -bound...bound))
        case .normScale, .runningVariance: 1
        case .bias, .normShift, .runningMean: 0
        }
      }
      parameters[parameter.path] = Tensor(values, shape: parameter.shape)
    }
    return parameters
  }

  /// The stored name of the tensor that a parameter is read from; nil when there is none.
  package func source(of path: ParameterPath) -> String? { found[path]?.name }

  /// What does not fit, nil when everything does.
  package var complaint: String? {
    func part(_ what: String, _ entries: [String]) -> String? {
      guard !entries.isEmpty else { return nil }
      let shown = entries.prefix(10).joined(separator: ", ")
      return "\(entries.count) \(what): \(shown)" + (entries.count > 10 ? ", …" : "")
    }
    let parts = [
      part("missing", missing), part("unexpected", unexpected), part("unfitting", unfitting),
    ].compactMap(\.self)
    return parts.isEmpty
      ? nil : "the tensors do not fit \(architecture): " + parts.joined(separator: "; ")
  }

  /// Sets `checkpoint` against `architecture` under the prefix and the naming that match most.
  package init(_ checkpoint: Checkpoint, _ architecture: Architecture) {
    self =
      WeightFit.all(checkpoint, [architecture]).first
      ?? WeightFit(
        WeightMatching(
          checkpoint, .whole(checkpoint), architecture, architecture.graph(Head(classes: 1)),
          NamingScheme(label: "unknown names", isChannelsLast: false) { ParameterPath($0) }))
  }

  /// Every promising fit of `checkpoint` to one of `architectures`, the best first.
  ///
  /// - Parameter key: the prefix that the user chose; see ``NetworkPart/all(_:key:)``.
  static func all(
    _ checkpoint: Checkpoint, _ architectures: [Architecture], key: String? = nil
  ) -> [WeightFit] {
    let parts = NetworkPart.all(checkpoint, key: key)
    var fits: [WeightFit] = []
    for architecture in architectures {
      let graph = architecture.graph(Head(classes: 1))
      let schemes = NamingScheme.candidates(for: architecture, graph: graph, checkpoint)
      let needed = Set(graph.parameters.map(\.path))
      for part in parts {
        for scheme in schemes
        where scheme.isChannelsLast || architectures.count == 1 && part.prefix.isEmpty
          || scheme.isPromising(part.tensors, needed)
        {
          fits.append(WeightFit(WeightMatching(checkpoint, part, architecture, graph, scheme)))
        }
      }
    }
    // Stable: of equal fits the first architecture, which is the usual one, and the first part.
    return fits.enumerated().sorted { left, right in
      left.element.rank == right.element.rank
        ? left.offset < right.offset : left.element.rank > right.element.rank
    }.map(\.element)
  }

  /// Complete ones first, then by how much of the file is used, then by how little is missing.
  var rank: (Int, Int, Int, Int) {
    (isComplete ? 1 : 0, matched, -missing.count, -unexpected.count - ignored.count)
  }

  private init(_ matching: WeightMatching) {
    architecture = matching.architecture.name
    naming = matching.scheme.label
    head = matching.head
    needed = matching.neededCount
    filledNorms = matching.filledNorms
    missing = matching.missing
    unexpected = matching.unexpected
    unfitting = matching.unfitting
    notes = matching.notes
    splitsOutput = matching.splitsOutput
    openQuestion = matching.scheme.remark
    prefix = matching.prefix
    ignored = matching.ignored
    otherHead = matching.otherHead
    found = matching.found
    constants = matching.constants
  }
}
