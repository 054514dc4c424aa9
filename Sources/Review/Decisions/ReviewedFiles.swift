// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage
import ThawConsole
import ThawDatasets
import ThawFiles
package import ThawRuns

/// Applies the decisions of a review to files, because somebody asked for it.
///
/// `review_moves.tsv` in the run names each move before it is made, so that all of them can be undone, after a
/// kill as well.
package struct ReviewedFiles {
  /// What becomes of files.
  package enum Method: String, Sendable, CaseIterable { case move, copy }

  /// What was done.
  package struct Summary: Sendable, Encodable, Equatable {
    /// `move`, `copy` or `undo`.
    package let method: String
    /// Files that are in another folder now.
    package var relabelled = 0
    /// Files that were moved out of the dataset, or not copied.
    package var dropped = 0
    /// Files that were copied under their own class, or moved back.
    package var others = 0
    /// Where.
    package let place: String

    /// For people.
    package var text: String {
      switch method {
      case "undo": "\(counted(others, "file")) moved back."
      case "copy":
        "\(place): \(others + relabelled) files, \(relabelled) of them under another class; \(dropped) left out."
      default:
        "\(counted(relabelled, "file")) moved to another class, \(dropped) to \(place). To undo it: --undo-files"
      }
    }
  }

  /// One that may be moved.
  private struct Photo {
    let path: BytePath
    /// As the manifest has it.
    let className: String
    let sha256: String
  }

  private let run: OpenRun
  private var root: FilePath { run.manifest.root.filePath }
  private var journal: FilePath { run.directory.reviewMoves }
  private var dropped: FilePath { run.directory.path.appending("dropped") }

  package init(_ run: OpenRun) { self.run = run }

  /// Moves relabelled photos into the folder of their class and dropped ones into `dropped/` in the run.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` for photos in an archive or labelled by a table; `FileError`.
  package func move() throws -> Summary {
    try check()
    let decisions = try ReviewDecisions(contentsOf: run.directory.review)
    var summary = Summary(method: "move", place: dropped.displayed)
    let writer = try MoveJournal(journal)
    for record in try photos() {
      guard let decision = decisions.decision(sha256: record.sha256, path: record.path) else {
        continue
      }
      let source = record.path.resolved(in: root)
      // Decided about these contents: another file at the same place is not touched.
      guard FileSystem.exists(source),
        try SHA256.hexadecimal(of: FileSystem.read(source)) == record.sha256
      else { continue }
      let target: FilePath
      switch (decision.action, decision.label) {
      case (.drop, _):
        target = dropped.pushing(record.path.filePath)
        summary.dropped += 1
      case (.relabel, let label?):
        let place = try self.place(of: record, under: label)
        guard place != record.path else { continue }
        target = place.resolved(in: root)
        summary.relabelled += 1
      default: continue
      }
      let free = ReviewedFiles.free(target)
      try FileSystem.createDirectory(free.removingLastComponent())
      try writer.append(from: source, to: free)
      try FileSystem.move(source, to: free)
    }
    return summary
  }

  /// Copies all photos of the run into a new folder, under the classes that they are decided to have.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` when the folder is there or lies among the photos; `FileError`.
  package func copy(to folder: FilePath) throws -> Summary {
    try check()
    guard !FileSystem.exists(folder) else {
      throw PipelineError.usage("\(folder.displayed) is there already. Name a new folder.")
    }
    let parent = folder.removingLastComponent()
    let place = parent.isEmpty ? FilePath(".") : parent
    let (inside, outside) = (place.canonical ?? place, root.canonical ?? root)
    guard !inside.starts(with: outside) else {
      throw PipelineError.usage(
        "\(folder.displayed) lies among the photos. Name a folder elsewhere.")
    }
    try FileSystem.createDirectory(folder)
    let decisions = try ReviewDecisions(contentsOf: run.directory.review)
    var summary = Summary(method: "copy", place: folder.displayed)
    for record in try photos() {
      try run.context.checkInterruption()
      let decision = decisions.decision(sha256: record.sha256, path: record.path)
      if decision?.action == .drop {
        summary.dropped += 1
        continue
      }
      let place = try self.place(of: record, under: decision?.label ?? record.className)
      let source = record.path.resolved(in: root)
      guard FileSystem.exists(source) else { continue }
      let target = ReviewedFiles.free(place.resolved(in: folder))
      try FileSystem.createDirectory(target.removingLastComponent())
      try FileSystem.copy(source, to: target)
      if place != record.path { summary.relabelled += 1 } else { summary.others += 1 }
    }
    return summary
  }

  /// Moves back what was moved, the last first.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` when nothing was moved; ``PipelineError/data(_:)`` when a place is
  ///   taken meanwhile; `FileError`.
  package func undo() throws -> Summary {
    let moves = try MoveJournal.moves(journal)
    guard !moves.isEmpty else {
      throw PipelineError.usage(
        "\(run.directory.path.displayed): no file was moved, so none is to move back.")
    }
    var summary = Summary(method: "undo", place: root.displayed)
    for (source, target) in moves.reversed() where FileSystem.exists(target) {
      // Killed between the line and the move: the file is where it was.
      guard !FileSystem.exists(source) else {
        if FileSystem.exists(target) {
          throw PipelineError.data(
            "\(source.displayed) is there again, so \(target.displayed) cannot go back. Move one of them."
          )
        }
        continue
      }
      try FileSystem.createDirectory(source.removingLastComponent())
      try FileSystem.move(target, to: source)
      summary.others += 1
    }
    try FileSystem.remove(journal)
    return summary
  }

  /// The photos as they lie in folders: those of the manifest, and those that the review left out of it.
  private func photos() throws -> [Photo] {
    let known = Set(run.manifest.records.map(\.path))
    let left = try ReviewDecisions(contentsOf: run.directory.review).all.filter {
      $0.action == .drop && !known.contains($0.path)
    }
    return run.manifest.records.map {
      Photo(path: $0.path, className: $0.className, sha256: $0.sha256)
    } + left.map { Photo(path: $0.path, className: "", sha256: $0.sha256) }
  }

  private func check() throws {
    try run.requireOneLabel()
    guard run.recipe.data.labels.isEmpty else {
      throw PipelineError.usage(
        "the labels come from a table, not from folders: moving files would not change them. thaw prepare"
          + " applies the decisions.")
    }
    guard (try? FileStatus(of: root))?.kind == .directory else {
      throw PipelineError.usage(
        "\(root.displayed) is no folder, so its photos cannot be moved. thaw prepare applies the decisions."
      )
    }
  }

  /// The place of a photo under a class: the folder of its class is replaced, its folders below that stay.
  private func place(of record: Photo, under label: String) throws -> BytePath {
    var parts = record.path.bytes.split(separator: 0x2F)
    let depth = run.manifest.layout == .splits ? 1 : 0
    guard parts.count > depth + 1 else {
      throw PipelineError.usage("\(record.path) lies in no folder of a class.")
    }
    if run.manifest.classes.contains(where: { Array($0.utf8) == Array(parts[depth]) }) {
      parts[depth] = Array(label.utf8)[...]
    } else {
      throw PipelineError.usage(
        "\(record.path): its folder is not named like a class, so where another class's photos go is not"
          + " known. thaw prepare applies the decisions.")
    }
    return BytePath(bytes: Array(parts.joined(separator: [0x2F])))
  }

  /// `path`, or with a number where that is taken.
  private static func free(_ path: FilePath) -> FilePath {
    guard FileSystem.exists(path), let stem = path.stem else { return path }
    for number in 1... {
      let name = "\(stem)-\(number)" + (path.extension.map { ".\($0)" } ?? "")
      let other = path.removingLastComponent().appending(name)
      if !FileSystem.exists(other) { return other }
    }
    return path
  }
}

/// `review_moves.tsv`: two paths a line, synced before the move.
private final class MoveJournal {
  private let file: OpenFile

  init(_ path: FilePath) throws {
    file = try OpenFile(path, O_WRONLY | O_APPEND | O_CREAT, "open")
  }

  deinit { file.closeIgnoringErrors() }

  func append(from source: FilePath, to target: FilePath) throws {
    let line = [source, target].map { percentEncoded(BytePath($0).bytes) }.joined(separator: "\t")
    try Array((line + "\n").utf8).withUnsafeBytes { try file.write($0) }
    try file.synchronize()
  }

  /// The moves whose lines are whole.
  static func moves(_ path: FilePath) throws -> [(FilePath, FilePath)] {
    guard FileSystem.exists(path) else { return [] }
    let bytes = try FileSystem.read(path)
    let end = bytes.lastIndex(of: 0x0A) ?? 0
    return bytes[..<end].split(separator: 0x0A).compactMap { line in
      let fields = line.split(separator: 0x09).compactMap { percentDecoded($0) }
      guard fields.count == 2 else { return nil }
      return (BytePath(bytes: fields[0]).filePath, BytePath(bytes: fields[1]).filePath)
    }
  }
}
