// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawExecution
import ThawNetwork
import ThawTensors
import ThawTraining

/// A linear head on cached features.
struct HeadTraining: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "head", abstract: "A linear head on cached features, 100 epochs.")

  @OptionGroup var options: WorkloadOptions

  func run() throws { try options.measure("head") { try HeadWorkload(options) } }
}

/// 100 epochs of SGD with momentum on features in memory, from fresh weights each round.
struct HeadWorkload: Workload {
  private static let epochs = 100

  private let plan: any TrainingPlan
  private let fresh: Parameters
  private let features: InMemoryFeatures
  private let options: WorkloadOptions

  init(_ options: WorkloadOptions) throws {
    self.options = options
    let network = try BenchmarkNetwork(options)
    let freezing = FreezePlan.freezing(to: -1, of: network.graph)
    let partition = Partition(network.graph, freezing: freezing)
    plan = try BenchmarkNetwork.engine.compileTraining(
      network.graph, nodes: partition.suffix, from: partition.cut, parameters: network.parameters,
      freezing: freezing, batch: options.batch + 1, size: BenchmarkNetwork.size)
    fresh = plan.exportParameters()
    var stream = RandomStream(seed: 0, purpose: .procedural)
    let width = plan.inputShape.count / plan.inputShape[0]
    features = InMemoryFeatures(
      Tensor(shape: [options.images, width]) { values in
        for index in values.indices { values[index] = stream.uniform() }
      }, labels: (0..<options.images).map { $0 % BenchmarkNetwork.classes })
  }

  var description: String {
    "Thaw's trainer, \(HeadWorkload.epochs) epochs, batch \(options.batch), SGD with momentum"
  }

  func round() throws -> Int {
    try plan.importParameters(fresh)
    let configuration = TrainerConfiguration(
      epochs: HeadWorkload.epochs, batchSize: options.batch,
      optimizer: OptimizerConfiguration(rule: .sgd(momentum: 0.9), weightDecay: .l2(1e-4)))
    let trainer = try Trainer(
      configuration, plan: plan, rates: LearningRates(0.01), training: features,
      loss: SoftmaxCrossEntropy(labelSmoothing: 0.1))
    _ = try trainer.run()
    return options.images
  }
}
