// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawConsole
package import ThawExecution
import ThawInference
package import ThawNetwork
import ThawOneDNN
package import ThawTensors

/// What came out of a pass over photos.
package struct PhaseOutput: Sendable {
  /// [photos, classes], in the photos' order.
  package let logits: Tensor<Float>
  /// Moments of the input of every batch norm, over all photos.
  package let moments: [ParameterPath: ChannelMoments]

  /// Collects what a pass gave.
  package init(logits: Tensor<Float>, moments: [ParameterPath: ChannelMoments] = [:]) {
    self.logits = logits
    self.moments = moments
  }
}

extension PhasedNetwork {
  /// Runs all photos in batches, those batch norms that `selection` names on batch statistics.
  ///
  /// - Parameters:
  ///   - size: photos in a batch, at least 1 and at most ``batch``.
  ///   - seed: draws which photos share a batch.
  ///   - check: called after each batch with the number of photos in it; stops the pass by throwing.
  /// - Throws: what `check` throws; `NetworkError.degenerateBatch`, `ExecutionError`.
  package func run(
    _ photos: LabelledTensors, batchStatistics selection: BatchNormInspection.Selection,
    batch size: Int, seed: UInt64, check: (Int) throws -> Void = { _ in }
  ) throws -> PhaseOutput {
    precondition(
      size >= 1 && size <= batch, "A batch of \(size) does not fit a network of \(batch).")
    let inspection = BatchNormInspection(batchStatistics: selection)
    var logits = [Float](repeating: 0, count: photos.count * classes)
    for indices in photos.batches(of: size, seed: seed) {
      let output = try trace(photos.copy(indices), inspection).logits
      for (position, index) in indices.enumerated() {
        logits.replaceSubrange(
          index * classes..<(index + 1) * classes,
          with: output[position * classes..<(position + 1) * classes])
      }
      try check(indices.count)
    }
    return PhaseOutput(
      logits: Tensor(logits, shape: [photos.count, classes]), moments: inspection.moments)
  }
}

extension Tensor<Float> {
  /// -log of the true class's probability for each row of logits; infinite or NaN logits give NaN.
  ///
  /// Shapes: self [n, classes].
  package func crossEntropies(_ labels: [Int]) -> [Double] {
    let classes = shape[1]
    return withUnsafeElements { elements in
      labels.indices.map { row in
        CrossEntropy.of(
          UnsafeBufferPointer(rebasing: elements[row * classes..<(row + 1) * classes]),
          label: labels[row])
      }
    }
  }

  /// The column of the largest element of each row, the first of equals.
  package func largestColumns() -> [Int] {
    let classes = shape[1]
    return withUnsafeElements { elements in
      (0..<shape[0]).map { row in
        let scores = elements[row * classes..<(row + 1) * classes]
        var best = scores.startIndex
        for index in scores.indices where scores[index] > scores[best] { best = index }
        return best - scores.startIndex
      }
    }
  }
}

/// Passes of photos through a network with its batch norms in either phase, with progress.
struct PhasePasses {
  let network: PhasedNetwork
  /// Photos in a batch of the training phase.
  let batch: Int
  let seed: UInt64
  private let context: StageContext

  init(_ network: PhasedNetwork, batch: Int, seed: UInt64, context: StageContext) {
    self.network = network
    self.batch = batch
    self.seed = seed
    self.context = context
  }

  /// - Parameter label: for the progress line; nil for none.
  func run(
    _ label: String? = nil, _ photos: LabelledTensors, _ selection: BatchNormInspection.Selection,
    batch size: Int? = nil
  ) throws -> PhaseOutput {
    let progress = label.map { context.console.progress($0, total: photos.count) }
    defer { progress?.finish() }
    return try network.run(
      photos, batchStatistics: selection, batch: min(size ?? batch, photos.count), seed: seed
    ) { count in
      progress?.advance(by: count)
      try Interruption.check()
    }
  }

  /// What comes out for photos with their classes.
  func results(
    _ photos: LabelledTensors, _ selection: BatchNormInspection.Selection, batch size: Int? = nil
  ) throws -> PhotoResults {
    PhotoResults(try run(nil, photos, selection, batch: size), labels: photos.labels)
  }

  /// The training phase at several batch sizes, and what came out at the largest.
  func batchSizes(
    _ photos: LabelledTensors, at switched: PhaseOutput, inference: BatchNormDiagnosis.Phase
  ) throws -> (sizes: [BatchNormDiagnosis.BatchSize], largest: PhaseOutput) {
    var (sizes, largest): ([BatchNormDiagnosis.BatchSize], PhaseOutput) = ([], switched)
    for size in Set([8, 32, 64, batch]).sorted()
    where size <= network.batch && size <= photos.count {
      let output =
        size == batch ? switched : try run("Batches of \(size)", photos, .all, batch: size)
      let phase = BatchNormDiagnosis.Phase(output, photos.labels)
      sizes.append(.init(batch: size, phase: phase, gap: phase.accuracy - inference.accuracy))
      if size >= batch { largest = output }
    }
    return (sizes, largest)
  }

  /// The loss when layers are switched one by one.
  func attribution(_ photos: LabelledTensors) throws -> PhaseAttribution {
    let size = min(batch, 32)
    let batches = (photos.count + size - 1) / size
    let progress = context.console.progress(
      "Switching layers one by one", total: network.layers.count * batches, unit: "layers")
    defer { progress.finish() }
    return try PhaseAttribution(network, photos, batch: size, seed: seed) {
      progress.advance(by: 1)
      try Interruption.check()
    }
  }
}

/// Softmax cross-entropy of single rows of logits.
private enum CrossEntropy {
  /// -log of the softmax at `label`, in Double with the largest logit taken out.
  static func of(_ logits: UnsafeBufferPointer<Float>, label: Int) -> Double {
    guard var largest = logits.first else { return 0 }
    for value in logits where value > largest { largest = value }
    var sum = 0.0
    for value in logits { sum += exp(Double(value) - Double(largest)) }
    return log(sum) + Double(largest) - Double(logits[label])
  }
}
