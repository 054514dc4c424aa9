// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawExecution

/// Thaw's side of the benchmarks: one workload a sub-command, alone or driven by `driver.py`.
@main
struct ThawBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "thaw-bench",
    abstract: "Measures Thaw: by itself, or as one contender of Benchmarks/driver.py.",
    subcommands: [
      Features.self, JPEGFiles.self, Cold.self, Decoding.self, HeadTraining.self,
      TrainingSteps.self,
      MakePhotos.self,
      Profile.self, NearDuplicatePhotos.self, CardSpeeds.self, SearchSamplers.self,
      Version.self,
    ])
}

/// Names the kernels that are measured.
struct Version: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Print the versions of the kernels.")

  func run() { print(BenchmarkNetwork.engine.name) }
}
