// SPDX-License-Identifier: Apache-2.0

import Synchronization
package import SystemPackage
import ThawConsole
import ThawExecution
import ThawFiles
import ThawImages
package import ThawInference
import ThawNetwork
import ThawOneDNN
import ThawTensors

/// What a network makes of photos at one of its layers: a vector a photo.
package final class FeatureExtractor {
  /// Numbers in a vector.
  package let length: Int
  /// The layer whose result they are.
  package let layer: String
  private let model: StoredModel
  private let plan: any InferencePlan
  private let threads: Int
  /// Positions whose mean is taken; 1 where the layer's result is the vector.
  private let positions: Int

  /// - Parameter layer: its path; nil for what the head takes. The channels of an image or of tokens at a
  ///   named layer are averaged over their positions.
  /// - Throws: ``PipelineError/usage(_:)`` for a layer that is not there; errors of the compiler.
  package init(_ model: StoredModel, layer: String? = nil, context: StageContext) throws {
    let graph = model.graph
    let size = Extent2D(model.preprocessing.inputSize)
    let node: Node
    if let layer {
      guard let found = graph.nodes.first(where: { $0.path.description == layer }) else {
        let names = graph.nodes.dropFirst().suffix(8).map(\.path.description)
        throw PipelineError.usage(
          "the network \(graph.name) has no layer '\(layer)'. Its last ones are \(names.joined(separator: ", "))."
        )
      }
      node = found
    } else {
      // Weights that end with the features have nothing behind them: their last group is no head.
      let isHeadless = model.record.classNames.isEmpty
      node = isHeadless ? graph.output : graph.headInput.map { graph[$0] } ?? graph.output
    }
    let shape = try graph.shapes(batch: 1, size: size)[node.id.index]
    positions = layer != nil && shape.rank == 4 ? shape[2] * shape[3] : 1
    length = shape.count / positions
    self.layer = node.path.description
    self.model = model
    threads = context.threads
    let part = graph.ending(at: node.id)
    plan = try context.compiler.compileInference(
      part, parameters: model.parameters, microBatch: OneDNNEngine.recommendedMicroBatch, size: size
    )
  }

  /// A photo's vector, and the SHA-256 of the contents that it was computed from.
  package struct Vector: Sendable {
    /// ``FeatureExtractor/length`` numbers.
    package let elements: [Float]
    /// Hexadecimal.
    package let sha256: String
  }

  /// Calls `body` for each photo, in order, with its position and its vector or why it has none. Each file is
  /// read once.
  ///
  /// - Throws: ``PipelineError/interrupted``, `ExecutionError`, what `body` throws.
  package func forEach(
    _ paths: [FilePath],
    _ body: (Int, Result<Vector, UnusablePhoto>) throws -> Void
  ) throws {
    let element = model.preprocessing.elementCount
    let chunk = max(OneDNNEngine.recommendedMicroBatch, threads)
    let pixels = AlignedStorage<Float>(count: min(chunk, max(paths.count, 1)) * element)
    let results = AlignedStorage<Float>(
      count: min(chunk, max(paths.count, 1)) * length * positions)
    for start in stride(from: 0, to: paths.count, by: chunk) {
      try Interruption.check()
      let part = Array(paths[start..<min(start + chunk, paths.count)])
      let hashes = ContentHashes(count: part.count)
      let reasons = try Classifier.prepare(
        part, by: model.preprocessing, threads: threads, into: pixels,
        onContents: { hashes.note($0, $1) })
      try plan.run(
        UnsafeBufferPointer(rebasing: pixels.elements[..<(part.count * element)]),
        into: UnsafeMutableBufferPointer(
          rebasing: results.elements[..<(part.count * length * positions)]))
      for (index, reason) in reasons.enumerated() {
        let row = results.elements[
          (index * length * positions)..<((index + 1) * length * positions)]
        if let reason {
          try body(start + index, .failure(UnusablePhoto(reason: reason)))
        } else if !row.allSatisfy(\.isFinite) {
          try body(
            start + index,
            .failure(UnusablePhoto(reason: "the network's numbers for it are not finite")))
        } else {
          try body(
            start + index, .success(Vector(elements: averaged(row), sha256: hashes[index])))
        }
      }
    }
  }

  /// The mean over positions, channel by channel.
  private func averaged(_ row: Slice<UnsafeMutableBufferPointer<Float>>) -> [Float] {
    guard positions > 1 else { return Array(row) }
    return (0..<length).map { channel in
      let start = row.startIndex + channel * positions
      let sum = row[start..<(start + positions)].reduce(0.0) { $0 + Double($1) }
      return Float(sum / Double(positions))
    }
  }
}

/// What several threads find out of photos.
private final class ContentHashes: Sendable {
  private let hashes: Mutex<[String]>

  init(count: Int) { hashes = Mutex([String](repeating: "", count: count)) }

  func note(_ index: Int, _ bytes: [UInt8]) {
    let hash = SHA256.hexadecimal(of: bytes)
    hashes.withLock { $0[index] = hash }
  }

  subscript(index: Int) -> String { hashes.withLock { $0[index] } }
}

/// Why a photo has no vector.
package struct UnusablePhoto: Error {
  package let reason: String
}
