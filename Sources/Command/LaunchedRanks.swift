// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import ThawBackbones
import ThawConsole
import ThawFollowers
import ThawRanks
import ThawRuns

/// This process as one of several that a launcher of parallel jobs started.
enum LaunchedRanks {
  /// Joins the others. Returns on rank 0 and without a launcher; the other ranks work here until they are
  /// sent home.
  static func join() throws {
    guard let launch = try RankLaunch(ProcessInfo.processInfo.environment) else { return }
    let ranks: RankGroup
    do { ranks = try RankGroup.join(launch, version: thawVersion) } catch {
      if launch.rank == 0 { throw error }
      // Rank 0 says it; launchers end all processes when the first one ends.
      sleep(2)
      exit(exitCode(of: error))
    }
    guard !ranks.isLeader else { return }
    let code = Follower(ranks, store: { try PretrainedStore.locate() }).follow()
    ranks.leave(code)
    exit(code)
  }

  /// Refuses, on several ranks, what only one of them would do.
  static func requireSpreading(_ command: any ParsableCommand) throws {
    let ranks = RankGroup.current
    guard ranks.hasOthers else { return }
    switch command {
    case is Fit, is Prepare, is Cache, is Train, is FineTune, is SearchCommand: return
    case let evaluate as Evaluate where evaluate.isOfRun: return
    case let diagnosis as DiagnoseBatchNorm where diagnosis.subject.model == nil: return
    // Asked for by --help; the parser's own.
    case let command where "\(type(of: command))" == "HelpCommand": return
    default:
      throw RankError.launch(
        "this command does not spread over \(ranks.count) ranks: fit, prepare, cache, train, fine-tune, search,"
          + " evaluate --run and diagnose batchnorm --run do."
          + " Start it without the launcher.")
    }
  }
}
