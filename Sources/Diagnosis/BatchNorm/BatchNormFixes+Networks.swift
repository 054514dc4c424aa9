// SPDX-License-Identifier: Apache-2.0

import ThawBackbones
import ThawConsole
import ThawExecution
package import ThawNetwork
import ThawOneDNN
import ThawTensors
import ThawTraining

extension BatchNormFixes {
  /// Running statistics computed anew from the photos that fixes may learn from.
  package func recalibrated(only: Set<ParameterPath>?, from parameters: Parameters) throws
    -> Repaired
  {
    let network = examination.network
    let fixing = examination.photos.fixing
    try network.importParameters(parameters)
    defer { try? network.importParameters(classifier.parameters) }
    let progress = context.console.progress(
      "Recalibrating", total: only?.count ?? network.layers.count, unit: "layers")
    defer { progress.finish() }
    let recalibration = try Recalibration(
      network, on: fixing, only: only, batch: min(network.batch, fixing.count), seed: seed
    ) { count in
      progress.update(completed: count)
      try Interruption.check()
    }
    var result = original
    result.parameters = recalibration.parameters
    return result
  }

  /// A single dense layer for the classes of the photos, solved on the features of `network`.
  ///
  /// - Parameter convert: prepares photos as `network` wants them.
  package func withNewHead(
    _ network: Repaired, photos convert: (LabelledTensors) -> LabelledTensors
  ) throws -> Repaired {
    let fixing = examination.photos.fixing
    let columns = Set(fixing.labels).sorted()
    var position: [Int: Int] = [:]
    for (index, column) in columns.enumerated() { position[column] = index }
    let graph = try Architecture(named: network.graph.name).graph(Head(classes: columns.count))
    let cut = Partition(graph, freezing: .freezing(to: -1, of: graph)).cut
    let plan = try context.compiler.compileInference(
      graph, parameters: network.parameters, to: cut,
      microBatch: OneDNNEngine.recommendedMicroBatch, size: size)
    let features = InMemoryFeatures(
      try run(plan, convert(fixing)), labels: fixing.labels.map { position[$0] ?? 0 })
    let solution = try LogisticRegression(seed: seed).fit(features, classes: columns.count)
    var result = network
    result.graph = graph
    result.parameters[graph.output.path.appending("weight")] = solution.weight
    result.parameters[graph.output.path.appending("bias")] = solution.bias
    result.classNames = columns.map { network.classNames[$0] }
    result.hasNewHead = true
    return result
  }

  /// Scale and shift of every batch norm and the head trained on batch statistics, then the running
  /// statistics recalibrated to the result.
  package func withTrainedBatchNorms() throws -> Repaired {
    let graph = classifier.graph
    let plan = FreezePlan(
      trainable: [graph.groups.count - 1], frozenBatchNorm: .training,
      trainableBatchNorm: .training)
    let fixing = examination.photos.fixing
    let batch = min(32, fixing.count)
    let compiled = try context.compiler.compileSuffix(
      graph, partition: Partition(graph, freezing: plan), parameters: classifier.parameters,
      freezing: plan, batch: batch + 1, size: size)
    let configuration = TrainerConfiguration(
      epochs: 3, batchSize: batch, seed: seed,
      optimizer: OptimizerConfiguration(rule: .sgd(momentum: 0.9), weightDecay: .l2(1e-4)),
      schedule: .cosineAnnealing)
    let trainer = try Trainer(
      configuration, plan: compiled, rates: LearningRates(0.01), training: TensorSource(fixing))
    let steps = trainer.curve.stepsPerEpoch * 3
    let progress = context.console.progress("Training batch norms", total: steps, unit: "steps")
    _ = try trainer.run(
      TrainerHooks(
        onBatch: { progress.update(completed: $0.progress.step) },
        isCancelled: { Interruption.isRequested }))
    progress.finish()
    try Interruption.check()
    return try recalibrated(
      only: nil, from: classifier.parameters.overlaid(with: compiled.exportParameters()))
  }
}

/// Prepared photos as a trainer wants them.
private struct TensorSource: FeatureSource {
  private let photos: LabelledTensors

  init(_ photos: LabelledTensors) { self.photos = photos }

  var count: Int { photos.count }
  var stride: Int { photos.stride }

  func label(_ index: Int) -> Int { photos.labels[index] }

  func copyFeatures(
    of indices: ArraySlice<Int>, view: FeatureView, into output: UnsafeMutableBufferPointer<Float>
  ) {
    for (row, index) in indices.enumerated() {
      _ = output[(row * stride)...].update(fromContentsOf: photos.photo(index))
    }
  }
}
