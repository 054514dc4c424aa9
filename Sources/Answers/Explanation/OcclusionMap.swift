// SPDX-License-Identifier: Apache-2.0

import ThawExecution
package import ThawInference
import ThawNetwork
import ThawOneDNN
import ThawTensors

/// Where covering a photo costs a class most: the check of ``ClassEvidence`` that needs no gradients.
///
/// A grey square goes over the photo; what the class's logit loses, averaged over all squares that cover a
/// place, is that place's value.
///
/// - Source: Zeiler and Fergus 2014, arXiv:1311.2901.
package final class OcclusionMap {
  /// Places in a row, and rows.
  package let side: Int
  private let patch: Int
  private let step: Int
  private let inputSize: Int
  private let plan: any InferencePlan
  private let outputs: Int
  private let grey: [Float]
  private let activation: OutputActivation

  /// How many squares, each a fifth of the side wide, there are at least in a row.
  private static let squaresInRow = 13

  package init(_ model: StoredModel, context: StageContext) throws {
    inputSize = model.preprocessing.inputSize
    activation = model.record.outputActivation
    outputs = activation.outputs(classes: model.record.classNames.count)
    patch = max(inputSize / 5, 1)
    step = max((inputSize - patch) / (OcclusionMap.squaresInRow - 1), 1)
    side = (inputSize - patch + step - 1) / step + 1
    let contract = model.preprocessing
    grey = (0..<3).map {
      Float((127.5 * contract.scale - contract.mean[$0]) / contract.std[$0])
    }
    plan = try context.compiler.compileInference(
      model.graph, parameters: model.parameters, microBatch: OneDNNEngine.recommendedMicroBatch,
      size: Extent2D(inputSize))
  }

  /// The map of class `index` for one prepared photo, [side, side] of squares: what the logit loses.
  ///
  /// - Parameter pixels: [3, H, W].
  /// - Throws: `ExecutionError`.
  package func map(_ pixels: UnsafeBufferPointer<Float>, index: Int) throws -> [Float] {
    let plane = inputSize * inputSize
    let chunk = OneDNNEngine.recommendedMicroBatch
    let batch = AlignedStorage<Float>(count: chunk * 3 * plane)
    let results = AlignedStorage<Float>(count: chunk * outputs)
    func logit(_ row: Int) -> Float {
      switch activation {
      case .singleSigmoid: index == 1 ? results.elements[row] : -results.elements[row]
      default: results.elements[row * outputs + index]
      }
    }
    _ = batch.elements[..<(3 * plane)].update(fromContentsOf: pixels)
    try plan.run(
      UnsafeBufferPointer(rebasing: batch.elements[..<(3 * plane)]),
      into: UnsafeMutableBufferPointer(rebasing: results.elements[..<outputs]))
    let whole = logit(0)
    var losses: [Float] = []
    for start in stride(from: 0, to: side * side, by: chunk) {
      let count = min(chunk, side * side - start)
      for row in 0..<count {
        let target = UnsafeMutableBufferPointer(
          rebasing: batch.elements[(row * 3 * plane)..<((row + 1) * 3 * plane)])
        _ = target.update(fromContentsOf: pixels)
        cover(target, square: start + row)
      }
      try plan.run(
        UnsafeBufferPointer(rebasing: batch.elements[..<(count * 3 * plane)]),
        into: UnsafeMutableBufferPointer(rebasing: results.elements[..<(count * outputs)]))
      losses += (0..<count).map { whole - logit($0) }
    }
    return losses
  }

  private func cover(_ photo: UnsafeMutableBufferPointer<Float>, square: Int) {
    let top = min(square / side * step, inputSize - patch)
    let left = min(square % side * step, inputSize - patch)
    for channel in 0..<3 {
      for row in top..<(top + patch) {
        let start = (channel * inputSize + row) * inputSize + left
        for column in start..<(start + patch) { photo[column] = grey[channel] }
      }
    }
  }

  /// The losses as a map over the network's square, [inputSize, inputSize]: at each place the mean over the
  /// squares that cover it.
  package func spread(_ losses: [Float]) -> [Float] {
    var sums = [Double](repeating: 0, count: inputSize * inputSize)
    var counts = [Double](repeating: 0, count: inputSize * inputSize)
    for (square, loss) in losses.enumerated() {
      let top = min(square / side * step, inputSize - patch)
      let left = min(square % side * step, inputSize - patch)
      for row in top..<(top + patch) {
        for place in (row * inputSize + left)..<(row * inputSize + left + patch) {
          sums[place] += Double(loss)
          counts[place] += 1
        }
      }
    }
    return zip(sums, counts).map { $1 > 0 ? Float($0 / $1) : 0 }
  }
}
