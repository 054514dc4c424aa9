// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawConsole
import ThawFiles
import ThawInference
import ThawNetwork
import ThawRuns

/// What a network costs on this machine, one photo at a time.
struct NetworkCosts {
  /// Milliseconds from pixels to logits: the median of up to 25 runs, after one to warm up.
  let latency: Double
  /// Millions of bytes of its weights.
  let size: Double
  /// Millions of bytes that compiling and running it added to this process, and its weights.
  let memory: Double

  /// Compiles the network and runs it for half a second.
  init(_ network: TransferNetwork, _ context: StageContext) throws {
    let weights = network.graph.parameters.reduce(0) { $0 + $1.shape.count * 4 }
    let before = NetworkCosts.residentBytes
    let plan = try context.compiler.compileInference(
      network.graph, parameters: network.parameters, microBatch: 1, size: network.size)
    let input = [Float](repeating: 0.1, count: plan.inputStride)
    var output = [Float](repeating: 0, count: plan.outputStride)
    func once() throws -> Double {
      let start = ProgressLine.monotonicSeconds()
      try input.withUnsafeBufferPointer { input in
        try output.withUnsafeMutableBufferPointer { try plan.run(input, into: $0) }
      }
      return ProgressLine.monotonicSeconds() - start
    }
    _ = try once()
    var times: [Double] = []
    let end = ProgressLine.monotonicSeconds() + 0.5
    while times.count < 3 || (times.count < 25 && ProgressLine.monotonicSeconds() < end) {
      times.append(try once())
    }
    latency = times.sorted()[times.count / 2] * 1000
    size = Double(weights) / 1e6
    memory = Double(max(NetworkCosts.residentBytes - before, 0) + weights) / 1e6
  }

  /// By the names of limits, rounded to what the measurement can tell.
  var byName: [String: Double] {
    [
      SearchLimit.latency.rawValue: (latency * 100).rounded() / 100,
      SearchLimit.size.rawValue: (size * 100).rounded() / 100,
      SearchLimit.memory.rawValue: memory.rounded(),
    ]
  }

  /// Memory of this process that is not swapped out.
  private static var residentBytes: Int {
    guard let bytes = try? FileSystem.read("/proc/self/statm", limit: 4096) else { return 0 }
    let fields = String(decoding: bytes, as: UTF8.self).split(separator: " ")
    return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * sysconf(Int32(_SC_PAGESIZE))
  }
}
