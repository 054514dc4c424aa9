// SPDX-License-Identifier: Apache-2.0

public import Backbones
public import Execution

/// What every stage gets besides its own inputs.
public struct StageContext: Sendable {
  /// Progress and remarks.
  public let console: Console
  /// Threads for kernels, and for reading and decoding.
  public let threads: Int
  /// Cards and weights.
  public let pretrained: PretrainedStore

  /// Configures the thread pools of this process for `threads`.
  ///
  /// - Parameter threads: nil for the number of physical cores.
  public init(console: Console = Console(), threads: Int? = nil, pretrained: PretrainedStore) {
    self.console = console
    self.threads = threads ?? ComputeThreads.physicalCores
    self.pretrained = pretrained
    ComputeThreads.configure(self.threads)
  }

  /// Runs and trains on oneDNN; what it has no kernel for trains on OpenBLAS.
  public var compiler: Compiler {
    let engine = OneDNNEngine(training: ReferenceEngine<Float>())
    return Compiler(inference: engine, training: engine)
  }
}
