// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawExecution
import ThawNetwork
import ThawTensors
import ThawTraining

/// Whole training steps.
struct TrainingSteps: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "training", abstract: "Whole training steps: forward, loss, backward, update.")

  @OptionGroup var options: WorkloadOptions

  func run() throws {
    try options.measure("training \(options.network), \(options.variant)") {
      try TrainingWorkload(options)
    }
  }
}

/// Training steps on pixels, or on what a frozen prefix makes of them, computed once.
struct TrainingWorkload: Workload {
  private let plan: any TrainingPlan
  private let inputs: Tensor<Float>
  private let labels: [Int32]
  private let optimizer = Optimizer(OptimizerConfiguration(rule: .sgd(momentum: 0.9)))
  private let loss = SoftmaxCrossEntropy()
  private let options: WorkloadOptions

  init(_ options: WorkloadOptions) throws {
    self.options = options
    let network = try BenchmarkNetwork(options)
    let engine = BenchmarkNetwork.engine
    let compiled = try Compiler(inference: engine, training: engine).compile(
      network.graph, parameters: network.parameters,
      freezing: try TrainingWorkload.freezing(options.variant, of: network.graph),
      microBatch: options.batch, batch: options.batch, size: BenchmarkNetwork.size)
    guard let suffix = compiled.suffix else {
      throw ValidationError("Nothing trains in variant '\(options.variant)'.")
    }
    plan = suffix
    let pixels = try BenchmarkNetwork.pixels(options, count: 2 * options.batch)
    inputs = try compiled.prefix.map { try $0.run(pixels) } ?? pixels
    labels = (0..<options.batch).map { Int32($0 % BenchmarkNetwork.classes) }
  }

  var description: String {
    "Thaw on \(BenchmarkNetwork.engine.name), batch \(options.batch), \(options.variant)"
  }

  func round() throws -> Int {
    let steps = options.images / options.batch
    let stride = inputs.count / 2
    let rates = [Double](repeating: 1e-4, count: plan.trainable.count)
    var logits = [Float](repeating: 0, count: options.batch * BenchmarkNetwork.classes)
    var gradient = logits
    try inputs.withUnsafeElements { inputs in
      for step in 0..<steps {
        let start = step % 2 * stride
        try takeStep(
          UnsafeBufferPointer(rebasing: inputs[start..<start + stride]), number: step,
          logits: &logits, gradient: &gradient)
        optimizer.update(plan, rates: rates)
      }
    }
    return steps * options.batch
  }

  /// Forward, loss and backward of one batch; the gradients are in the plan afterwards.
  private func takeStep(
    _ batch: UnsafeBufferPointer<Float>, number: Int, logits: inout [Float],
    gradient: inout [Float]
  ) throws {
    plan.clearGradients()
    try logits.withUnsafeMutableBufferPointer { logits in
      try plan.forward(batch, step: StepIdentity(seed: 0, step: number), into: logits)
      labels.withUnsafeBufferPointer { labels in
        gradient.withUnsafeMutableBufferPointer { gradient in
          let targets = BatchTargets.labels(labels)
          let weight = loss.weight(of: targets, classes: BenchmarkNetwork.classes)
          _ = loss.evaluate(
            UnsafeBufferPointer(logits), classes: BenchmarkNetwork.classes, targets: targets,
            divisor: weight, gradient: gradient)
        }
      }
    }
    try gradient.withUnsafeBufferPointer { try plan.backward($0) }
  }

  /// What trains in each variant; the names are those of `peers/training_torch.py`.
  private static func freezing(_ variant: String, of graph: Graph) throws -> FreezePlan {
    switch variant {
    case "frozen-bn": .freezing(to: 0, of: graph)
    case "training-bn": .freezing(to: 0, of: graph, trainableBatchNorm: .training)
    case "late": .freezing(to: -2, of: graph)
    case "head": .freezing(to: -1, of: graph)
    default: throw ValidationError("There is no variant '\(variant)'.")
    }
  }
}
