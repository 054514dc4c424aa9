// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawExecution
import ThawTensors

/// Pixels in memory to features.
struct Features: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Pixels in memory to features.")

  @OptionGroup var options: WorkloadOptions

  func run() throws {
    try options.measure("features of \(options.network)") { try FeaturesWorkload(options) }
  }
}

/// The trunk of a network on batches of pixels.
struct FeaturesWorkload: Workload {
  private let plan: any InferencePlan
  private let pixels: Tensor<Float>
  private let options: WorkloadOptions

  init(_ options: WorkloadOptions) throws {
    self.options = options
    plan = try BenchmarkNetwork(options).trunk(microBatch: options.batch)
    pixels = try BenchmarkNetwork.pixels(options, count: max(32 / options.batch, 1) * options.batch)
  }

  var description: String {
    "Thaw on \(BenchmarkNetwork.engine.name), \(options.precision), batch \(options.batch), \(options.threads) threads"
  }

  func round() throws -> Int {
    let batches = options.images / options.batch
    let inputs = options.batch * plan.inputStride
    var features = Tensor<Float>(zeros: [options.batch, plan.outputStride])
    try pixels.withUnsafeElements { pixels in
      try features.withUnsafeMutableElements { output in
        for batch in 0..<batches {
          let start = batch * inputs % pixels.count
          try plan.run(UnsafeBufferPointer(rebasing: pixels[start..<start + inputs]), into: output)
        }
      }
    }
    return batches * options.batch
  }

  func output() throws -> Tensor<Float>? { try plan.run(pixels) }
}
