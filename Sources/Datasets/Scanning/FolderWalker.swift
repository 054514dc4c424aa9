// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage
import ThawFiles
import ThawImages

/// What two names of one folder share.
struct FileIdentity: Hashable {
  let device: UInt64
  let inode: UInt64

  init(_ status: FileStatus) {
    device = status.device
    inode = status.inode
  }
}

/// Collects the files below folders of a dataset and notes what it leaves aside.
///
/// Links to files and folders are followed, also out of the root (noted). A folder is entered once
/// per class, under its real name if it has one there; a link to the root, to a folder above it, or
/// to another class or split folder is noted and not entered, so every walk ends. The root may be an
/// archive (``PhotoFiles``).
struct FolderWalker {
  enum Entry {
    case folder(BytePath, FileStatus, isLink: Bool)
    case file(BytePath, FileStatus)
  }

  let root: FilePath
  private(set) var notes = NoteCounter()
  private(set) var bad: [BadFile] = []
  /// The machine ran out of descriptors or memory: what was found is not all there is.
  private(set) var exhaustion: FileError?
  private var barriers: Set<FileIdentity> = []
  private let canonicalRoot: FilePath
  /// Files that are known, and neither photos nor to be noted.
  private var known: Set<FileIdentity> = []

  init(root: FilePath) {
    self.root = root
    canonicalRoot = root.canonical ?? root
    var above = canonicalRoot
    while true {
      if let status = try? FileStatus(of: above) { barriers.insert(FileIdentity(status)) }
      let parent = above.removingLastComponent()
      if parent == above || parent.isEmpty { break }
      above = parent
    }
  }

  /// Keeps walks from entering this folder through a link.
  mutating func protect(_ status: FileStatus) { barriers.insert(FileIdentity(status)) }

  /// Neither takes `file` for a photo nor notes it: the table of labels.
  mutating func passOver(_ file: FilePath) {
    if let status = try? PhotoFiles.status(of: file) { known.insert(FileIdentity(status)) }
  }

  mutating func note(_ kind: ScanNote.Kind, _ path: BytePath) { notes.add(kind, path) }

  /// The files and folders directly in `folder`, hidden and special ones noted and left out.
  mutating func entries(of folder: BytePath) throws(FileError) -> [Entry] {
    var result: [Entry] = []
    for name in try PhotoFiles.list(folder.resolved(in: root)) {
      let path = folder.appending(name)
      if FileNames.isIgnored(path.lastComponent) {
        notes.add(.ignored, path)
      } else if let entry = entry(path) {
        result.append(entry)
      }
    }
    return result
  }

  /// Every file below `folder` that should be a photo.
  mutating func photos(below folder: BytePath, _ status: FileStatus) -> [(BytePath, FileStatus)] {
    var found: [(BytePath, FileStatus)] = []
    var seen: Set = [FileIdentity(status)]
    var folders = [folder]
    var links: [(BytePath, FileStatus)] = []
    while true {
      while let next = folders.popLast() {
        for entry in readable(next) {
          switch entry {
          case .file(_, let status) where known.contains(FileIdentity(status)): break
          case .file(let path, let status): if isPhoto(path) { found.append((path, status)) }
          case .folder(let path, let status, true): links.append((path, status))
          case .folder(let path, let status, false):
            if seen.insert(FileIdentity(status)).inserted {
              folders.append(path)
            } else {
              notes.add(.linkLoop, path)
            }
          }
        }
      }
      guard let (path, status) = links.popLast() else { return found }
      let identity = FileIdentity(status)
      if barriers.contains(identity) || !seen.insert(identity).inserted {
        notes.add(.linkLoop, path)
      } else {
        folders.append(path)
      }
    }
  }

  /// Whether a link at a place where a class or split folder is expected leads upwards.
  func leadsUpwards(_ status: FileStatus) -> Bool { barriers.contains(FileIdentity(status)) }

  /// Whether the file should be a photo; notes it when not.
  ///
  /// A file that is named as an image or begins like one is a photo, and bad if it cannot be decoded: no
  /// class loses its photos of one format without a word. Any other file is noted.
  mutating func isPhoto(_ path: BytePath) -> Bool {
    if FileNames.isPhoto(path.resolved(in: root)) { return true }
    notes.add(.otherFile, path)
    return false
  }

  private mutating func readable(_ folder: BytePath) -> [Entry] {
    do throws(FileError) {
      return try entries(of: folder)
    } catch {
      refuse(folder, error)
      return []
    }
  }

  private mutating func entry(_ path: BytePath) -> Entry? {
    let full = path.resolved(in: root)
    do throws(FileError) {
      let own = try PhotoFiles.status(of: full, followingLinks: false)
      let isLink = own.kind == .symbolicLink
      let status = isLink ? try FileStatus(of: full) : own
      if isLink, let target = full.canonical, !target.starts(with: canonicalRoot) {
        notes.add(.linkOutside, path)
      }
      switch status.kind {
      case .directory: return .folder(path, status, isLink: isLink)
      case .regular: return .file(path, status)
      case .symbolicLink, .other: notes.add(.notRegular, path)
      }
    } catch {
      unreachable(path, error)
    }
    return nil
  }

  private mutating func unreachable(_ path: BytePath, _ error: FileError) {
    if error.reason == .system(ELOOP) {
      notes.add(.linkLoop, path)
    } else if error.reason == .system(ENOENT), !FileNames.promisesImage(path.lastComponent) {
      notes.add(.otherFile, path)
    } else {
      refuse(path, error)
    }
  }

  private mutating func refuse(_ path: BytePath, _ error: FileError) {
    if error.isExhaustion {
      exhaustion = error
    } else {
      bad.append(BadFile(path: path, error: error))
    }
  }
}

extension FilePath {
  /// The same place without links, `.` and `..`; nil when there is nothing.
  package var canonical: FilePath? {
    guard let resolved = withPlatformString({ realpath($0, nil) }) else { return nil }
    defer { free(resolved) }
    return FilePath(platformString: resolved)
  }
}
