// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import ThawExecution
import ThawOneDNN
import ThawTensors

/// Where the time of a network's forward pass goes.
struct Profile: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Where the time goes: the kernels of a network's trunk by their share.")

  @OptionGroup var options: WorkloadOptions

  @Option(help: "How many kernels to list.")
  var top = 25

  func run() throws {
    ComputeThreads.configure(options.threads)
    let plan = try BenchmarkNetwork(options).trunk(microBatch: options.batch)
    guard let plan = plan as? OneDNNPlan else { throw ValidationError("not a plan of oneDNN") }
    let pixels = try BenchmarkNetwork.pixels(options, count: options.batch)
    _ = try plan.run(pixels)
    var features = Tensor<Float>(zeros: [options.batch, plan.outputStride])
    let times = try features.withUnsafeMutableElements { output in
      try pixels.withUnsafeElements { try plan.profile($0, into: output) }
    }
    let total = times.reduce(0) { $0 + $1.seconds }
    func line(_ name: String, _ seconds: Double) {
      print(
        String(
          format: "%7.3f ms %5.1f %%  ", seconds / Double(options.batch) * 1e3,
          seconds / total * 100) + name)
    }
    line("one image, one thread", total)
    print("by operation")
    let kinds = Dictionary(grouping: times) { "\($0.operation) [\($0.kernel)]" }
      .mapValues { $0.reduce(0) { $0 + $1.seconds } }
    for (kind, seconds) in kinds.sorted(by: { $0.value > $1.value }) { line(kind, seconds) }
    print("by layer")
    for time in times.sorted(by: { $0.seconds > $1.seconds }).prefix(top) {
      line("\(time.layer) \(time.operation) [\(time.kernel)]", time.seconds)
    }
  }
}
