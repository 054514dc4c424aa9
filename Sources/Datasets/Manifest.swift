// SPDX-License-Identifier: Apache-2.0

/// What a run learns from: every photo with its class, split, contents' hash and size.
///
/// Written once, when the dataset is prepared; everything after it works from the manifest and
/// matches labels by name. A class's index is its place in ``classes``.
public struct Manifest: Sendable, Equatable, Codable {
  /// One photo.
  public struct Record: Sendable, Hashable, Codable {
    /// Below the root.
    public let path: BytePath
    /// The class, by name.
    public let className: String
    /// What it is used for.
    public let split: Split
    /// Hash of its contents, 64 lower-case hexadecimal digits.
    public let sha256: String
    /// Bytes.
    public let size: Int
    /// Last change of its contents, nanoseconds since 1970.
    public let modified: Int
    /// Pixels across, orientation applied.
    public let width: Int
    /// Pixels down, orientation applied.
    public let height: Int
    /// Format by content.
    public let format: String
    /// What is odd about it although it can be used.
    public let warnings: [String]

    private enum CodingKeys: String, CodingKey {
      case path, split, sha256, size, modified, width, height, format, warnings
      case className = "class"
    }
  }

  /// Photos with the same contents.
  public struct DuplicateGroup: Sendable, Hashable, Codable {
    /// What is remarkable about them.
    public enum Kind: String, Sendable, Hashable, Codable {
      /// Twice in one class: counted twice in training.
      case withinClass
      /// In several classes: their labels contradict each other.
      case acrossClasses
      /// In several splits: validation or test photos that were trained on.
      case acrossSplits
    }

    /// Hash of the contents.
    public let sha256: String
    /// What is remarkable about them.
    public let kinds: [Kind]
    /// The files, in byte order.
    public let paths: [BytePath]
  }

  /// The version of the format that is written.
  public static let currentVersion = 1

  /// Version of the format.
  public let version: Int
  /// The dataset's folder, absolute.
  public let root: BytePath
  /// How its folders are arranged.
  public let layout: DatasetLayout
  /// Class names; the order is the order of the network's outputs.
  public let classes: [String]
  /// Photos in byte order of the paths.
  public let records: [Record]
  /// Files that were left out.
  public let bad: [BadFile]
  /// What the scan left aside.
  public let notes: [ScanNote]
  /// Photos with the same contents.
  public let duplicates: [DuplicateGroup]
  /// The seed of the split.
  public let seed: UInt64
  /// The fractions of the split; nil when folders gave all of it.
  public let fractions: SplitFractions?

  /// The records of one split, in order.
  public func records(in split: Split) -> [Record] { records.filter { $0.split == split } }

  /// The output index of each class.
  public var classIndices: [String: Int] {
    Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })
  }

  /// Photos of each class in `split`, in the order of ``classes``.
  public func counts(in split: Split) -> [Int] {
    var counts: [String: Int] = [:]
    for record in records where record.split == split { counts[record.className, default: 0] += 1 }
    return classes.map { counts[$0] ?? 0 }
  }
}
