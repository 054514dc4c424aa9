// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import SystemPackage
import ThawArchives
import ThawFiles

/// A zip or tar file of photos, read in place as if it were the folder that it was made of.
///
/// The directory is read once, and checked before anything is trusted (``ZIPArchive``, ``TarArchive``). A tar
/// file that is compressed as a whole is unpacked once a process, to a file without a name.
final class PhotoArchive: Sendable {
  /// Where a file's contents are.
  private enum Contents: Sendable {
    case zip(ZIPArchive, ZIPArchive.Entry)
    case tar(ByteSource, TarArchive.Entry)
  }

  private enum Node: Sendable {
    case folder
    case file(Contents, FileStatus)
    /// A link or a device.
    case other
  }

  private let path: FilePath
  private let status: FileStatus
  private let nodes: [BytePath: Node]
  /// The names in each folder, in byte order.
  private let names: [BytePath: [BytePath]]

  /// Most entries of an archive.
  private static let limit = 2_000_000

  private static let known = Mutex<[FilePath: PhotoArchive]>([:])

  /// The archive at a path, opened once as long as the file stays the same.
  ///
  /// - Throws: ``DatasetError/badArchive(_:problem:)``, ``DatasetError/system(_:)``.
  static func at(_ path: FilePath) throws(DatasetError) -> PhotoArchive {
    let status: FileStatus
    do throws(FileError) { status = try FileStatus(of: path) } catch { throw .system(error) }
    if let archive = known.withLock({ $0[path] }), archive.status == status { return archive }
    let archive = try PhotoArchive(path, status)
    known.withLock { $0[path] = archive }
    return archive
  }

  private init(_ path: FilePath, _ status: FileStatus) throws(DatasetError) {
    self.path = path
    self.status = status
    var tree = Tree(status)
    do throws(FormatError) {
      let source = try ByteSource(path)
      let start = try source.bytes(at: 0, count: min(512, source.count))
      switch ArchiveKind(start) {
      case .zip: try tree.add(ZIPArchive(source, rules: PhotoArchive.rules))
      case .tar: try tree.add(TarArchive(source, limit: PhotoArchive.limit))
      case .gzip:
        let limit = ArchiveLimits.decompressedPhotos(from: source.count)
        let inner = try GzipFile.unpacked(source, limit: limit)
        let start = try inner.bytes(at: 0, count: min(512, inner.count))
        guard ArchiveKind(start) == .tar else {
          throw FormatError(path, .wrongFormat, "what gzip compressed here is no tar archive")
        }
        try tree.add(TarArchive(inner, limit: PhotoArchive.limit))
      case .foreign(let name, let command):
        throw FormatError(
          path, .wrongFormat,
          "\(name) archives are not read. Unpack it (\(command) \(path.displayed)) and name the folder"
        )
      case nil:
        throw FormatError(path, .wrongFormat, "neither a folder nor a zip or tar archive")
      }
    } catch {
      let place = error.offset.map { " (byte \($0))" } ?? ""
      throw .badArchive(path, problem: error.reason + place)
    }
    nodes = tree.nodes
    names = tree.names.mapValues { $0.sorted() }
  }

  private static var rules: ZIPArchive.Rules {
    var rules = ZIPArchive.Rules()
    rules.allowsComment = true
    rules.allowsAnyEncoding = true
    rules.entries = limit
    rules.total = ArchiveLimits.decompressedPhotos
    return rules
  }

  // In the functions below `full` is the path for messages.

  func read(_ inner: BytePath, _ full: FilePath, limit: Int) throws(FileError) -> [UInt8] {
    let (contents, status) = try file(inner, full)
    guard status.size <= limit else {
      throw FileError(full, "read", .tooLarge(size: status.size, limit: limit))
    }
    do throws(FormatError) {
      switch contents {
      case .zip(let archive, let entry): return try archive.contents(entry, limit: limit)
      case .tar(let source, let entry):
        return try source.bytes(at: entry.start, count: entry.size)
      }
    } catch { throw FileError(full, "read", .unreadable(error.reason)) }
  }

  func start(of inner: BytePath, _ full: FilePath, count: Int) throws(FileError) -> [UInt8] {
    let (contents, status) = try file(inner, full)
    let count = min(count, status.size)
    do throws(FormatError) {
      switch contents {
      case .zip(let archive, let entry) where entry.isDeflated:
        return try archive.prefix(of: entry, count)
      case .zip(let archive, let entry):
        return try archive.source.bytes(at: entry.start, count: count)
      case .tar(let source, let entry): return try source.bytes(at: entry.start, count: count)
      }
    } catch { throw FileError(full, "read", .unreadable(error.reason)) }
  }

  func list(_ inner: BytePath, _ full: FilePath) throws(FileError) -> [FilePath.Component] {
    guard let names = names[inner] else {
      throw FileError(full, "list", .system(nodes[inner] == nil ? ENOENT : ENOTDIR))
    }
    return names.compactMap { $0.filePath.lastComponent }
  }

  func status(of inner: BytePath, _ full: FilePath) throws(FileError) -> FileStatus {
    switch nodes[inner] {
    case .file(_, let status): status
    case .folder: Tree.made(.directory, inner, self.status)
    case .other: Tree.made(.other, inner, self.status)
    case nil: throw FileError(full, "look at", .system(ENOENT))
    }
  }

  private func file(
    _ inner: BytePath, _ full: FilePath
  ) throws(FileError) -> (Contents, FileStatus) {
    switch nodes[inner] {
    case .file(let contents, let status): return (contents, status)
    case .folder, .other: throw FileError(full, "read", .notRegular)
    case nil: throw FileError(full, "open", .system(ENOENT))
    }
  }

  /// Folders and files by their paths.
  private struct Tree {
    private(set) var nodes: [BytePath: Node] = [BytePath(bytes: []): .folder]
    private(set) var names: [BytePath: [BytePath]] = [BytePath(bytes: []): []]
    private let archive: FileStatus

    init(_ archive: FileStatus) { self.archive = archive }

    mutating func add(_ zip: ZIPArchive) throws(FormatError) {
      for entry in zip.entries {
        // Unix's kinds of files: links and devices.
        let kind = entry.mode & 0xF000
        let isFolder = entry.nameBytes.last == 0x2F
        let place = try place(entry.unicodeName, in: zip.source)
        if isFolder {
          try addFolder(place, zip.source)
        } else if kind != 0, kind != 0x8000 {
          try add(place, .other, zip.source)
        } else {
          let status = Tree.file(
            place, size: entry.size, modified: entry.modified, mark: UInt64(entry.checksum), archive
          )
          try add(place, .file(.zip(zip, entry), status), zip.source)
        }
      }
    }

    mutating func add(_ tar: TarArchive) throws(FormatError) {
      for entry in tar.entries {
        let place = BytePath(bytes: entry.name)
        if entry.isFolder {
          try addFolder(place, tar.source)
        } else {
          // Nothing in a tar archive tells whether contents changed but the file as a whole.
          let status = Tree.file(
            place, size: entry.size, modified: entry.modified,
            mark: UInt64(bitPattern: Int64(archive.modified)), archive)
          try add(place, .file(.tar(tar.source, entry), status), tar.source)
        }
      }
      for name in tar.others { try add(BytePath(bytes: name), .other, tar.source) }
    }

    /// A zip's name without what says nothing.
    private func place(_ name: [UInt8], in source: ByteSource) throws(FormatError) -> BytePath {
      let parts = name.split(separator: 0x2F).filter { !$0.elementsEqual([0x2E]) }
      return BytePath(bytes: Array(parts.joined(separator: [0x2F])))
    }

    private mutating func addFolder(
      _ path: BytePath, _ source: ByteSource
    ) throws(FormatError) {
      switch nodes[path] {
      case .folder: return
      case .file, .other: throw contradiction(path, source)
      case nil: break
      }
      nodes[path] = .folder
      names[path] = []
      try addToParent(path, source)
    }

    private mutating func add(
      _ path: BytePath, _ node: Node, _ source: ByteSource
    ) throws(FormatError) {
      guard nodes[path] == nil else { throw contradiction(path, source) }
      nodes[path] = node
      try addToParent(path, source)
    }

    private mutating func addToParent(
      _ path: BytePath, _ source: ByteSource
    ) throws(FormatError) {
      let parent = BytePath(bytes: Array(path.bytes[..<(path.bytes.lastIndex(of: 0x2F) ?? 0)]))
      try addFolder(parent, source)
      names[parent]?.append(BytePath(bytes: path.lastComponent))
    }

    private func contradiction(_ path: BytePath, _ source: ByteSource) -> FormatError {
      FormatError(source.path, .malformed, "'\(path)' occurs twice in the archive")
    }

    /// The status of a file; `mark` changes with the contents where the archive can tell.
    static func file(
      _ path: BytePath, size: Int, modified: Int, mark: UInt64, _ archive: FileStatus
    ) -> FileStatus {
      FileStatus(
        kind: .regular, size: size, device: archive.device, inode: hash(path, mark),
        modified: modified)
    }

    /// The status of something that is no file.
    static func made(_ kind: FileKind, _ path: BytePath, _ archive: FileStatus) -> FileStatus {
      FileStatus(
        kind: kind, size: 0, device: archive.device, inode: hash(path, archive.inode),
        modified: archive.modified)
    }

    private static func hash(_ path: BytePath, _ mark: UInt64) -> UInt64 {
      Checksum.of(
        path.bytes + (0..<8).map { UInt8(truncatingIfNeeded: mark >> UInt64(8 * $0)) })
    }
  }
}
