// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawNetwork
import ThawOneDNN

extension Precision: ExpressibleByArgument {}

/// The options of all workloads; `driver.py` gives the same ones to every contender.
struct WorkloadOptions: ParsableArguments {
  @Option(help: "Folder with weights and pixels; without it they are made up.")
  var work: String?

  @Option(help: "Folder of JPEG files.")
  var photos: String?

  @Option(help: "Architecture.")
  var network = "efficientnet_lite0"

  @Option(help: "What trains: frozen-bn, training-bn, late or head.")
  var variant = "frozen-bn"

  @Option(help: "Numbers of inference: float32, bfloat16 or int8.")
  var precision = Precision.float32

  @Option(help: "Compute threads.")
  var threads = 2

  @Option(help: "Images a batch.")
  var batch = 32

  @Option(help: "Images a round.")
  var images = 128

  @Option(help: "Rounds when run alone.")
  var rounds = 7

  @Flag(help: "Answer commands on standard input instead of running alone.")
  var serve = false

  func validate() throws {
    guard threads > 0, batch > 0, images >= batch, rounds > 0 else {
      throw ValidationError("Threads, batch and rounds start at 1; a round has at least one batch.")
    }
  }

  /// Sets the thread pools, makes the workload and measures it.
  func measure(_ name: String, _ make: () throws -> any Workload) throws {
    ComputeThreads.configure(threads)
    let session = Session(workload: try make())
    if serve { try session.serve() } else { try session.runAlone(name: name, rounds: rounds) }
  }
}
