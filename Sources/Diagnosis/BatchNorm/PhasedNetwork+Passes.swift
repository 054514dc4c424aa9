// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawConsole
package import ThawExecution
import ThawInference
package import ThawNetwork
import ThawOneDNN
package import ThawRanks
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
  ///   - ranks: who computes the batches; all of them come here and get all results.
  ///   - check: called after each batch of this rank with the number of photos in it; stops the pass by throwing.
  /// - Throws: what `check` throws; `NetworkError.degenerateBatch`, `ExecutionError`, `RankError`.
  package func run(
    _ photos: LabelledTensors, batchStatistics selection: BatchNormInspection.Selection,
    batch size: Int, seed: UInt64, ranks: RankGroup = .alone, check: (Int) throws -> Void = { _ in }
  ) throws -> PhaseOutput {
    precondition(
      size >= 1 && size <= batch, "A batch of \(size) does not fit a network of \(batch).")
    let batches = photos.batches(of: size, seed: seed)
    let room = (batches.map(\.count).max() ?? 0) * classes
    let fields = MomentFields(layers)
    let before = pieceRuns
    // What a batch comes to: its logits, then the moments of its layers.
    let rows: [Double] = try ranks.rows(batches.count, width: room + fields.width) { row, numbers in
      let inspection = BatchNormInspection(batchStatistics: selection)
      let output = try trace(photos.copy(batches[row]), inspection).logits
      for (place, value) in output.enumerated() { numbers[place] = Double(value) }
      fields.write(inspection.moments, numbers[room...])
      try check(batches[row].count)
    }
    pieceRuns = before + photos.count * pieceCount
    var logits = [Float](repeating: 0, count: photos.count * classes)
    var moments: [ParameterPath: ChannelMoments] = [:]
    for (row, indices) in batches.enumerated() {
      let own = rows[row * (room + fields.width)..<(row + 1) * (room + fields.width)]
      for (position, index) in indices.enumerated() {
        for column in 0..<classes {
          logits[index * classes + column] = Float(
            own[own.startIndex + position * classes + column])
        }
      }
      fields.merge(own.dropFirst(room), into: &moments)
    }
    return PhaseOutput(
      logits: Tensor(logits, shape: [photos.count, classes]), moments: moments)
  }
}

/// Where the moments of a pass stand among numbers: of each layer a count, the means, the variances.
private struct MomentFields {
  private let layers: [(path: ParameterPath, channels: Int)]
  /// Numbers of one pass.
  let width: Int

  init(_ layers: [PhasedNetwork.Layer]) {
    self.layers = layers.map { ($0.path, $0.normalization.channels) }
    width = self.layers.reduce(0) { $0 + 1 + 2 * $1.channels }
  }

  func write(
    _ moments: [ParameterPath: ChannelMoments],
    _ numbers: Slice<UnsafeMutableBufferPointer<Double>>
  ) {
    var numbers = numbers
    var place = numbers.startIndex
    for layer in layers {
      // A layer that took no part has a count of 0.
      if let moments = moments[layer.path] {
        for value in [Double(moments.count)] + moments.mean + moments.variance {
          numbers[place] = value
          place += 1
        }
      } else {
        place += 1 + 2 * layer.channels
      }
    }
  }

  /// Takes in the moments of one more pass.
  func merge(_ numbers: ArraySlice<Double>, into moments: inout [ParameterPath: ChannelMoments]) {
    var rest = numbers
    for (path, channels) in layers {
      let count = Int(rest.first ?? 0)
      let mean = Array(rest.dropFirst().prefix(channels))
      let variance = Array(rest.dropFirst(1 + channels).prefix(channels))
      rest = rest.dropFirst(1 + 2 * channels)
      guard count > 0 else { continue }
      let new = ChannelMoments(count: count, mean: mean, variance: variance)
      if moments[path] == nil { moments[path] = new } else { moments[path]?.merge(new) }
    }
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
      photos, batchStatistics: selection, batch: min(size ?? batch, photos.count), seed: seed,
      ranks: context.ranks
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
    return try PhaseAttribution(
      network, photos, batch: size, seed: seed, ranks: context.ranks
    ) {
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
