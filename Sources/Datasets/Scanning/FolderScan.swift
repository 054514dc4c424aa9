// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import ThawFiles

/// How a dataset's folders are arranged.
package enum DatasetLayout: String, Sendable, Hashable, Codable {
  /// `ROOT/CLASS/...`
  case classes
  /// `ROOT/{train,valid,test}/CLASS/...`
  case splits
}

/// A file that should be a photo, not opened yet.
package struct ScannedFile: Sendable, Hashable {
  /// Below the root.
  package let path: BytePath
  /// The class its folder stands for; of a photo that may have several labels all of them as one text.
  package let className: String
  /// The split its folder stands for; nil when the dataset has no split folders.
  package let split: Split?
  /// Size, time and identity when it was scanned.
  package let status: FileStatus
  /// What binds it to other photos; nil for a photo on its own.
  package let group: String?
  /// How many folders lie above the photos of its class, the class's own included; nil where a table
  /// gives the label.
  let classDepth: Int?
  /// Its labels where a photo may have several; nil where it has one.
  package let labels: LabelSet?

  init(
    path: BytePath, className: String, split: Split?, status: FileStatus, group: String? = nil,
    classDepth: Int? = nil, labels: LabelSet? = nil
  ) {
    self.labels = labels
    self.path = path
    self.className = className
    self.split = split
    self.status = status
    self.group = group
    self.classDepth = classDepth
  }

  /// The same file in another group.
  func inGroup(_ group: String?) -> ScannedFile {
    ScannedFile(
      path: path, className: className, split: split, status: status, group: group,
      classDepth: classDepth, labels: labels)
  }

  /// The same file under another class.
  func named(_ className: String) -> ScannedFile {
    ScannedFile(
      path: path, className: className, split: split, status: status, group: group,
      classDepth: classDepth, labels: labels)
  }

  /// The classes that it has.
  package var classNames: [String] { labels?.present ?? [className] }
}

/// What ``FolderScanner`` found.
package struct FolderScan: Sendable {
  /// The dataset's folder, as given.
  package let root: FilePath
  /// How its folders are arranged.
  package let layout: DatasetLayout
  /// Class names in byte order.
  package let classes: [String]
  /// Everything that should be a photo, in byte order of the paths.
  package let files: [ScannedFile]
  /// Files and folders that could not even be looked at.
  package let bad: [BadFile]
  /// The classes of those, as far as folders or a table say them.
  package var classesOfBad: [BytePath: String] = [:]
  /// What was left aside.
  package internal(set) var notes: [ScanNote]
  /// What was assumed about the labels, for people.
  package var remarks: [String] = []
  /// What may be wrong with the labels, for people.
  package var warnings: [String] = []

  /// The classes that a table has a column for, 0 or 1; nil where labels are names.
  package var columnClasses: [String]?

  /// Whether a photo may have several labels.
  package var severalLabels: Bool { files.contains { $0.labels != nil } }
}
