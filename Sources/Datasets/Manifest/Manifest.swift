// SPDX-License-Identifier: Apache-2.0

/// What a run learns from: every photo with its class, split, contents' hash and size.
///
/// Written once, when the dataset is prepared; everything after it works from the manifest and
/// matches labels by name. A class's index is its place in ``classes``.
package struct Manifest: Sendable, Equatable, Codable {
  /// One photo.
  package struct Record: Sendable, Hashable, Codable {
    /// Below the root.
    package let path: BytePath
    /// The class, by name; of a photo that may have several labels all of them as one text.
    package let className: String
    /// Its labels where a photo may have several, nil where it has one.
    package var labels: LabelSet? = nil
    /// What it is used for.
    package let split: Split
    /// What binds it to other photos; nil for a photo on its own.
    package let group: String?
    /// Hash of its contents, 64 lower-case hexadecimal digits.
    package let sha256: String
    /// Bytes.
    package let size: Int
    /// Last change of its contents, nanoseconds since 1970.
    package let modified: Int
    /// Pixels across, orientation applied.
    package let width: Int
    /// Pixels down, orientation applied.
    package let height: Int
    /// Format by content.
    package let format: String
    /// What is odd about it although it can be used.
    package let warnings: [String]

    /// The classes that it has.
    package var classNames: [String] { labels?.present ?? [className] }

    /// The same photo under another class, where photos have one label.
    package func named(_ className: String) -> Record {
      Record(
        path: path, className: className, labels: nil, split: split, group: group, sha256: sha256,
        size: size, modified: modified, width: width, height: height, format: format,
        warnings: warnings)
    }

    private enum CodingKeys: String, CodingKey {
      case path, split, group, sha256, size, modified, width, height, format, warnings, labels
      case className = "class"
    }
  }

  /// Photos with the same contents.
  package struct DuplicateGroup: Sendable, Hashable, Codable {
    /// What is remarkable about them.
    package enum Kind: String, Sendable, Hashable, Codable {
      /// Twice in one class: counted twice in training.
      case withinClass
      /// In several classes: their labels contradict each other.
      case acrossClasses
      /// In several splits: validation or test photos that were trained on.
      case acrossSplits
    }

    /// Hash of the contents.
    package let sha256: String
    /// What is remarkable about them.
    package let kinds: [Kind]
    /// The files, in byte order.
    package let paths: [BytePath]
  }

  /// Photos that show the same picture.
  package struct NearDuplicateGroup: Sendable, Hashable, Codable {
    /// What is remarkable about them.
    package let kinds: [DuplicateGroup.Kind]
    /// The files, in byte order.
    package let paths: [BytePath]
  }

  /// The version of the format that is written where each photo has one label.
  package static let currentVersion = 1
  /// The version where a photo may have several: a Thaw that knows only the first refuses it.
  package static let severalLabelsVersion = 2

  /// Version of the format.
  package let version: Int
  /// The dataset's folder, absolute.
  package let root: BytePath
  /// How its folders are arranged.
  package let layout: DatasetLayout
  /// Class names; the order is the order of the network's outputs.
  package let classes: [String]
  /// Photos in byte order of the paths.
  package let records: [Record]
  /// Files that were left out.
  package let bad: [BadFile]
  /// What the scan left aside.
  package let notes: [ScanNote]
  /// Photos with the same contents.
  package let duplicates: [DuplicateGroup]
  /// Photos that show the same picture without having the same contents; nil when nobody looked.
  package let nearDuplicates: [NearDuplicateGroup]?
  /// What keeps photos together in a split besides equal contents; nil in files of version 0.1.0.
  package let bonds: [String]?
  /// The seed of the split.
  package let seed: UInt64
  /// The fractions of the split; nil when folders gave all of it.
  package let fractions: SplitFractions?

  /// Whether a photo may have several labels, or none.
  package var severalLabels: Bool { version == Manifest.severalLabelsVersion }

  /// The records of one split, in order.
  package func records(in split: Split) -> [Record] { records.filter { $0.split == split } }

  /// The output index of each class.
  package var classIndices: [String: Int] {
    Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })
  }

  /// Photos of each class in `split`, in the order of ``classes``; one with several labels counts for each.
  package func counts(in split: Split) -> [Int] {
    var counts: [String: Int] = [:]
    for index in records.indices where records[index].split == split {
      if records[index].labels == nil {
        counts[records[index].className, default: 0] += 1
      } else {
        for name in records[index].classNames { counts[name, default: 0] += 1 }
      }
    }
    return classes.map { counts[$0] ?? 0 }
  }
}
