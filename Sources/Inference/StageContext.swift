// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import ThawBackbones
package import ThawConsole
package import ThawExecution
import ThawFiles
package import ThawNetwork
import ThawOneDNN
package import ThawRanks
package import ThawRecipes
import ThawReference
package import ThawTraining

/// What every stage gets besides its own inputs.
package struct StageContext: Sendable {
  /// Progress and remarks.
  package let console: Console
  /// Threads for kernels, and for reading and decoding.
  package let threads: Int
  /// Bytes of memory that are to be had now: what caches go by.
  package let memory: Int
  /// Bytes of memory that there are, whoever has them now, or that the process was given: what decides how
  /// much is trained at a time, which must not change from one moment to the next.
  package let memoryLimit: Int
  /// Cards and weights.
  package let pretrained: PretrainedStore

  /// Which kernels compute.
  package let engine: EngineChoice

  /// The processes that work together on a run, and this one among them.
  package let ranks: RankGroup

  /// Whether the work is to stop: the process was told to, unless whoever started it says otherwise.
  package var isInterrupted: @Sendable () -> Bool = { Interruption.isRequested }

  /// Called after every epoch of a training, with what is trained.
  package var onEpoch: @Sendable (String, EpochRecord) -> Void = { _, _ in }

  /// Which kernels compute.
  package enum EngineChoice: String, Sendable, CaseIterable {
    /// The fast ones; what oneDNN has no kernel for trains on the reference engine.
    case oneDNN = "onednn"
    /// Plain loops and OpenBLAS: slow, the measure of the other.
    case reference
  }

  /// Configures the thread pools of this process for `threads`.
  ///
  /// - Parameters:
  ///   - threads: nil for the number of physical cores, or a rank's share of them.
  ///   - memory: bytes; nil for what the machine has available and the control group allows.
  package init(
    console: Console = Console(), threads: Int? = nil, memory: Int? = nil,
    engine: EngineChoice = .oneDNN, pretrained: PretrainedStore, ranks: RankGroup = .alone
  ) {
    self.memory = min(memory ?? .max, MemoryLimit.available)
    memoryLimit = memory ?? MemoryLimit.total
    self.ranks = ranks
    self.engine = engine
    self.console = console
    self.threads = threads ?? ranks.threads(allowed: ComputeThreads.allowed)
    self.pretrained = pretrained
    ComputeThreads.configure(self.threads)
  }

  /// For reading models and for kernels on one thread: leaves the thread pools of this process, which
  /// somebody else may be using, as they are.
  package init(readingWith console: Console, pretrained: PretrainedStore) {
    engine = .oneDNN
    ranks = .alone
    self.console = console
    threads = 1
    memory = MemoryLimit.available
    memoryLimit = MemoryLimit.total
    self.pretrained = pretrained
  }

  /// In which numbers a recipe's network is computed on this machine.
  package func precision(of recipe: Recipe) -> Precision {
    recipe.precision.decided(hasBFloat16: OneDNNEngine.hasBFloat16)
  }

  /// The same as the chosen engine really computes it.
  package func computedPrecision(of recipe: Recipe) -> Precision {
    compiler.inferenceEngine.computed(precision(of: recipe))
  }

  /// - Throws: ``PipelineError/interrupted`` when the work is to stop.
  package func checkInterruption() throws(PipelineError) {
    if isInterrupted() { throw .interrupted }
  }

  /// Has the ranks of a job share pieces of work: each does its own, then those that nobody has begun. Alone,
  /// this process does them all, in their order.
  ///
  /// - Parameters:
  ///   - count: pieces, the same number on every rank.
  ///   - run: the run directory, where pieces are claimed.
  ///   - mayTakeLong: whether one piece may take any time.
  ///   - body: does one piece, given its index.
  /// - Throws: on all ranks ``PipelineError/interrupted`` when one of them was asked to stop; what `body` throws.
  package func share(
    pieces count: Int, in run: FilePath, mayTakeLong: Bool = false, _ body: (Int) throws -> Void
  ) throws {
    guard ranks.isInJob else { return try (0..<count).forEach(body) }
    let claims = try ranks.claims(in: run)
    try ranks.meet()
    do {
      for piece in PieceClaims.order(pieces: count, rank: ranks.rank, of: ranks.count)
      where try claims.claim(piece) {
        if try ranks.isStopAsked() { throw PipelineError.interrupted }
        try body(piece)
      }
    } catch PipelineError.interrupted {
      try ranks.askToStop()
    }
    let isStopped = try ranks.agreeToStop(isIdle: mayTakeLong)
    if ranks.isLeader { claims.remove() }
    if isStopped { throw PipelineError.interrupted }
  }

  /// Compiles for the chosen engine, in inference and in training.
  package var compiler: Compiler {
    let reference = ReferenceEngine<Float>()
    if engine == .reference { return Compiler(inference: reference, training: reference) }
    var fast = OneDNNEngine(training: reference)
    // Its own number, not the process's: somebody else may have set that since.
    fast.threads = threads
    return Compiler(inference: fast, training: fast)
  }

  /// The same for a whole training, which may take five eighths of ``memoryLimit``: a quarter is for photos,
  /// and an eighth for everything else.
  package var trainingCompiler: Compiler {
    guard var fast = compiler.trainingEngine as? OneDNNEngine else { return compiler }
    fast.memory = memoryLimit / 8 * 5
    return Compiler(inference: fast, training: fast)
  }
}
