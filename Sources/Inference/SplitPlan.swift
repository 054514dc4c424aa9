// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork
import ThawOneDNN
import ThawTensors

/// A network compiled in two parts, from the photo to the head's input and from there to the logits, so that
/// what crosses can be looked at. The bits are those of the whole.
package final class SplitPlan {
  private let backbone: (any InferencePlan)?
  private let head: any InferencePlan
  /// [rows, features] of the last run.
  private var features: AlignedStorage<Float>?
  private var capacity = 0

  /// - Throws: `NetworkError`, `ExecutionError`.
  package init(_ model: StoredModel, compiler: Compiler) throws {
    let (graph, parameters) = (model.graph, model.parameters)
    let size = Extent2D(model.preprocessing.inputSize)
    let cut = graph.headInput
    let microBatch = OneDNNEngine.recommendedMicroBatch
    backbone = try cut.map {
      try compiler.compileInference(
        graph, parameters: parameters, to: $0, microBatch: microBatch, size: size)
    }
    head = try compiler.compileInference(
      graph, parameters: parameters, from: cut, microBatch: microBatch, size: size)
  }

  /// How many numbers the head gets of a photo; nil when nothing comes before it.
  package var featureCount: Int? { backbone == nil ? nil : head.inputStride }

  /// The logits of prepared photos; see ``InferencePlan/run(_:into:)``.
  package func run(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    guard let backbone else { return try head.run(input, into: output) }
    let count = input.count / backbone.inputStride * head.inputStride
    if count > capacity || features == nil {
      features = AlignedStorage(count: count)
      capacity = count
    }
    guard let features else { return }
    let own = UnsafeMutableBufferPointer(rebasing: features.elements[..<count])
    try backbone.run(input, into: own)
    try head.run(UnsafeBufferPointer(own), into: output)
  }

  /// The features of one photo of the last run; not called when nothing comes before the head.
  package func withFeatures(
    ofRow row: Int, _ body: (UnsafeBufferPointer<Float>) throws -> Void
  ) rethrows {
    guard backbone != nil, let features else { return }
    let length = head.inputStride
    try body(
      UnsafeBufferPointer(rebasing: features.elements[(row * length)..<((row + 1) * length)]))
  }
}

extension Graph {
  /// The value that the head takes: what crosses where the head alone trains; nil when nothing comes
  /// before it, or it is all there is.
  package var headInput: NodeID? {
    let partition = Partition(self, freezing: .freezing(to: -1, of: self))
    return partition.prefix.isEmpty || partition.suffix.isEmpty ? nil : partition.cut
  }
}
