// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawFiles

/// Finds the photos of a dataset: one folder per class, with or without split folders above.
///
/// Which layout it is, by these rules. Let a *split folder* be a folder directly in the root that holds
/// folders and is named as one: `train`, `val`, `dev`, `Testing`, `training_set`, or with more words
/// that all of them share (`seg_train` and `seg_test`, `train2017` and `val2017`).
/// 1. No split folder: every folder in the root is a class (also one that is named `train`, for
///    instance beside `bus` and `car`).
/// 2. Split folders and no other folder with photos: the folders in the split folders are classes.
///    A folder named as a split that holds no folders, or as photos to be labelled (`seg_pred`), has
///    photos without labels and is noted.
/// 3. Only a training folder, beside other folders with photos: every folder is a class.
/// 4. Several split folders beside other folders with photos: refused, unless the layout is given.
///
/// One folder around all others is entered first (`dataset/photos/{ant,bee}`), and so is one of the same
/// name inside a split folder (`seg_train/seg_train`). Where all classes hold the same folders, and
/// photos only in those, they are refused as classes unless the layout is given.
///
/// A zip or tar archive is read like the folder that it was made of.
///
/// Everything below a class folder, however deep, belongs to the class. A class is named by its
/// folder's displayed text without the blanks around it. Hidden and system files, other files,
/// special files and link loops are noted, never taken for photos or classes; ``FolderWalker`` has
/// the rules for links.
package enum FolderScanner {
  /// What to accept.
  package struct Options: Sendable {
    /// The layout, when the rules should not decide.
    package var layout: DatasetLayout?
    /// Whether split folders without a training folder are refused. Set it to false to evaluate.
    package var requiresTraining = true
    /// Whether fewer than two classes, and classes without photos, are refused.
    package var requiresAllClasses = true
    /// Where results will be written; refused inside the dataset.
    package var output: FilePath?

    /// The defaults: decide by the rules, refuse what cannot be trained on.
    package init() {}
  }

  /// Looks through `root` without opening photos.
  ///
  /// - Throws: ``DatasetError``.
  package static func scan(
    _ root: FilePath, options: Options = Options()
  ) throws(DatasetError) -> FolderScan {
    try check(root, options.output)
    var session = ScanSession(root: root, options: options)
    return try session.run()
  }

  static func check(_ root: FilePath, _ output: FilePath?) throws(DatasetError) {
    let status: FileStatus
    do throws(FileError) { status = try PhotoFiles.status(of: root) } catch {
      throw .notAFolder(root, error.reason)
    }
    switch status.kind {
    case .directory: break
    // What is wrong with an archive is said before anything is read.
    case .regular where PhotoFiles.isArchive(root): _ = try PhotoArchive.at(root)
    default: throw .notAFolder(root, nil)
    }
    guard let output, let inside = root.canonical else { return }
    var existing = output
    while !FileSystem.exists(existing), !existing.removingLastComponent().isEmpty {
      existing = existing.removingLastComponent()
    }
    if !FileSystem.exists(existing) { existing = "." }
    if let place = existing.canonical, place.starts(with: inside) {
      throw .outputInDataset(root: root, output: output)
    }
  }
}
