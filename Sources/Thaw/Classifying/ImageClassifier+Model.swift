// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawFiles
import ThawInference

extension ImageClassifier {
  /// What a model's file says about it, besides its classes.
  public struct Model: Sendable, Hashable {
    /// The network's name, such as `efficientnet_lite0`.
    public let architecture: String
    /// The version of Thaw that wrote the file.
    public let thawVersion: String
    /// Whether a photo may have several labels, or none.
    public let allowsSeveralLabels: Bool
    /// Whether its probabilities were calibrated on validation photos.
    public let isCalibrated: Bool
    /// Whether it tells photos that are unlike its training photos, see ``Classification/likeness``.
    public let knowsLikeness: Bool
    /// Whether ``Classification/set(coverage:)`` has an answer.
    public let hasSets: Bool
    /// Whether it gives one label a photo and classes have thresholds, so that the most probable class need not
    /// be the answer, and a photo may be undecided: ``Classification/isUndecided``.
    public let hasThresholds: Bool
    /// The SHA-256 of the model's file, as lower-case hexadecimal digits; nil for a folder, and for a card by
    /// its name.
    public let fileHash: String?

    init(_ network: ClassifierNetwork, _ path: FilePath) {
      architecture = network.record.architecture
      thawVersion = network.record.thawVersion
      allowsSeveralLabels = network.record.outputActivation.allowsSeveralLabels
      isCalibrated = network.calibration != nil
      knowsLikeness = network.unknown != nil
      hasSets = network.calibration != nil && !allowsSeveralLabels
      hasThresholds = network.thresholds.decides
      fileHash = (try? Self.hash(of: path)) ?? nil
    }

    private static func hash(of path: FilePath) throws -> String? {
      guard try FileStatus(of: path).kind == .regular else { return nil }
      let file = try FileDescriptor.open(path, .readOnly)
      var hash = SHA256()
      try file.closeAfter {
        var piece = [UInt8](repeating: 0, count: 1 << 20)
        while true {
          let count = try piece.withUnsafeMutableBytes { try file.read(into: $0) }
          if count == 0 { break }
          piece.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
      }
      return hash.hexadecimalDigest
    }
  }

  /// How much a classifier has done since it was made, and how much is to do.
  public struct Statistics: Sendable, Hashable {
    /// Photos that workers took, usable or not.
    public internal(set) var photos = 0
    /// How many batches those were.
    public internal(set) var batches = 0
    /// The time that workers spent on them, all workers together.
    public internal(set) var busy = Duration.zero
    /// Photos that wait.
    public internal(set) var waiting = 0
  }

  /// What it has done so far; explanations are not counted.
  public var statistics: Statistics { pool.statistics }
}
