// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawOneDNN
package import ThawTensors
import ThawTraining

/// Probabilities for photos by logistic regressions that have not seen them.
package enum CrossValidation {
  /// [n, classes]; rows of NaN for photos whose class has no second photo.
  ///
  /// Classes without photos have the probability 0. Folds are drawn by `seed`, every class spread
  /// evenly.
  ///
  /// - Parameters:
  ///   - features: [n, d].
  ///   - groups: photos with the same number are held back together; nil when each is on its own.
  ///   - only: photos that are held back in turn, the others always being learned from; nil for all.
  ///   - classWeights: one a class for the loss; empty for none.
  ///   - inverseStrength: C; found by cross-validation on all photos when nil.
  ///   - onSolve: called after every solution.
  package static func probabilities(
    _ features: Tensor<Float>, labels: [Int], groups: [Int]? = nil, classes: Int,
    classWeights: [Float] = [], folds: Int = 5, inverseStrength: Double? = nil,
    only: Range<Int>? = nil, seed: UInt64,
    onSolve: () -> Void = {}
  ) throws -> Tensor<Float> {
    let present = Set(labels).sorted()
    var result = [Float](repeating: .nan, count: labels.count * classes)
    guard present.count >= 2 else { return Tensor(result, shape: [labels.count, classes]) }
    let fold = assign(labels, groups, only ?? 0..<labels.count, folds: folds, seed: seed)
    var solver = LogisticRegression(regularization: .automatic, seed: seed)
    solver.maximumIterations = 200
    solver.tolerance = 1e-4
    if !classWeights.isEmpty { solver.classWeights = present.map { classWeights[$0] } }
    func solved() throws {
      onSolve()
      try Interruption.check()
    }
    if let inverseStrength {
      solver.regularization = .inverseStrength(inverseStrength)
    } else {
      let all = try fit(solver, features, labels, Array(labels.indices), present, solved)
      solver.regularization = .inverseStrength(all.inverseStrength)
    }
    for part in 0..<folds {
      let held = labels.indices.filter { fold[$0] == part }
      guard !held.isEmpty else { continue }
      let model = try fit(
        solver, features, labels, labels.indices.filter { fold[$0] != part }, present, solved)
      let scores = Probabilities.softmax(logits(features, held, model))
      for (row, photo) in held.enumerated() {
        for index in 0..<classes { result[photo * classes + index] = 0 }
        for (column, index) in present.enumerated() {
          result[photo * classes + index] = scores[row * present.count + column]
        }
      }
    }
    return Tensor(result, shape: [labels.count, classes])
  }

  private static func fit(
    _ solver: LogisticRegression, _ features: Tensor<Float>, _ labels: [Int], _ rows: [Int],
    _ present: [Int], _ onSolve: () throws -> Void
  ) throws -> LogisticModel {
    var places: [Int: Int] = [:]
    for (column, index) in present.enumerated() { places[index] = column }
    let source = InMemoryFeatures(
      features.rows(rows), labels: rows.map { places[labels[$0]] ?? 0 })
    return try solver.fit(source, classes: present.count, onSolve: onSolve)
  }

  private static func logits(
    _ features: Tensor<Float>, _ rows: [Int], _ model: LogisticModel
  ) -> Tensor<Float> {
    let (classes, width) = (model.weight.shape[0], model.weight.shape[1])
    let part = features.rows(rows)
    return Tensor(shape: [rows.count, classes]) { output in
      part.withUnsafeElements { input in
        model.weight.withUnsafeElements { weight in
          for row in 0..<rows.count {
            for index in 0..<classes {
              var sum = model.bias[index]
              for column in 0..<width {
                sum += input[row * width + column] * weight[index * width + column]
              }
              output[row * classes + index] = sum
            }
          }
        }
      }
    }
  }

  /// Each photo's fold, every class spread evenly; -1 for photos that are never held back, and for those
  /// that no fold can do without, such as the only photo of a class.
  private static func assign(
    _ labels: [Int], _ groups: [Int]?, _ range: Range<Int>, folds: Int, seed: UInt64
  ) -> [Int] {
    var result = [Int](repeating: -1, count: labels.count)
    let always = Set(labels.indices.filter { !range.contains($0) }.map { labels[$0] })
    let together = Dictionary(grouping: range, by: { groups?[$0] ?? $0 }).values
      .sorted { $0[0] < $1[0] }
    let classes = Dictionary(grouping: together, by: { labels[$0[0]] })
    var next = 0
    for (index, members) in classes.sorted(by: { $0.key < $1.key })
    where members.count > 1 || always.contains(index) {
      var stream = RandomStream(seed: seed, purpose: .resampling, epoch: 1, sample: index)
      for position in stream.permutation(of: members.count) {
        for photo in members[position] { result[photo] = next % folds }
        next += 1
      }
    }
    // A class must have photos left whichever fold is held out.
    for photos in Dictionary(grouping: labels.indices, by: { labels[$0] }).values
    where Set(photos.map { result[$0] }).count == 1 {
      for photo in photos { result[photo] = -1 }
    }
    return result
  }
}

extension Tensor where Scalar == Float {
  /// The rows at `indices` of a matrix.
  package func rows(_ indices: [Int]) -> Tensor<Float> {
    let width = shape[1]
    return Tensor(shape: [indices.count, width]) { output in
      withUnsafeElements { input in
        for (row, index) in indices.enumerated() {
          _ = UnsafeMutableBufferPointer(rebasing: output[(row * width)...])
            .update(fromContentsOf: input[index * width..<(index + 1) * width])
        }
      }
    }
  }
}
