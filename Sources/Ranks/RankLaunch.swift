// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// What a launcher of parallel jobs says in the environment of the processes that it starts.
package struct RankLaunch: Sendable, Equatable {
  /// For messages: `mpirun (Open MPI)`.
  package let launcher: String
  /// Number of this process, 0-based.
  package let rank: Int
  /// Number of processes.
  package let count: Int
  /// The plugin that `THAW_MPI_PLUGIN` names.
  package let plugin: FilePath?
  /// Seconds without a sign of life after which a rank counts as stalled.
  package let stallSeconds: Double

  /// Variables of a launcher: rank, count.
  private static let launchers: [(name: String, rank: String, count: String)] = [
    ("mpirun (Open MPI)", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("mpirun (MVAPICH)", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    ("mpiexec (MPICH)", "PMI_RANK", "PMI_SIZE"),
    // Only set for the tasks of a step: a batch script itself is not a task.
    ("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
  ]

  /// Nil without a launcher, for a lone process, and with `THAW_RANKS=off`.
  ///
  /// - Throws: ``RankError/launch(_:)`` for a value that is none.
  package init?(_ environment: [String: String]) throws(RankError) {
    switch environment["THAW_RANKS"] ?? "" {
    case "off": return nil
    case "", "on": break
    case let other:
      throw .launch("THAW_RANKS is '\(other)', expected 'off' (each process on its own) or 'on'.")
    }
    let found = RankLaunch.launchers.lazy.compactMap { launcher -> (String, Int, Int)? in
      guard let rank = environment[launcher.rank].flatMap({ Int($0) }),
        let count = environment[launcher.count].flatMap({ Int($0) })
      else { return nil }
      return (launcher.name, rank, count)
    }.first
    guard let (name, rank, count) = found, count > 1 else { return nil }
    (launcher, self.rank, self.count) = (name, rank, count)
    plugin = environment["THAW_MPI_PLUGIN"].flatMap { $0.isEmpty ? nil : FilePath($0) }
    guard let text = environment["THAW_STALL_SECONDS"] else {
      stallSeconds = 60
      return
    }
    guard let seconds = Double(text), seconds >= 1, seconds <= 86400 else {
      throw .launch("THAW_STALL_SECONDS is '\(text)', expected 1 to 86400.")
    }
    stallSeconds = seconds
  }
}
