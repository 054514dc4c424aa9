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

  /// Which kernels compute.
  public let engine: EngineChoice

  /// Which kernels compute.
  public enum EngineChoice: String, Sendable, CaseIterable {
    /// The fast ones; what oneDNN has no kernel for trains on the reference engine.
    case oneDNN = "onednn"
    /// Plain loops and OpenBLAS: slow, the measure of the other.
    case reference
  }

  /// Configures the thread pools of this process for `threads`.
  ///
  /// - Parameter threads: nil for the number of physical cores.
  public init(
    console: Console = Console(), threads: Int? = nil, engine: EngineChoice = .oneDNN,
    pretrained: PretrainedStore
  ) {
    self.engine = engine
    self.console = console
    self.threads = threads ?? ComputeThreads.physicalCores
    self.pretrained = pretrained
    ComputeThreads.configure(self.threads)
  }

  /// Compiles for the chosen engine, in inference and in training.
  public var compiler: Compiler {
    let reference = ReferenceEngine<Float>()
    let chosen: any Engine =
      engine == .reference ? reference : OneDNNEngine(training: reference)
    return Compiler(inference: chosen, training: chosen)
  }
}
