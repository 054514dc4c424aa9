// SPDX-License-Identifier: Apache-2.0

/// Something that a scan met and left aside, counted: not an error, but never silent.
package struct ScanNote: Sendable, Hashable, Codable, CustomStringConvertible {
  /// What was met.
  package enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
    /// Hidden and system files and folders: `.*`, `__MACOSX`, `Thumbs.db`, `desktop.ini`.
    case ignored
    /// Files that neither are named like an image nor begin like one.
    case otherFile
    /// Images in a format that Thaw 0.1.0 did not decode; only in its manifests.
    case unsupportedFormat
    /// Photos outside any class folder.
    case looseImage
    /// Folders beside the split folders that hold no photos.
    case otherFolder
    /// Folders with photos beside the split folders, where the layout is said to be theirs.
    case leftOutFolder
    /// Split folders without class folders: photos without labels.
    case unlabelledFolder
    /// Class folders without photos in a split that can do without them.
    case emptyFolder
    /// Pipes, sockets and devices.
    case notRegular
    /// Links back to a folder that is scanned anyway; not followed.
    case linkLoop
    /// Links that lead outside the root; followed.
    case linkOutside
    /// Photos that show the same picture as a larger one of their class, left out.
    case nearDuplicate
    /// Photos so many of which look alike that they are no copies: pages of text, a fixed camera.
    case lookAlike
    /// Photos that a table of labels does not name.
    case unlisted
    /// Photos whose label in the table has blanks around it, or accents written otherwise than before.
    case labelSpelling
    /// Photos without a group, where others have one.
    case ungrouped
    /// A folder around all the others, entered.
    case outerFolder
    /// Photos that are in several classes, left out.
    case contradictingLabel
    /// Photos that somebody looked at and left out.
    case droppedInReview
  }

  /// What was met.
  package let kind: Kind
  /// How many.
  package internal(set) var count: Int
  /// The first few, in the order of the scan.
  package internal(set) var examples: [BytePath]

  /// One line for people.
  package var description: String { "\(count) \(kind.text(count)): \(examples.listedOf(count))" }
}

extension ScanNote.Kind {
  fileprivate func text(_ count: Int) -> String {
    let plural = count == 1 ? "" : "s"
    return switch self {
    case .ignored: "hidden or system file\(plural) ignored"
    case .otherFile: "file\(plural) without an image ignored"
    case .unsupportedFormat:
      "image\(plural) left out, the format (GIF, WebP, …) is not supported"
    case .looseImage: "image\(plural) outside a class folder ignored"
    case .otherFolder: "folder\(plural) without images beside the split folders ignored"
    case .leftOutFolder:
      "folder\(plural) with images beside the split folders left out, as the layout says"
    case .unlabelledFolder: "split folder\(plural) without class folders ignored"
    case .emptyFolder: "empty class folder\(plural) ignored"
    case .notRegular: "skipped, not a regular file"
    case .linkLoop: "link\(plural) to a folder that is scanned anyway not followed"
    case .linkOutside: "link\(plural) out of the dataset followed"
    case .nearDuplicate: "photo\(plural) left out that show the same as a larger one of their class"
    case .lookAlike:
      "photo\(plural) that look alike, as pages of text or a fixed camera's do, not taken for copies; if"
        + " they are copies, group them by --group-by"
    case .unlisted: "photo\(plural) that the table of labels does not name left out"
    case .labelSpelling:
      "photo\(plural) with a label that differs from others in nothing but blanks or how accents are written,"
        + " taken for the same"
    case .ungrouped: "photo\(plural) without a group, each on its own"
    case .outerFolder: "folder\(plural) around all the others entered"
    case .contradictingLabel: "photo\(plural) under several labels left out"
    case .droppedInReview: "photo\(plural) left out in the review"
    }
  }
}

extension [BytePath] {
  fileprivate func listedOf(_ total: Int) -> String {
    map(\.description).joined(separator: ", ")
      + (total > count ? " and \(total - count) more" : "")
  }
}

/// Counts notes by kind and keeps a few examples of each.
struct NoteCounter {
  private var notes: [ScanNote.Kind: ScanNote] = [:]

  mutating func add(_ kind: ScanNote.Kind, _ path: BytePath) {
    var note = notes[kind] ?? ScanNote(kind: kind, count: 0, examples: [])
    note.count += 1
    if note.examples.count < 5 { note.examples.append(path) }
    notes[kind] = note
  }

  func count(_ kind: ScanNote.Kind) -> Int { notes[kind]?.count ?? 0 }

  var all: [ScanNote] { ScanNote.Kind.allCases.compactMap { notes[$0] } }
}
