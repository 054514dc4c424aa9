// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import ThawFiles

extension FolderScanner {
  /// Everything below `root`, a folder or an archive, that should be a photo, whatever folders it lies in: photos
  /// without labels.
  ///
  /// - Parameter output: where results will be written; refused inside the folder.
  /// - Throws: ``DatasetError``.
  package static func unlabelled(
    _ root: FilePath, output: FilePath? = nil
  ) throws(DatasetError) -> FolderScan {
    try check(root, output)
    let status: FileStatus
    do throws(FileError) { status = try PhotoFiles.status(of: root) } catch {
      throw .notAFolder(root, error.reason)
    }
    var walker = FolderWalker(root: root)
    let files = walker.photos(below: BytePath(bytes: []), status).map { path, status in
      ScannedFile(path: path, className: "", split: nil, status: status)
    }
    if let exhaustion = walker.exhaustion { throw .system(exhaustion) }
    return FolderScan(
      root: root, layout: .classes, classes: [], files: files.sorted { $0.path < $1.path },
      bad: walker.bad.sorted { $0.path < $1.path }, notes: walker.notes.all)
  }
}

extension Manifest {
  /// The photos of this manifest as a scan, so that what was found out when they were verified can be looked
  /// up.
  ///
  /// - Throws: `FileError` for a photo that is not there any more.
  package func scanned() throws(FileError) -> FolderScan {
    var files: [ScannedFile] = []
    for record in records {
      let status = try PhotoFiles.status(of: record.path.resolved(in: root.filePath))
      files.append(
        ScannedFile(
          path: record.path, className: record.className, split: record.split, status: status))
    }
    return FolderScan(
      root: root.filePath, layout: layout, classes: classes, files: files, bad: [], notes: [])
  }
}

extension VerifiedFile {
  /// A record of a photo that no manifest has, such as one without a label, for the cache of features.
  package var unlabelledRecord: Manifest.Record {
    Manifest.Record(
      path: file.path, className: "", split: .train, group: nil, sha256: sha256,
      size: file.status.size, modified: file.status.modified, width: image.width,
      height: image.height, format: image.format, warnings: image.warnings)
  }
}
