// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawBackbones
import ThawConsole
package import ThawExecution
package import ThawInference
package import ThawNetwork
import ThawOneDNN
package import ThawRanks
package import ThawTensors
package import ThawTraining

/// What arrives at the head of a network in inference, and the heads that can be put on it.
package struct HeadFeatures {
  /// The whole network.
  package let graph: Graph
  /// The value that the head receives.
  package let cut: NodeID
  /// Side of the photos.
  package let size: Extent2D
  private let compiler: Compiler
  private let ranks: RankGroup
  private let isImported: Bool

  /// The head of `classifier` is its last layer group.
  ///
  /// - Parameter ranks: who computes features; all of them ask for the same ones and get all.
  package init(_ classifier: Classifier, compiler: Compiler, ranks: RankGroup = .alone) {
    self.ranks = ranks
    graph = classifier.graph
    cut = Partition(graph, freezing: .freezing(to: -1, of: graph)).cut
    size = Extent2D(classifier.preprocessing.inputSize)
    self.compiler = compiler
    isImported = classifier.model.record.architecture == Architecture.onnxName
  }

  /// Features of prepared photos under `parameters`, [n, d].
  package func features(
    _ photos: LabelledTensors, _ parameters: Parameters
  ) throws -> Tensor<Float> {
    let plan = try compiler.compileInference(
      graph, parameters: parameters, to: cut, microBatch: OneDNNEngine.recommendedMicroBatch,
      size: size)
    let result = try plan.run(photos, ranks: ranks)
    return result.reshaped([photos.count, result.count / max(photos.count, 1)])
  }

  /// Logits of the network's own head for `features`, [n, classes].
  package func logits(
    of features: Tensor<Float>, _ parameters: Parameters
  ) throws -> Tensor<Float> {
    let plan = try compiler.compileInference(
      graph, parameters: parameters, from: cut, microBatch: OneDNNEngine.recommendedMicroBatch,
      size: size)
    return try plan.run(features)
  }

  /// The network with a single dense layer for `classes` in place of its head.
  package func graph(classes: Int) throws -> Graph {
    guard isImported else {
      return try Architecture(named: graph.name).graph(Head(classes: classes))
    }
    return try graph.withDenseHead(behind: cut, classes: classes, size: size)
  }
}

extension InferencePlan {
  /// The results of prepared photos, [photos, stride of the output].
  package func run(_ photos: LabelledTensors, ranks: RankGroup = .alone) throws -> Tensor<Float> {
    let (part, parts) = (32, (photos.count + 31) / 32)
    let rows: [Float] = try ranks.rows(parts, width: part * outputStride) { index, place in
      try Interruption.check()
      let range = index * part..<min((index + 1) * part, photos.count)
      let output = UnsafeMutableBufferPointer(rebasing: place[..<(range.count * outputStride)])
      try photos.copy(range).withUnsafeBufferPointer { try run($0, into: output) }
    }
    return Tensor(
      Array(rows.prefix(photos.count * outputStride)), shape: [photos.count, outputStride])
  }
}

/// A single dense layer solved on features, for the classes that occur among the labels.
package struct SolvedHead {
  /// The layer; its outputs are ``columns``.
  package let model: LogisticModel
  /// The class of each output, ascending.
  package let columns: [Int]

  /// Solves it, with `inverseStrength` or the one that does best by cross-validation.
  ///
  /// - Throws: `TrainingError` for fewer than two classes or features that are not finite.
  package init(
    _ features: Tensor<Float>, labels: [Int], inverseStrength: Double? = nil, seed: UInt64
  ) throws {
    columns = Set(labels).sorted()
    var place: [Int: Int] = [:]
    for (index, column) in columns.enumerated() { place[column] = index }
    var solver = LogisticRegression(seed: seed)
    solver.maximumIterations = 300
    solver.tolerance = 1e-4
    if let inverseStrength { solver.regularization = .inverseStrength(inverseStrength) }
    model = try solver.fit(
      InMemoryFeatures(features, labels: labels.map { place[$0] ?? 0 }), classes: columns.count)
  }

  /// Log probabilities of all `classes` for rows of features, [n, classes]; classes without an output
  /// have a very small one.
  package func logProbabilities(_ features: Tensor<Float>, classes: Int) -> Tensor<Float> {
    let (count, width) = (features.shape[0], features.shape[1])
    let scores = Tensor<Float>(shape: [count, columns.count]) { output in
      features.withUnsafeElements { input in
        model.weight.withUnsafeElements { weight in
          guard let input = input.baseAddress, let weight = weight.baseAddress,
            let result = output.baseAddress
          else { return }
          LinearAlgebra.multiply(
            MatrixView(input, rows: count, columns: width),
            MatrixView(weight, rows: width, columns: columns.count, transposed: true),
            into: result)
        }
      }
      let bias = model.bias.elements
      for index in output.indices { output[index] += bias[index % columns.count] }
    }
    let known = Probabilities.softmax(scores).elements
    return SolvedHead.logProbabilities(classes: classes, rows: count) { row in
      var result = [Float](repeating: 0, count: classes)
      for (index, column) in columns.enumerated() {
        result[column] = known[row * columns.count + index]
      }
      return result
    }
  }

  /// Log probabilities for photos by heads that were solved without them, [n, classes].
  ///
  /// The only photo of a class, and photos that are not asked about, have the same probability for
  /// every class.
  ///
  /// - Parameters:
  ///   - groups: photos that show the same have the same number, and no head speaks of one that has
  ///     learned from another; nil when all are different.
  ///   - only: photos that are asked about; all when nil.
  package static func crossValidated(
    _ features: Tensor<Float>, labels: [Int], groups: [Int]? = nil, classes: Int,
    inverseStrength: Double, only: Range<Int>? = nil, seed: UInt64
  ) throws -> Tensor<Float> {
    // Ten parts where photos are few: a head solved on four fifths of them is a poorer one.
    let rows = try CrossValidation.probabilities(
      features, labels: labels, groups: groups, classes: classes,
      folds: labels.count < 250 ? 10 : 5, inverseStrength: inverseStrength,
      only: only, seed: seed
    ).elements
    return logProbabilities(classes: classes, rows: labels.count) { row in
      let own = Array(rows[row * classes..<(row + 1) * classes])
      return own.contains(where: \.isNaN)
        ? [Float](repeating: 1 / Float(classes), count: classes) : own
    }
  }

  private static func logProbabilities(
    classes: Int, rows: Int, _ probabilities: (Int) -> [Float]
  ) -> Tensor<Float> {
    Tensor(
      (0..<rows).flatMap { probabilities($0).map { logf(max($0, 1e-12)) } },
      shape: [rows, classes])
  }
}
