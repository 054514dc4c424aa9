// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDatasets
import ThawExecution
import ThawImages
package import ThawInference
import ThawNetwork
import ThawOneDNN
import ThawTensors
import ThawTraining

/// Trains on one small batch until it is learned by heart: if that fails, nothing larger can succeed.
package struct OverfitTest {
  private static let (batchSize, maximumSteps) = (16, 300)

  /// Trains the groups that the model's training had thawed (else the head), with a fresh head.
  ///
  /// - Throws: errors of the photos and of the compiler.
  package static func run(
    _ classifier: Classifier, _ photos: FitPhotos, seed: UInt64, context: StageContext
  ) throws -> FitFindings.OverfitTest {
    let graph = classifier.model.graph
    var plan = FreezePlan.freezing(to: -1, of: graph)
    if let recorded = classifier.record?.freezing, !recorded.trainableGroups.isEmpty {
      plan = recorded
    }
    let partition = Partition(graph, freezing: plan)
    let chosen = batch(photos, seed: seed)
    let squares = try PhotoSquares(
      chosen.map { photos.photos[$0] }, classifier.preprocessing, context: context)
    let labels = squares.photos.map { photo in
      photos.classes.firstIndex(of: photo.className ?? "") ?? 0
    }
    let size = Extent2D(classifier.preprocessing.inputSize)
    let parameters = fresh(graph, classifier.model.parameters, seed: seed)
    let source = InMemoryFeatures(
      try features(squares, classifier.preprocessing, graph, partition, parameters, size, context),
      labels: labels)
    let suffix = try context.compiler.compileSuffix(
      graph, partition: partition, parameters: parameters, freezing: plan, batch: labels.count,
      size: size)
    let rates = suffix.trainable.map { description in
      graph.nodes.last { $0.path == description.path.parent }?.group == graph.groups.count - 1
        ? 0.01 : 0.0005
    }
    let (first, last, steps) = try train(suffix, source, rates: rates, seed: seed)
    return FitFindings.OverfitTest(
      photos: labels.count, groups: plan.trainableGroups.map { graph.groups[$0].name },
      steps: steps, firstLoss: first, loss: last)
  }

  /// A few photos, of as many classes as possible, from the training split where there is one.
  private static func batch(_ photos: FitPhotos, seed: UInt64) -> [Int] {
    let train = photos.indices(of: .train)
    let pool = train.isEmpty ? Array(photos.labels.indices) : train
    var stream = RandomStream(seed: seed, purpose: .shuffle)
    let order = stream.permutation(of: pool.count).map { pool[$0] }
    var taken: [Int: Int] = [:]
    let ranked = order.map { photo -> (turn: Int, photo: Int) in
      taken[photos.labels[photo], default: 0] += 1
      return (taken[photos.labels[photo]] ?? 0, photo)
    }
    return ranked.enumerated().sorted { ($0.1.turn, $0.0) < ($1.1.turn, $1.0) }
      .prefix(batchSize).map(\.1.photo)
  }

  /// The parameters with dense layers of the head as PyTorch makes them.
  private static func fresh(_ graph: Graph, _ old: Parameters, seed: UInt64) -> Parameters {
    var result = old
    for node in graph.nodes where node.group == graph.groups.count - 1 {
      guard case .dense(let layer) = node.operation else { continue }
      var stream = RandomStream(seed: seed, purpose: .initialization, sample: node.id.index)
      let bound = (1 / Double(layer.inputs)).squareRoot()
      result[node.path.appending("weight")] = Tensor(shape: [layer.outputs, layer.inputs]) {
        for index in $0.indices { $0[index] = Float(stream.uniform(in: -bound...bound)) }
      }
      if layer.hasBias {
        result[node.path.appending("bias")] = Tensor(zeros: [layer.outputs])
      }
    }
    return result
  }

  /// What arrives at the cut, [n, …].
  private static func features(
    _ squares: PhotoSquares, _ contract: Preprocessing, _ graph: Graph, _ partition: Partition,
    _ parameters: Parameters, _ size: Extent2D, _ context: StageContext
  ) throws -> Tensor<Float> {
    let count = squares.squares.count
    let pixels = Tensor<Float>(shape: [count, contract.elementCount]) {
      squares.write(0..<count, as: contract, into: $0)
    }
    guard !partition.prefix.isEmpty else { return pixels }
    let plan = try context.compiler.compileInference(
      graph, parameters: parameters, to: partition.cut, microBatch: count, size: size)
    return try plan.run(pixels)
  }

  private static func train(
    _ plan: any TrainingPlan, _ source: InMemoryFeatures, rates: [Double], seed: UInt64
  ) throws -> (first: Double, last: Double, steps: Int) {
    let loss = SoftmaxCrossEntropy()
    let gradient = LocalBatchGradient(plan: plan, source: source, loss: loss)
    let optimizer = Optimizer(OptimizerConfiguration(rule: .adam(), maximumGradientNorm: 10))
    func measured() throws -> Double {
      try PlanEvaluator.score(source, by: plan, loss: loss).loss.mean
    }
    let first = try measured()
    var (last, step) = (first, 0)
    while step < maximumSteps, last.isFinite, last >= FitFindings.OverfitTest.learned / 2 {
      try Interruption.check()
      _ = try gradient.compute(
        TrainingBatch(
          samples: Array(0..<source.count)[...], epoch: 0,
          identity: StepIdentity(seed: seed, step: step)))
      optimizer.update(plan, rates: rates)
      step += 1
      if step % 10 == 0 { last = try measured() }
    }
    return (first, last, step)
  }
}
