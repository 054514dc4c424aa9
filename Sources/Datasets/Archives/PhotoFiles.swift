// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage
package import ThawFiles

/// Files and folders of photos by their paths, which may lead into an archive: `photos.zip/ant/1.jpg` is
/// what lies in `photos.zip` under `ant/1.jpg`.
///
/// The file system is asked first, and answers that a component is no folder; only then is an archive
/// looked for. So photos in folders cost nothing more.
package enum PhotoFiles {
  /// What a folder or an archive is called: its last component, an archive's without its ending.
  static func name(of path: FilePath) -> String {
    let name = VisibleText.escape(fileName: BytePath(path).lastComponent)
    let ending = [".tar.gz", ".tgz", ".tar", ".zip"].first { name.lowercased().hasSuffix($0) }
    return String(name.dropLast(ending?.count ?? 0))
  }

  /// The whole of a file.
  ///
  /// - Throws: `FileError`, as `FileSystem.read`.
  package static func read(_ path: FilePath, limit: Int = .max) throws(FileError) -> [UInt8] {
    do throws(FileError) { return try FileSystem.read(path, limit: limit) } catch {
      let (archive, inner) = try place(of: path, error)
      return try archive.read(inner, path, limit: limit)
    }
  }

  /// The first bytes of a file, as many as there are up to `count`.
  package static func start(of path: FilePath, count: Int) throws(FileError) -> [UInt8] {
    do throws(FileError) {
      let file = try OpenFile(path, O_RDONLY | O_NONBLOCK, "open")
      defer { file.closeIgnoringErrors() }
      var start = [UInt8](repeating: 0, count: count)
      var (found, failure): (Int, FileError?) = (0, nil)
      start.withUnsafeMutableBytes { buffer in
        do throws(FileError) { found = try file.read(into: buffer) } catch { failure = error }
      }
      if let failure { throw failure }
      return Array(start.prefix(found))
    } catch {
      let (archive, inner) = try place(of: path, error)
      return try archive.start(of: inner, path, count: count)
    }
  }

  /// The names in a folder or an archive, in byte order.
  package static func list(_ folder: FilePath) throws(FileError) -> [FilePath.Component] {
    do throws(FileError) { return try FileSystem.list(folder) } catch {
      let (archive, inner) = try place(of: folder, error)
      return try archive.list(inner, folder)
    }
  }

  /// Kind, size and identity. An archive itself is a file.
  package static func status(
    of path: FilePath, followingLinks follow: Bool = true
  ) throws(FileError) -> FileStatus {
    do throws(FileError) {
      return try FileStatus(of: path, followingLinks: follow)
    } catch {
      let (archive, inner) = try place(of: path, error)
      return try archive.status(of: inner, path)
    }
  }

  /// Whether something is at `path`.
  package static func exists(_ path: FilePath) -> Bool { (try? status(of: path)) != nil }

  /// Whether `path` is a file that holds others: a zip or tar archive, compressed or not, by its first bytes.
  package static func isArchive(_ path: FilePath) -> Bool {
    guard (try? FileStatus(of: path))?.kind == .regular,
      let start = try? PhotoFiles.start(of: path, count: 512)
    else { return false }
    return ArchiveKind(start) != nil
  }

  /// The archive that the path leads into, and where in it; `error` again where there is none.
  private static func place(
    of path: FilePath, _ error: FileError
  ) throws(FileError) -> (PhotoArchive, BytePath) {
    guard error.reason == .system(ENOTDIR) else { throw error }
    var (outer, inner) = (path, [[UInt8]]())
    while true {
      if let status = try? FileStatus(of: outer) {
        guard status.kind == .regular else { throw error }
        let archive: PhotoArchive
        do throws(DatasetError) { archive = try PhotoArchive.at(outer) } catch {
          throw FileError(path, "open", .unreadable(error.archiveProblem))
        }
        return (archive, BytePath(bytes: Array(inner.reversed().joined(separator: [0x2F]))))
      }
      let above = outer.removingLastComponent()
      guard above != outer, !above.isEmpty else { throw error }
      inner.append(BytePath(outer).lastComponent)
      outer = above
    }
  }
}

extension DatasetError {
  /// What is wrong with an archive, without its path.
  fileprivate var archiveProblem: String {
    if case .badArchive(_, let problem) = self { problem } else { description }
  }
}
