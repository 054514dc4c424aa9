// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage
package import ThawFiles

/// The bytes of a file from elsewhere, read where they are needed: an open file, or memory.
///
/// A file is read and never mapped, so one that shrinks meanwhile gives an error and not a signal.
/// A file that is replaced by a rename goes on being read as it was.
package final class ByteSource: Sendable {
  private enum Contents: Sendable {
    case file(OpenFile, FileStatus)
    case memory([UInt8])
    case part(ByteSource, start: Int)
  }

  package let path: FilePath
  package let count: Int
  private let contents: Contents

  /// Opens a regular file; never hangs on a pipe or a device.
  ///
  /// - Parameter flags: more flags for `open`, such as `O_NOFOLLOW`.
  package init(_ path: FilePath, flags: Int32 = 0) throws(FormatError) {
    do throws(FileError) {
      let file = try OpenFile(path, O_RDONLY | O_NONBLOCK | flags, "open")
      do throws(FileError) {
        let status = try file.status()
        self.path = path
        count = status.size
        contents = .file(file, status)
      } catch {
        file.closeIgnoringErrors()
        throw error
      }
    } catch {
      throw FormatError(error)
    }
  }

  /// An open regular file, which is closed with this; `path` is for messages.
  package init(_ file: OpenFile, path: FilePath) throws(FormatError) {
    do throws(FileError) {
      let status = try file.status()
      self.path = path
      count = status.size
      contents = .file(file, status)
    } catch { throw FormatError(error) }
  }

  /// Wraps bytes in memory; `path` is for messages.
  package init(_ bytes: [UInt8], path: FilePath) {
    self.path = path
    count = bytes.count
    contents = .memory(bytes)
  }

  /// A part of another source that is read as if it were a file; the caller has checked that it
  /// lies inside. Offsets in messages count from its start.
  package init(_ whole: ByteSource, start: Int, count: Int) {
    path = whole.path
    self.count = count
    contents = .part(whole, start: start)
  }

  deinit {
    if case .file(let file, _) = contents { file.closeIgnoringErrors() }
  }

  /// What the path names; memory counts as a regular file.
  package var kind: FileKind {
    if case .file(_, let status) = contents { status.kind } else { .regular }
  }

  /// Names of the file; memory has one.
  package var linkCount: Int {
    if case .file(_, let status) = contents { status.linkCount } else { 1 }
  }

  /// Fills `buffer` from `offset` on.
  package func read(
    at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(FormatError) {
    guard offset >= 0, offset <= count, buffer.count <= count - offset else {
      let (end, overflow) = offset.addingReportingOverflow(buffer.count)
      throw FormatError(
        path, .truncated,
        "ends at byte \(count), bytes up to \(overflow ? "2^63" : "\(end)") are needed", at: count)
    }
    switch contents {
    case .memory(let bytes):
      bytes.withUnsafeBytes {
        buffer.copyMemory(from: .init(rebasing: $0[offset...].prefix(buffer.count)))
      }
    case .part(let whole, let start): try whole.read(at: start + offset, into: buffer)
    case .file(let file, let status): try read(file, status, at: offset, into: buffer)
    }
  }

  /// `count` bytes from `offset` on.
  package func bytes(at offset: Int, count: Int) throws(FormatError) -> [UInt8] {
    // Before memory is taken: a count that the file does not have is refused.
    guard count >= 0, offset >= 0, offset <= self.count, count <= self.count - offset else {
      throw FormatError(
        path, .truncated, "ends at byte \(self.count), \(count) bytes from \(offset) are needed",
        at: self.count)
    }
    var failure: FormatError?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      do throws(FormatError) {
        let part = UnsafeMutableRawBufferPointer(
          rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count])
        try read(at: offset, into: part)
        filled = count
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return bytes
  }

  /// Calls `body` with all bytes of the range, a piece at a time, without holding them all.
  package func forEachPiece(
    at offset: Int, count: Int, _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(FormatError) {
    var done = 0
    while done < count {
      let piece = try bytes(at: offset + done, count: min(1 << 20, count - done))
      piece.withUnsafeBytes(body)
      done += piece.count
    }
  }

  private func read(
    _ file: OpenFile, _ status: FileStatus, at offset: Int,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(FormatError) {
    var filled = 0
    while filled < buffer.count, let base = buffer.baseAddress {
      let count = pread(
        file.descriptor, base + filled, buffer.count - filled, off_t(offset + filled))
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw FormatError(FileError(path, "read", .system(errno))) }
      guard count > 0 else { throw changed }
      filled += count
    }
    let now: FileStatus
    do throws(FileError) { now = try file.status() } catch { throw FormatError(error) }
    guard now.size == status.size && now.modified == status.modified else { throw changed }
  }

  private var changed: FormatError {
    FormatError(
      path, .unreadable, "the file changed while it was being read",
      nextStep: "Run again when nothing writes to it.")
  }
}
