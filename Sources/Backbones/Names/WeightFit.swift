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
  /// What was taken for granted, as sentences.
  package let notes: [String]

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
  /// - Throws: `CheckpointError`: of kind `mismatch` with what is missing or left over, or when the
  ///   file can no longer be read.
  package func parameters(of checkpoint: Checkpoint) throws(CheckpointError) -> Parameters {
    if let complaint { throw CheckpointError.mismatch(checkpoint, complaint) }
    var parameters = Parameters()
    for (path, tensor) in found { parameters[path] = try tensor.floats() }
    for (path, constant) in constants {
      let values = [Float](repeating: constant.value, count: constant.shape.count)
      parameters[path] = Tensor(values, shape: constant.shape)
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

  /// Sets `checkpoint` against `architecture` under the naming that matches most.
  package init(_ checkpoint: Checkpoint, _ architecture: Architecture) {
    let graph = architecture.graph(Head(classes: 1))
    let fits = NamingScheme.candidates(for: architecture, graph: graph, checkpoint).map {
      WeightFit(WeightMatching(checkpoint, architecture, graph, $0))
    }
    let none = NamingScheme(label: "unknown names", isChannelsLast: false) { ParameterPath($0) }
    self =
      fits.max { $0.rank < $1.rank }
      ?? WeightFit(WeightMatching(checkpoint, architecture, graph, none))
  }

  /// Complete ones first, then by how much of the file is used, then by how little is missing.
  var rank: (Int, Int, Int, Int) {
    (isComplete ? 1 : 0, matched, -missing.count, -unexpected.count)
  }

  private init(_ matching: WeightMatching) {
    architecture = matching.architecture.name
    naming = matching.scheme.label
    head = matching.head
    needed = matching.neededCount
    missing = matching.missing
    unexpected = matching.unexpected
    unfitting = matching.unfitting
    notes = matching.notes
    found = matching.found
    constants = matching.constants
  }
}
