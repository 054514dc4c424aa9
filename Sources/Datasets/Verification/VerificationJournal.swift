// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import SystemPackage
import ThawFiles
import ThawImages

/// What is known about a file's contents.
enum VerificationResult: Sendable, Hashable {
  case good(sha256: String, VerifiedImage)
  case bad(reason: String)
}

/// Results of verification kept on disk, so that no photo is decoded twice.
///
/// A text file that is only appended to: a header naming the format and the verifier, then one line
/// a file: checksum, size, time of change, inode, result, path, separated by blanks, everything
/// percent-encoded. A line that is torn or damaged is skipped, so the journal may be cut anywhere; a
/// result counts only for a file with the same path, size, time and inode; the last one wins.
final class VerificationJournal {
  fileprivate struct Identity: Hashable {
    let size: Int
    let modified: Int
    let inode: UInt64

    init(_ status: FileStatus) {
      (size, modified, inode) = (status.size, status.modified, status.inode)
    }

    init?(_ fields: ArraySlice<String>) {
      let values = Array(fields)
      guard values.count == 3, let size = Int(values[0]), let modified = Int(values[1]),
        let inode = UInt64(values[2])
      else { return nil }
      (self.size, self.modified, self.inode) = (size, modified, inode)
    }

    var text: String { "\(size) \(modified) \(inode)" }
  }

  /// What a journal says, by path.
  struct Entries {
    fileprivate let known: [BytePath: (Identity, VerificationResult)]

    /// The result for this very file, if there is one.
    func result(_ scanned: ScannedFile) -> VerificationResult? {
      guard let (identity, result) = known[scanned.path], identity == Identity(scanned.status)
      else { return nil }
      return result
    }
  }

  private let file: OpenFile
  private let entries: Entries

  /// Opens or creates the journal; one of another verifier is started afresh.
  init(_ path: FilePath, verifier: String) throws {
    let header = VerificationJournal.header(verifier)
    let old = FileSystem.exists(path) ? try FileSystem.read(path) : []
    if !old.starts(with: header.utf8) { try AtomicFile.write(path, text: header) }
    entries = VerificationJournal.parse(old, header: header)
    file = try OpenFile(path, O_WRONLY | O_APPEND, "open")
    // A torn last line must not swallow the next one.
    if old.starts(with: header.utf8), old.last != 0x0A { try append("\n") }
  }

  deinit { file.closeIgnoringErrors() }

  private static func header(_ verifier: String) -> String {
    "thaw-verification 3 " + percentEncoded(verifier.utf8) + "\n"
  }

  /// What the journal at `path` says; nothing where there is none, or one of another verifier. Changes nothing.
  static func entries(of path: FilePath, verifier: String) -> Entries {
    parse((try? FileSystem.read(path)) ?? [], header: header(verifier))
  }

  /// The lines of the journal at `path`, complete or torn; none where it is of another verifier.
  ///
  /// - Throws: `FileError`.
  static func lines(of path: FilePath, verifier: String) throws -> String {
    let bytes = try FileSystem.read(path)
    let header = header(verifier)
    guard bytes.starts(with: header.utf8) else { return "" }
    let lines = String(decoding: bytes.dropFirst(header.utf8.count), as: UTF8.self)
    return lines.isEmpty || lines.hasSuffix("\n") ? lines : lines + "\n"
  }

  /// The result for this very file, if there is one.
  func result(_ scanned: ScannedFile) -> VerificationResult? { entries.result(scanned) }

  /// The line that ``append(_:)`` writes for a result.
  static func line(_ scanned: ScannedFile, _ result: VerificationResult) -> String {
    line(scanned.path, Identity(scanned.status), result)
  }

  /// Adds lines in one write.
  func append(_ lines: String) throws(FileError) {
    var failure: FileError?
    Array(lines.utf8).withUnsafeBytes { bytes in
      do throws(FileError) { try file.write(bytes) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  private static func line(
    _ path: BytePath, _ identity: Identity, _ result: VerificationResult
  ) -> String {
    var text = Array("\(identity.text) \(result.text) /".utf8)
    text += percentEncoded(path.bytes).utf8
    return hexadecimal(Checksum.of(text)) + " " + String(decoding: text, as: UTF8.self) + "\n"
  }

  private static func parse(_ bytes: [UInt8], header: String) -> Entries {
    guard bytes.starts(with: header.utf8) else { return Entries(known: [:]) }
    var entries: [BytePath: (Identity, VerificationResult)] = [:]
    for line in bytes.dropFirst(header.utf8.count).split(separator: 0x0A) {
      if let (path, identity, result) = parse(line) { entries[path] = (identity, result) }
    }
    return Entries(known: entries)
  }

  private static func parse(
    _ line: ArraySlice<UInt8>
  ) -> (BytePath, Identity, VerificationResult)? {
    guard line.count > 17, line.dropFirst(16).first == 0x20 else { return nil }
    let text = Array(line.dropFirst(17))
    guard line.starts(with: hexadecimal(Checksum.of(text)).utf8) else { return nil }
    let fields = text.split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }
    guard fields.count >= 5, let identity = Identity(fields.prefix(3)),
      let result = VerificationResult(fields: fields[3..<(fields.count - 1)]),
      let path = percentDecoded(fields[fields.count - 1].utf8.dropFirst())
    else { return nil }
    return (BytePath(bytes: path), identity, result)
  }
}

extension VerificationResult {
  /// `good SHA256 WIDTH HEIGHT =grey =THUMBNAIL =DETAIL =CAMERA =FORMAT =WARNING...` or `bad =REASON`.
  fileprivate var text: String {
    switch self {
    case .good(let sha256, let image):
      let thumbnail = image.thumbnail.map { Data($0.levels).base64EncodedString() } ?? ""
      var text = "good \(sha256) \(image.width) \(image.height)"
      text += " =\(image.isGrey ? "grey" : "") =\(thumbnail) =\(image.detail.map { "\($0)" } ?? "")"
      for value in [image.camera, image.format] + image.warnings {
        text += " =\(percentEncoded(value.utf8))"
      }
      return text
    case .bad(let reason): return "bad =\(percentEncoded(reason.utf8))"
    }
  }

  fileprivate init?(fields: ArraySlice<String>) {
    let values = Array(fields)
    func text(_ field: String) -> String {
      String(decoding: percentDecoded(field.utf8.dropFirst()) ?? [], as: UTF8.self)
    }
    if values.count == 2, values[0] == "bad" {
      self = .bad(reason: text(values[1]))
    } else if values.count >= 9, values[0] == "good", let width = Int(values[2]),
      let height = Int(values[3])
    {
      self = .good(
        sha256: values[1],
        VerifiedImage(
          width: width, height: height, format: text(values[8]),
          warnings: values.dropFirst(9).map(text), isGrey: text(values[4]) == "grey",
          thumbnail: Data(base64Encoded: String(values[5].dropFirst())).flatMap {
            PhotoThumbnail(levels: Array($0))
          }, detail: Int(text(values[6])), camera: text(values[7])))
    } else {
      return nil
    }
  }
}

/// 16 lower-case hexadecimal digits.
func hexadecimal(_ word: UInt64) -> String {
  ThawFiles.hexadecimal((0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) })
}
