// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage
package import ThawFiles

/// What somebody decided about a photo on looking at it.
package struct ReviewDecision: Sendable, Hashable {
  package enum Action: String, Sendable, Hashable, CaseIterable {
    /// It is right as it is.
    case keep
    /// It shows another class.
    case relabel
    /// Nothing is to be learned from it or measured by it.
    case drop
    /// What was decided before does not hold any more.
    case undo
  }

  package let action: Action
  /// The class, of a relabelling.
  package let label: String?
  /// Hash of the photo's contents.
  package let sha256: String
  /// Below the root.
  package let path: BytePath
  /// Seconds since 1970.
  package let time: Int

  package init(
    _ action: Action, label: String? = nil, sha256: String, path: BytePath, time: Int
  ) {
    precondition((action == .relabel) == (label != nil), "A relabelling names a class.")
    (self.action, self.label, self.sha256) = (action, label, sha256)
    (self.path, self.time) = (path, time)
  }
}

/// `review.tsv`: decisions in the order in which they were made, a line each, the last one of a photo in
/// force.
///
/// Fields are separated by tabs: seconds since 1970, what is done, the hash of the contents, the class and
/// the path, these two with percent escapes. A line counts when its end is there.
package struct ReviewDecisions: Sendable {
  /// A photo: its contents at a place.
  private struct Photo: Hashable {
    let sha256: String
    let path: BytePath
  }

  private static let header = "# thaw review 1: seconds, action, sha256, class, path"

  private var inForce: [Photo: ReviewDecision] = [:]
  /// The places of each contents that something is decided about.
  private var places: [String: Set<BytePath>] = [:]
  /// How many bytes of the file are whole lines.
  private(set) var wholeBytes = 0

  package init() {}

  /// Reads a file; none is no decision.
  ///
  /// - Throws: `FileError`; ``DatasetError/badTable(_:line:problem:)`` for a line that is none.
  package init(contentsOf file: FilePath) throws {
    guard FileSystem.exists(file) else { return }
    let bytes = try FileSystem.read(file)
    let end = bytes.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
    wholeBytes = end
    for (index, line) in bytes[..<end].split(separator: 0x0A).enumerated()
    where line.first != UInt8(ascii: "#") {
      guard let decision = ReviewDecisions.decision(String(decoding: line, as: UTF8.self)) else {
        throw DatasetError.badTable(
          file, line: index + 1,
          problem:
            "is no decision (seconds, keep, relabel, drop or undo, a hash, a class, a path). Delete the line"
        )
      }
      add(decision)
    }
  }

  /// Makes a decision the one in force for its photo.
  package mutating func add(_ decision: ReviewDecision) {
    let photo = Photo(sha256: decision.sha256, path: decision.path)
    if decision.action == .undo {
      inForce[photo] = nil
      places[photo.sha256]?.remove(photo.path)
    } else {
      inForce[photo] = decision
      places[photo.sha256, default: []].insert(photo.path)
    }
  }

  /// Those in force, in the order of the paths.
  package var all: [ReviewDecision] {
    inForce.values.sorted { ($0.path, $0.sha256) < ($1.path, $1.sha256) }
  }

  /// What was decided about a photo: about these contents at this place, or where nothing was about these
  /// contents at one other place.
  package func decision(sha256: String, path: BytePath) -> ReviewDecision? {
    if let own = inForce[Photo(sha256: sha256, path: path)] { return own }
    guard let others = places[sha256], others.count == 1, let other = others.first else {
      return nil
    }
    return inForce[Photo(sha256: sha256, path: other)]
  }

  /// The line of a decision, with its end.
  package static func line(_ decision: ReviewDecision) -> String {
    [
      "\(decision.time)", decision.action.rawValue, decision.sha256,
      percentEncoded((decision.label ?? "").utf8), "/" + percentEncoded(decision.path.bytes),
    ].joined(separator: "\t") + "\n"
  }

  private static func decision(_ line: String) -> ReviewDecision? {
    let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    guard fields.count == 5, let time = Int(fields[0]),
      let action = ReviewDecision.Action(rawValue: fields[1]), fields[2].utf8.count == 64,
      let label = percentDecoded(fields[3].utf8[...]), fields[4].hasPrefix("/"),
      let path = percentDecoded(fields[4].utf8.dropFirst()), (action == .relabel) != label.isEmpty
    else { return nil }
    return ReviewDecision(
      action, label: action == .relabel ? String(decoding: label, as: UTF8.self) : nil,
      sha256: fields[2], path: BytePath(bytes: path), time: time)
  }

  /// Adds lines to a file; each is on the disk when ``append(_:)`` returns.
  package final class Writer {
    private let file: OpenFile

    /// Opens or creates the file; a last line without its end goes.
    package init(_ path: FilePath) throws {
      let known = try ReviewDecisions(contentsOf: path)
      if !FileSystem.exists(path) {
        try AtomicFile.write(path, text: ReviewDecisions.header + "\n")
      } else {
        let bytes = try FileSystem.read(path)
        if known.wholeBytes < bytes.count {
          try AtomicFile.write(path, bytes: Array(bytes[..<known.wholeBytes]))
        }
      }
      file = try OpenFile(path, O_WRONLY | O_APPEND, "open")
    }

    deinit { file.closeIgnoringErrors() }

    /// - Throws: `FileError`.
    package func append(_ decision: ReviewDecision) throws(FileError) {
      var failure: FileError?
      Array(ReviewDecisions.line(decision).utf8).withUnsafeBytes { bytes in
        do throws(FileError) { try file.write(bytes) } catch { failure = error }
      }
      if let failure { throw failure }
      try file.synchronize()
    }
  }
}

extension ReviewDecisions {
  /// What decisions changed.
  package struct Applied: Sendable, Hashable, Encodable {
    /// Photos with another class than their folder or table says.
    package var relabelled = 0
    /// Photos that were left out.
    package var dropped = 0
    /// Photos that somebody looked at and found right.
    package var kept = 0
    /// Decisions about photos that are not there.
    package var withoutPhoto = 0

    package init() {}
  }

  /// The photos as they are decided to be; files are not touched.
  ///
  /// - Throws: ``DatasetError/reviewedClassIsMissing(_:_:)``.
  package func applied(
    to verification: DatasetVerification
  ) throws(DatasetError) -> (DatasetVerification, Applied) {
    var applied = Applied()
    guard !inForce.isEmpty else { return (verification, applied) }
    let classes = Set(verification.scan.classes)
    var notes = NoteCounter()
    var photos: [VerifiedFile] = []
    var used: Set<ReviewDecision> = []
    for photo in verification.photos {
      guard let decision = decision(sha256: photo.sha256, path: photo.file.path) else {
        photos.append(photo)
        continue
      }
      used.insert(decision)
      switch (decision.action, decision.label) {
      case (.drop, _):
        applied.dropped += 1
        notes.add(.droppedInReview, photo.file.path)
      case (.relabel, let label?) where photo.file.labels == nil:
        guard classes.contains(label) else {
          throw .reviewedClassIsMissing(label, photo.file.path)
        }
        if label != photo.file.className { applied.relabelled += 1 }
        photos.append(
          VerifiedFile(
            file: photo.file.named(label), sha256: photo.sha256, image: photo.image))
      default:
        applied.kept += 1
        photos.append(photo)
      }
    }
    applied.withoutPhoto = inForce.values.count { !used.contains($0) }
    var scan = verification.scan
    scan.notes += notes.all
    return (
      DatasetVerification(
        scan: scan, photos: photos, bad: verification.bad, reused: verification.reused),
      applied
    )
  }
}
