// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawFiles

/// One scan: decides the layout and collects the classes.
struct ScanSession {
  private struct Folder {
    let path: BytePath
    let status: FileStatus
    var name: String { VisibleText.escape(fileName: path.lastComponent) }
    var splitName: SplitName? { SplitName(folderName: name) }
  }

  /// How the folders at the top are to be taken.
  private struct Arrangement {
    let layout: DatasetLayout
    /// The folders that stand for splits.
    var splits: [(folder: Folder, split: Split)] = []
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
    let top = try insideOuterFolder(try folders(in: BytePath(bytes: [])))
    guard !top.isEmpty else { throw .noClasses(walker.root) }
    let arrangement = try arrangement(of: top)
    let layout = arrangement.layout
    let classes =
      if layout == .classes { classFolders(labelled(top), nil) } else {
        try splitFolders(top, arrangement)
      }
    try checkNames(classes)
    for entry in classes { walker.protect(entry.folder.status) }
    var files: [ScannedFile] = []
    for entry in classes {
      for (path, status) in walker.photos(below: entry.folder.path, entry.folder.status) {
        files.append(
          ScannedFile(
            path: path, className: entry.className, split: entry.split, status: status,
            classDepth: entry.folder.path.components.count))
      }
    }
    if let exhaustion = walker.exhaustion { throw .system(exhaustion) }
    files.sort { $0.path < $1.path }
    if layout == .classes, options.layout == nil, options.requiresAllClasses {
      try refuseSharedFolders(classes, files)
    }
    let names = try checkClasses(classes, files)
    return FolderScan(
      root: walker.root, layout: layout, classes: names, files: files,
      bad: walker.bad.sorted { $0.path < $1.path }, classesOfBad: classesOfBad(classes),
      notes: walker.notes.all)
  }

  private func classesOfBad(_ classes: [ClassFolder]) -> [BytePath: String] {
    var result: [BytePath: String] = [:]
    for file in walker.bad {
      result[file.path] = classes.first { file.path.isBelow($0.folder.path) }?.className
    }
    return result
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

  /// The folders in the one folder around all the others, or else `top` itself.
  ///
  /// Where one class is enough, a folder around split folders, or one whose name says nothing, is entered.
  private mutating func insideOuterFolder(_ top: [Folder]) throws(DatasetError) -> [Folder] {
    guard options.layout == nil, top.count == 1 else { return top }
    let outer = top[0]
    // What stands beside the folders is noted only where the folder is entered.
    var probe = self
    let inner = try probe.folders(in: outer.path)
    let hasPhotos = probe.walker.notes.count(.looseImage) > walker.notes.count(.looseImage)
    let isPlain =
      options.requiresAllClasses || SplitName.isNeutral(outer.name)
      || outer.name == PhotoFiles.name(of: walker.root)
    guard outer.splitName == nil, !hasPhotos,
      isPlain || inner.filter({ $0.splitName?.split != nil }).count > 1
    else { return top }
    probe.walker.protect(outer.status)
    probe.walker.note(.outerFolder, outer.path)
    let found = try probe.insideOuterFolder(inner)
    guard found.count > 1 else { return top }
    walker = probe.walker
    return found
  }

  /// Rules 1 to 4 of ``FolderScanner``.
  private func arrangement(of top: [Folder]) throws(DatasetError) -> Arrangement {
    let named = top.filter { $0.splitName?.split != nil && holdsFolders($0) }
    let alike = Dictionary(grouping: named) { $0.splitName?.rest ?? [] }
    // Names with other words in them count when they differ in nothing but the split.
    let several = alike.filter { rest, folders in
      rest.isEmpty || Set(folders.map { $0.splitName?.split }).count > 1
    }
    let chosen = several[[]] ?? (several.count == 1 ? several.first?.value : nil) ?? []
    let rest = chosen.first?.splitName?.rest ?? []
    let splits = chosen.compactMap { folder in
      folder.splitName?.split.map { (folder: folder, split: $0) }
    }
    if let layout = options.layout { return Arrangement(layout: layout, splits: splits) }
    guard !splits.isEmpty else {
      try refuseFlatSplits(top)
      return Arrangement(layout: .classes)
    }
    let others = top.filter { folder in
      !chosen.contains { $0.path == folder.path } && folder.splitName?.purpose != .unlabelled
        && folder.splitName?.rest != rest && holdsPhotos(folder)
    }
    if others.isEmpty { return Arrangement(layout: .splits, splits: splits) }
    if Set(splits.map(\.split)).count == 1 {
      try refuseSplit(splits[0].folder, among: others)
      return Arrangement(layout: .classes)
    }
    throw .mixedLayout(
      walker.root, splits: splits.map(\.folder.name), others: others.map(\.name))
  }

  /// Stops where folders that hold photos alone are called like splits: all of them, or one that photos are
  /// held out in. Nobody labelled those, or a table says the labels.
  private func refuseFlatSplits(_ top: [Folder]) throws(DatasetError) {
    // Looking for photos walks through the folders; most datasets have none of these names.
    guard top.contains(where: { $0.splitName?.split != nil }) else { return }
    let filled = top.filter { $0.splitName?.purpose != .unlabelled && holdsPhotos($0) }
    let flat = filled.filter { $0.splitName?.split != nil && !holdsFolders($0) }
    if flat.count == filled.count, Set(flat.map { $0.splitName?.split }).count > 1 {
      throw .splitsWithoutClasses(walker.root, splits: flat.map(\.name).sorted())
    }
    let held = flat.first { $0.splitName?.rest == [] && $0.splitName?.split != .train }
    if let held, filled.count > 1 {
      throw .splitAmongClasses(
        walker.root, split: held.name, classes: [],
        others: filled.filter { $0.path != held.path }.map(\.name))
    }
  }

  /// Stops where a folder that is called like a split holds folders of its neighbours' names.
  private func refuseSplit(_ split: Folder, among others: [Folder]) throws(DatasetError) {
    var probe = self
    let inner = Set((try probe.folders(in: split.path)).map { $0.name.trimmed })
    let shared = others.map { $0.name.trimmed }.filter(inner.contains)
    guard !shared.isEmpty else { return }
    throw .splitAmongClasses(
      walker.root, split: split.name, classes: shared, others: others.map(\.name))
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

  private mutating func splitFolders(
    _ top: [Folder], _ arrangement: Arrangement
  ) throws(DatasetError) -> [ClassFolder] {
    var result: [ClassFolder] = []
    var taken: [Split: BytePath] = [:]
    for folder in top { walker.protect(folder.status) }
    for folder in top {
      guard let split = arrangement.splits.first(where: { $0.folder.path == folder.path })?.split
      else {
        let kind: ScanNote.Kind =
          if folder.splitName != nil, folder.splitName?.split == nil || !holdsFolders(folder) {
            .unlabelledFolder
          } else if holdsPhotos(folder) { .leftOutFolder } else { .otherFolder }
        walker.note(kind, folder.path)
        continue
      }
      if let first = taken[split] { throw .repeatedSplit(split, [first, folder.path]) }
      taken[split] = folder.path
      result += classFolders(try labelled(in: folder, split), split)
    }
    guard !options.requiresTraining || taken[.train] != nil else {
      throw .noTrainingFolder(walker.root)
    }
    return result
  }

  /// The folders that stand for classes: none of photos that somebody is to label, unless every folder was
  /// said to be one.
  private mutating func labelled(_ top: [Folder]) -> [Folder] {
    guard options.layout == nil else { return top }
    let aside = top.filter {
      $0.splitName?.purpose == .unlabelled && $0.splitName?.rest.isEmpty == true
    }
    guard top.count - aside.count > 1 else { return top }
    for folder in aside { walker.note(.unlabelledFolder, folder.path) }
    return top.filter { folder in !aside.contains { $0.path == folder.path } }
  }

  /// The class folders of a split, which may lie in a folder of their own: `seg_train/seg_train`,
  /// `train/images`.
  private mutating func labelled(
    in folder: Folder, _ split: Split
  ) throws(DatasetError) -> [Folder] {
    let inner = try folders(in: folder.path)
    guard inner.count == 1, holdsFolders(inner[0]),
      inner[0].splitName?.split == split || SplitName.isNeutral(inner[0].name)
    else { return inner }
    walker.protect(inner[0].status)
    return try labelled(in: inner[0], split)
  }

  /// Stops when what was taken for classes are more likely parts of the data: all of them hold the same
  /// folders, and photos only in those.
  private func refuseSharedFolders(
    _ classes: [ClassFolder], _ files: [ScannedFile]
  ) throws(DatasetError) {
    var inner: [String: Set<String>] = [:]
    let depths = Dictionary(
      uniqueKeysWithValues: classes.map { ($0.className, $0.folder.path.components.count) })
    for file in files {
      let rest = file.path.components.dropFirst(depths[file.className] ?? 0)
      guard rest.count > 1, let name = rest.first else { return }
      inner[file.className, default: []].insert(VisibleText.escape(fileName: name))
    }
    guard inner.count > 1, let first = inner.values.first else { return }
    let shared = inner.values.dropFirst().reduce(first) { $0.intersection($1) }
    let areNumbered = Set(inner.keys.map { $0.filter { !$0.isNumber } }).count == 1
    guard shared.count > 1 || areNumbered && shared.count == 1 else { return }
    throw .sharedFolders(walker.root, outer: inner.keys.sorted(), inner: shared.sorted())
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
        throw .emptyClass(entry.className, bad: [])
      }
      walker.note(.emptyFolder, entry.folder.path)
    }
    for entry in classes where options.requiresTraining {
      guard let split = entry.split, !learnable.contains(entry.className) else { continue }
      if filled.contains(.init(name: entry.className, split: split)) {
        if let similar = learnable.first(where: { $0.lowercased() == entry.className.lowercased() })
        {
          throw .spelledOtherwise(entry.className, split, training: similar)
        }
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
    bad.count { $0.path.isBelow(folder) }
  }
}

extension BytePath {
  /// Whether this is `folder` or something in it.
  fileprivate func isBelow(_ folder: BytePath) -> Bool {
    self == folder || bytes.starts(with: folder.bytes + [0x2F])
  }
}

extension String {
  /// Without white space at either end.
  var trimmed: String {
    let start = drop(while: \.isWhitespace)
    return String(start.reversed().drop(while: \.isWhitespace).reversed())
  }
}
