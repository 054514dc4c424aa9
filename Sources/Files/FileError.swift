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
    case .tooLarge(let size, let limit): "\(size) bytes, at most \(limit) are accepted."
    case .changedWhileReading(let expected, let found):
      "changed while being read: it had \(expected) bytes, now \(found). Run again."
    case .inUse(let process):
      "in use by \(process.map { "process \($0)" } ?? "another process")."
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
  /// The path as one printable line: control characters and bytes that are not UTF-8 become `\n`,
  /// `\x1b` or `\xff`, a backslash becomes `\\`, and marks that reorder text are escaped.
  package var displayed: String { withPlatformString { escaped(String.bytes(of: $0)) } }
}

extension String {
  fileprivate static func bytes(of pointer: UnsafePointer<CChar>) -> [UInt8] {
    UnsafeBufferPointer(start: pointer, count: strlen(pointer)).map(UInt8.init(bitPattern:))
  }
}

/// `bytes` as one printable line; see ``SystemPackage/FilePath/displayed``.
package func escaped(_ bytes: some Collection<UInt8>) -> String {
  var result = ""
  var decoder = UTF8()
  var rest = Array(bytes)[...]
  while let first = rest.first {
    var iterator = rest.makeIterator()
    guard case .scalarValue(let scalar) = decoder.decode(&iterator) else {
      result += "\\x" + hexadecimal(first)
      rest.removeFirst()
      decoder = UTF8()
      continue
    }
    result += escaped(scalar)
    rest.removeFirst(UTF8.width(scalar))
    decoder = UTF8()
  }
  return result
}

private func escaped(_ scalar: Unicode.Scalar) -> String {
  switch scalar {
  case "\n": "\\n"
  case "\t": "\\t"
  case "\r": "\\r"
  case "\\": "\\\\"
  case _ where scalar.value < 0x20 || scalar.value == 0x7F:
    "\\x" + hexadecimal(UInt8(scalar.value))
  // C1 controls, and marks that change the direction of text or end a line.
  case "\u{80}"..."\u{9F}", "\u{200E}"..."\u{200F}", "\u{2028}"..."\u{202E}",
    "\u{2066}"..."\u{2069}":
    "\\u{" + String(scalar.value, radix: 16) + "}"
  default: String(Character(scalar))
  }
}

/// Two lower-case hexadecimal digits.
package func hexadecimal(_ byte: UInt8) -> String {
  (byte < 16 ? "0" : "") + String(byte, radix: 16)
}
