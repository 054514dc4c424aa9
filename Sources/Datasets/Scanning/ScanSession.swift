// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawFiles

/// One scan: decides the layout and collects the classes.
struct ScanSession {
  private struct Folder {
    let path: BytePath
    let status: FileStatus
    var name: String { VisibleText.escape(fileName: path.lastComponent) }
    var split: Split? { Split(folderName: name) }
  }

  private struct ClassFolder {
    let folder: Folder
    let className: String
    let split: Split?
  }

  private let options: FolderScanner.Options
  private var walker: FolderWalker

  init(root: FilePath, options: FolderScanner.Options) {
    self.options = options
    walker = FolderWalker(root: root)
  }

  mutating func run() throws(DatasetError) -> FolderScan {
    let top = try folders(in: BytePath(bytes: []))
    guard !top.isEmpty else { throw .noClasses(walker.root) }
    let layout = if let given = options.layout { given } else { try decideLayout(top) }
    let classes = if layout == .classes { classFolders(top, nil) } else { try splitFolders(top) }
    try checkNames(classes)
    for entry in classes { walker.protect(entry.folder.status) }
    var files: [ScannedFile] = []
    for entry in classes {
      for (path, status) in walker.photos(below: entry.folder.path, entry.folder.status) {
        files.append(
          ScannedFile(path: path, className: entry.className, split: entry.split, status: status))
      }
    }
    if let exhaustion = walker.exhaustion { throw .system(exhaustion) }
    files.sort { $0.path < $1.path }
    let names = try checkClasses(classes, files)
    return FolderScan(
      root: walker.root, layout: layout, classes: names, files: files,
      bad: walker.bad.sorted { $0.path < $1.path }, notes: walker.notes.all)
  }

  /// The folders directly in `path`; photos beside them are noted.
  private mutating func folders(in path: BytePath) throws(DatasetError) -> [Folder] {
    let entries: [FolderWalker.Entry]
    do throws(FileError) { entries = try walker.entries(of: path) } catch { throw .system(error) }
    var result: [Folder] = []
    for entry in entries {
      switch entry {
      case .file(let path, _):
        if walker.isPhoto(path) { walker.note(.looseImage, path) }
      case .folder(let path, let status, _):
        if walker.leadsUpwards(status) {
          walker.note(.linkLoop, path)
        } else {
          result.append(Folder(path: path, status: status))
        }
      }
    }
    return result
  }

  /// Rules 1 to 4 of ``FolderScanner``.
  private func decideLayout(_ top: [Folder]) throws(DatasetError) -> DatasetLayout {
    let splits = top.filter { $0.split != nil && holdsFolders($0) }
    guard !splits.isEmpty else { return .classes }
    let others = top.filter { $0.split == nil && holdsPhotos($0) }
    if others.isEmpty { return .splits }
    if Set(splits.map(\.split)).count == 1 { return .classes }
    throw .mixedLayout(walker.root, splits: splits.map(\.name), others: others.map(\.name))
  }

  private func holdsFolders(_ folder: Folder) -> Bool {
    var probe = walker
    let entries = (try? probe.entries(of: folder.path)) ?? []
    return entries.contains { if case .folder = $0 { true } else { false } }
  }

  private func holdsPhotos(_ folder: Folder) -> Bool {
    var probe = walker
    return !probe.photos(below: folder.path, folder.status).isEmpty
  }

  private mutating func splitFolders(_ top: [Folder]) throws(DatasetError) -> [ClassFolder] {
    var result: [ClassFolder] = []
    var taken: [Split: BytePath] = [:]
    for folder in top { walker.protect(folder.status) }
    for folder in top {
      guard let split = folder.split else {
        walker.note(.otherFolder, folder.path)
        continue
      }
      guard holdsFolders(folder) else {
        walker.note(.unlabelledFolder, folder.path)
        continue
      }
      if let first = taken[split] { throw .repeatedSplit(split, [first, folder.path]) }
      taken[split] = folder.path
      result += classFolders(try folders(in: folder.path), split)
    }
    guard !options.requiresTraining || taken[.train] != nil else {
      throw .noTrainingFolder(walker.root)
    }
    return result
  }

  private func classFolders(_ folders: [Folder], _ split: Split?) -> [ClassFolder] {
    folders.map { folder in
      ClassFolder(folder: folder, className: folder.name.trimmed, split: split)
    }
  }

  /// Folders of one split must have different names, also once trimmed and however their accents
  /// are spelt.
  private func checkNames(_ classes: [ClassFolder]) throws(DatasetError) {
    for (_, group) in Dictionary(grouping: classes, by: \.split) {
      for (name, same) in Dictionary(grouping: group, by: \.className)
      where same.count > 1 || name.isEmpty {
        throw .ambiguousClasses(name, same.map(\.folder.path).sorted())
      }
    }
  }

  /// The class names in byte order, after the checks that need no photo opened.
  private mutating func checkClasses(
    _ classes: [ClassFolder], _ files: [ScannedFile]
  ) throws(DatasetError) -> [String] {
    var filled = Set(files.map { ClassInSplit(name: $0.className, split: $0.split) })
    // A class whose files cannot be looked at is reported with them, later.
    for entry in classes where walker.bad(below: entry.folder.path) > 0 {
      filled.insert(ClassInSplit(name: entry.className, split: entry.split))
    }
    let learnable = Set(classes.filter { $0.split == .train || $0.split == nil }.map(\.className))
    for entry in classes where !filled.contains(.init(name: entry.className, split: entry.split)) {
      if options.requiresAllClasses && learnable.contains(entry.className)
        && entry.split.map({ $0 == .train }) ?? true
      {
        throw .emptyClass(entry.className, bad: 0)
      }
      walker.note(.emptyFolder, entry.folder.path)
    }
    for entry in classes where options.requiresTraining {
      guard let split = entry.split, !learnable.contains(entry.className) else { continue }
      if filled.contains(.init(name: entry.className, split: split)) {
        throw .classNotInTraining(entry.className, split)
      }
    }
    let names = Set(filled.map(\.name)).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    guard !names.isEmpty else { throw .noClasses(walker.root) }
    if options.requiresAllClasses, names.count == 1, let only = classes.first {
      let nested = (try folders(in: only.folder.path)).map(\.name)
      throw .singleClass(walker.root, name: names[0], nested: nested)
    }
    return names
  }
}

private struct ClassInSplit: Hashable {
  let name: String
  let split: Split?
}

extension FolderWalker {
  /// How many files and folders below `folder` could not be looked at.
  func bad(below folder: BytePath) -> Int {
    bad.count { $0.path == folder || $0.path.bytes.starts(with: folder.bytes + [0x2F]) }
  }
}

extension String {
  /// Without white space at either end.
  var trimmed: String {
    let start = drop(while: \.isWhitespace)
    return String(start.reversed().drop(while: \.isWhitespace).reversed())
  }
}
