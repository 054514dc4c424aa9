// SPDX-License-Identifier: Apache-2.0

/// What the leader tells the other ranks to do.
package enum RankOrder: Codable, Sendable, Equatable {
  /// Go through a job with the leader.
  case work(RankJob)
  /// End with this exit code.
  case leave(Int32)
}

/// Work that all ranks do together, described so that each can begin it from the run directory.
package struct RankJob: Codable, Sendable, Equatable {
  /// Which work.
  package enum Kind: String, Codable, Sendable {
    /// Features of the frozen layers.
    case cache
    /// The head's training.
    case train
    /// Fine-tuning.
    case fineTune
    /// A model judged on photos of the run.
    case evaluate
    /// Photos checked, before there is a run.
    case verify
    /// Heads tried for a search.
    case search
    /// Pretrained networks compared, before a search.
    case compareBackbones
    /// Batch norms diagnosed.
    case diagnoseBatchNorm

    /// Whether ranks that are asked to stop do so at the same place. Where they do not, one that stops ends the
    /// job; nothing is kept of it.
    package var stopsTogether: Bool { self != .diagnoseBatchNorm }
  }
  /// Which work.
  package let kind: Kind
  /// The run directory, absolute.
  package let run: String
  /// The recipe in force, which need not be the one that is written down.
  package let recipe: String
  /// Compute threads of each rank.
  package let threads: Int
  /// Name of the kernels that compute.
  package let engine: String
  /// Folder of the cards, where rank 0 was told one.
  package let pretrained: String?
  /// What it is about: the split and the model file that are judged, the folder of the photos that are checked, the
  /// folds of a search, the networks that are compared, the options of a diagnosis.
  package var subject: [String]

  /// Describes a job.
  package init(
    kind: Kind, run: String, recipe: String, threads: Int, engine: String, pretrained: String?,
    subject: [String] = []
  ) {
    self.kind = kind
    self.run = run
    self.recipe = recipe
    self.threads = threads
    self.engine = engine
    self.pretrained = pretrained
    self.subject = subject
  }
}
