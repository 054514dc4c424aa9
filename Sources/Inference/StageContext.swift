// SPDX-License-Identifier: Apache-2.0

package import ThawBackbones
package import ThawConsole
package import ThawExecution
import ThawOneDNN
import ThawReference

/// What every stage gets besides its own inputs.
package struct StageContext: Sendable {
  /// Progress and remarks.
  package let console: Console
  /// Threads for kernels, and for reading and decoding.
  package let threads: Int
  /// Cards and weights.
  package let pretrained: PretrainedStore

  /// Which kernels compute.
  package let engine: EngineChoice

  /// Which kernels compute.
  package enum EngineChoice: String, Sendable, CaseIterable {
    /// The fast ones; what oneDNN has no kernel for trains on the reference engine.
    case oneDNN = "onednn"
    /// Plain loops and OpenBLAS: slow, the measure of the other.
    case reference
  }

  /// Configures the thread pools of this process for `threads`.
  ///
  /// - Parameter threads: nil for the number of physical cores.
  package init(
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
  package var compiler: Compiler {
    let reference = ReferenceEngine<Float>()
    let chosen: any Engine =
      engine == .reference ? reference : OneDNNEngine(training: reference)
    return Compiler(inference: chosen, training: chosen)
  }
}
