// SPDX-License-Identifier: Apache-2.0

public import Logging
public import SystemPackage
import ThawImages
import ThawInference
import ThawOneDNN

extension ImageClassifier {
  /// How a classifier works; the defaults suit a server that has the machine to itself.
  ///
  /// None of it changes an answer, except ``views`` and, for a checkpoint trained elsewhere,
  /// ``card`` and ``classNames``.
  public struct Configuration: Sendable {
    /// Threads that compute, at least 1; by default one a physical core this process may use.
    ///
    /// Each decodes and computes its photos alone and has its own working memory; while others have nothing
    /// to do, they help to compute.
    public var workers: Int
    /// How many photos may wait before ``ImageClassifierError/overloaded(waiting:capacity:)`` is
    /// thrown, at least 1. Photos under way do not count, nor do those of a
    /// ``ClassificationSequence``, which waits instead.
    public var capacity = 256
    /// The largest number of waiting photos that a worker takes at once, at least 1. More read the
    /// weights of dense layers less often; fewer answer sooner.
    public var maximumBatch = 8
    /// How long a photo may wait for others to be computed with when fewer than ``maximumBatch`` are there;
    /// by default not at all: what waits anyway, because all workers are busy, is taken together.
    public var batchDelay = Duration.zero
    /// Photos with more pixels (width times height, by their header) are refused before memory is taken
    /// for them; at least 1.
    public var maximumPixels = DecodeOptions.defaultMaximumPixels
    /// Which looks at a photo become one answer.
    public var views = Views.center
    /// For a checkpoint trained elsewhere: the card whose architecture and preprocessing it has; nil
    /// to recognise it by its tensors.
    public var card: String?
    /// For a checkpoint trained elsewhere: a file with its class names, one a line, in the order of
    /// its outputs.
    public var classNames: FilePath?
    /// The folder of cards; nil to look where the `thaw` command looks. Model files need none.
    public var pretrained: FilePath?
    /// Is told what was taken for granted about a model (info) and what deserves a look (warning).
    public var logger: Logger

    /// The defaults: a worker a core, 256 photos waiting, the logger labelled `thaw`.
    public init() {
      workers = ComputeThreads.allowed
      logger = Logger(label: "thaw")
    }

    func check() {
      precondition(workers >= 1, "A classifier needs at least 1 worker, not \(workers).")
      precondition(capacity >= 1, "At least 1 photo must be allowed to wait, not \(capacity).")
      precondition(maximumBatch >= 1, "A worker takes at least 1 photo, not \(maximumBatch).")
      precondition(maximumPixels >= 1, "A photo has at least 1 pixel, not \(maximumPixels).")
      precondition(batchDelay >= .zero, "A photo waits for no time or some, not \(batchDelay).")
    }
  }
}
