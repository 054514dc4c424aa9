// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
package import ThawBackbones
import ThawConsole
import ThawFiles
import ThawInference
package import ThawRanks
import ThawRuns
import ThawSearch

/// A rank that follows: goes through the jobs that rank 0 begins, until it is sent home. It prints nothing
/// but an error that is its own; what it would say is in `RUN/ranks/N.log`.
package struct Follower {
  private let ranks: RankGroup
  private let store: () throws -> PretrainedStore

  /// - Parameter store: makes the folder of cards, when it is first needed.
  package init(_ ranks: RankGroup, store: @escaping () throws -> PretrainedStore) {
    (self.ranks, self.store) = (ranks, store)
  }

  /// Follows to the end and returns the exit code. An error of this rank alone ends all ranks.
  package func follow() -> Int32 {
    var code: Int32 = 70
    do {
      while true {
        switch try ranks.nextOrder() {
        case .leave(let last): return last
        case .work(let job):
          do { try work(job) } catch  where OpenRun.isShared(error, in: job.kind) {
            // Rank 0 says it.
          }
          ranks.endJob()
        }
      }
    } catch {
      code = exitCode(of: error)
      OutputSink.standardError.write(message: "\(ranks.name): \(error)", label: "error: ")
    }
    ranks.abort(code)
    return code
  }

  private func work(_ job: RankJob) throws {
    if let cards = job.pretrained { setenv("THAW_PRETRAINED", cards, 0) }
    let folder = RankGroup.folder(of: FilePath(job.run))
    try FileSystem.createDirectory(folder)
    let log = try RankLog(folder.appending("\(ranks.rank).log"))
    let console = Console(sink: log.sink)
    console.say("\(ranks.name), process \(getpid()): \(job.kind.rawValue)")
    let context = StageContext(
      console: console, threads: job.threads,
      engine: StageContext.EngineChoice(rawValue: job.engine) ?? .oneDNN, pretrained: try store(),
      ranks: ranks)
    do { try work(job, context) } catch {
      console.say("\(error)")
      throw error
    }
  }

  private func work(_ job: RankJob, _ context: StageContext) throws {
    // Before there is a run to open.
    if job.kind == .verify { return try PrepareStage(following: job, context: context).follow(job) }
    let run = try OpenRun(following: job, context: context)
    switch job.kind {
    case .cache: _ = try CacheStage(run).fill()
    case .train: try TrainStage(run).follow()
    case .fineTune: try FineTuneStage(run).follow()
    case .evaluate: try EvaluateStage(context: context).follow(job, in: run)
    case .search: try SearchStage.follow(job, in: run)
    case .compareBackbones: try BackboneComparison.follow(job, in: run)
    case .diagnoseBatchNorm: try DiagnoseBatchNormStage(context: context).follow(job, in: run)
    case .verify: break
    }
  }
}

/// A file that lines are added to; the last of several jobs come last.
private final class RankLog: Sendable {
  private let file: OpenFile

  init(_ path: FilePath) throws(FileError) {
    file = try OpenFile(path, O_WRONLY | O_CREAT | O_APPEND, "open")
  }

  deinit { file.closeIgnoringErrors() }

  /// Keeps the file open. A full disk must not end the work.
  var sink: OutputSink {
    OutputSink(isTerminal: false) { [self] text in
      try? Array(text.utf8).withUnsafeBytes { try file.write($0) }
    }
  }
}
