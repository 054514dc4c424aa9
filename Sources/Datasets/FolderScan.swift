// SPDX-License-Identifier: Apache-2.0

public import Files
public import SystemPackage

/// How a dataset's folders are arranged.
public enum DatasetLayout: String, Sendable, Hashable, Codable {
  /// `ROOT/CLASS/...`
  case classes
  /// `ROOT/{train,valid,test}/CLASS/...`
  case splits
}

/// A file that should be a photo, not opened yet.
public struct ScannedFile: Sendable, Hashable {
  /// Below the root.
  public let path: BytePath
  /// The class its folder stands for.
  public let className: String
  /// The split its folder stands for; nil when the dataset has no split folders.
  public let split: Split?
  /// Size, time and identity when it was scanned.
  public let status: FileStatus
}

/// What ``FolderScanner`` found.
public struct FolderScan: Sendable {
  /// The dataset's folder, as given.
  public let root: FilePath
  /// How its folders are arranged.
  public let layout: DatasetLayout
  /// Class names in byte order.
  public let classes: [String]
  /// Everything that should be a photo, in byte order of the paths.
  public let files: [ScannedFile]
  /// Files and folders that could not even be looked at.
  public let bad: [BadFile]
  /// What was left aside.
  public let notes: [ScanNote]
}
