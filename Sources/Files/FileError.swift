// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// A system call on a file failed, or a file is not what it has to be; names the path.
package struct FileError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Why.
  package enum Reason: Sendable, Equatable {
    /// The system call's `errno`.
    case system(Int32)
    /// Not a regular file (directory, pipe, socket, device).
    case notRegular
    /// Larger than the reader accepts, both in bytes.
    case tooLarge(size: Int, limit: Int)
    /// Its size changed while it was being read, both in bytes.
    case changedWhileReading(expected: Int, found: Int)
    /// Another process holds the lock; its process number when it is known.
    case inUse(process: Int32?)
    /// A process of another machine works there.
    case inUseElsewhere(process: Int32?, host: String)
    /// What a reader of the file's format says, without a full stop.
    case unreadable(String)
    /// Somebody removed or replaced it while it was locked.
    case removedWhileInUse
  }

  /// The file or directory.
  package let path: FilePath
  /// What was tried, as a verb: `open`, `write`, `put in place`.
  package let operation: String
  /// Why it did not work.
  package let reason: Reason

  /// Names a failed operation.
  package init(_ path: FilePath, _ operation: String, _ reason: Reason) {
    self.path = path
    self.operation = operation
    self.reason = reason
  }

  /// Where, what, expected against found, next step.
  package var description: String { "\(path.displayed): \(reason.text(operation))" }

  /// Whether the disk or its quota is full.
  package var isDiskFull: Bool {
    [.system(ENOSPC), .system(EDQUOT), .system(EFBIG)].contains(reason)
  }
}

extension FileError.Reason {
  /// The reason without the path, as one sentence.
  package func text(_ operation: String) -> String {
    switch self {
    case .system(let code):
      "cannot \(operation): \(String(cString: strerror(code))).\(FileError.Reason.advice(code))"
    case .notRegular: "not a regular file."
    case .unreadable(let text): text + "."
    case .tooLarge(let size, let limit): "\(size) bytes, at most \(limit) are accepted."
    case .changedWhileReading(let expected, let found):
      "changed while being read: it had \(expected) bytes, now \(found). Run again."
    case .inUse(let process):
      "in use by \(process.map { "process \($0)" } ?? "another process")."
        + " Wait for it or use another run directory."
    case .inUseElsewhere(let process, let host):
      "in use by \(process.map { "process \($0)" } ?? "a process") on \(host)."
        + " Wait for it or use another run directory."
    case .removedWhileInUse: "was removed or replaced while it was in use. Run again."
    }
  }

  private static func advice(_ code: Int32) -> String {
    switch code {
    case ENOSPC, EDQUOT: " Free some space and run again."
    case EROFS, EACCES, EPERM: " Check the permissions."
    default: ""
    }
  }
}

extension FilePath {
  /// The path as one printable line, see ``VisibleText/escape(fileName:)``.
  package var displayed: String {
    withPlatformString { VisibleText.escape(fileName: String.bytes(of: $0)) }
  }
}

extension FilePath {
  /// The path as it is, for what programs read; see ``displayed`` where its bytes are no UTF-8.
  package var exact: String {
    withPlatformString { String(validating: String.bytes(of: $0), as: UTF8.self) } ?? displayed
  }

  /// As a word of a command that somebody may copy into a shell.
  package var quoted: String { ShellWord.quote(withPlatformString { String.bytes(of: $0) }) }
}

extension String {
  fileprivate static func bytes(of pointer: UnsafePointer<CChar>) -> [UInt8] {
    UnsafeBufferPointer(start: pointer, count: strlen(pointer)).map(UInt8.init(bitPattern:))
  }
}

/// Two lower-case hexadecimal digits.
package func hexadecimal(_ byte: UInt8) -> String { hexadecimal([byte]) }

/// Two lower-case hexadecimal digits a byte.
package func hexadecimal(_ bytes: [UInt8]) -> String {
  func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x61 - 10 + value }
  return String(unsafeUninitializedCapacity: 2 * bytes.count) { digits in
    for (index, byte) in bytes.enumerated() {
      digits[2 * index] = digit(byte >> 4)
      digits[2 * index + 1] = digit(byte & 15)
    }
    return 2 * bytes.count
  }
}
