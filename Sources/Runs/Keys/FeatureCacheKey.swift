// SPDX-License-Identifier: Apache-2.0

package import ThawDatasets
import ThawFiles
package import ThawImages
package import ThawNetwork

/// The key of cached features: everything they depend on but the photo and the view.
package struct FeatureCacheKey {
  private let graph: Graph
  private let cut: NodeID
  private let parameters: Parameters
  private let preprocessing: Preprocessing
  private let engine: String
  private let precision: FeaturePrecision

  /// - Parameters:
  ///   - cut: the node whose output is cached.
  ///   - parameters: at least those up to the cut.
  ///   - engine: the name of the one that computes, with its version and what it computes in.
  ///   - precision: of the numbers on the disk.
  package init(
    _ graph: Graph, upTo cut: NodeID, parameters: Parameters, preprocessing: Preprocessing,
    engine: String, precision: FeaturePrecision = .float32
  ) {
    self.graph = graph
    self.cut = cut
    self.parameters = parameters
    self.preprocessing = preprocessing
    self.engine = engine
    self.precision = precision
  }

  /// 64 lower-case hexadecimal digits.
  ///
  /// - Throws: `NetworkError` when a parameter is missing.
  package func key() throws -> String {
    var hash = KeyHash("features", version: 2)
    hash.add("precision", precision == .float32 ? "float32" : "float16")
    hash.add("engine", engine)
    hash.add("preprocessing", preprocessing.json)
    for (path, scale) in (graph.quantization?.activations ?? [:]).sorted(by: { $0.key < $1.key }) {
      hash.add("bytes", "\(path) \(scale.scale) \(scale.zero)")
    }
    for (path, steps) in (graph.quantization?.weights ?? [:]).sorted(by: { $0.key < $1.key }) {
      steps.withUnsafeBytes { hash.add("steps \(path)", bytes: $0) }
    }
    for node in graph.nodes[...cut.index] {
      hash.add("node", node.path.description)
      hash.add("inputs", node.inputs.map(\.index))
      hash.add(node.operation)
      for parameter in node.parameters {
        try parameters.tensor(parameter.path).withUnsafeElements {
          hash.add(parameter.path.description, bytes: UnsafeRawBufferPointer($0))
        }
      }
    }
    return hash.key
  }

  /// The key that Thaw 0.1.0 gave the same features: what it cached is still used.
  ///
  /// - Throws: as ``key()``.
  package func formerKey() throws -> String {
    var hash = SHA256()
    hash.update("features 1")
    if precision != .float32 { hash.update("float16") }
    hash.update(engine)
    hash.update(preprocessing.json)
    for node in graph.nodes[...cut.index] {
      hash.update("\(node.path) \(node.operation.formerText) \(node.inputs.map(\.index))")
      for parameter in node.parameters {
        try parameters.tensor(parameter.path).withUnsafeElements {
          hash.update(UnsafeRawBufferPointer($0))
        }
      }
    }
    return hash.hexadecimalDigest
  }
}
