// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import ThawConsole
import ThawFiles

/// Stdin, stdout and stderr as the caller handed them over.
enum StandardStreams {
  /// Keeps their numbers from being given to other files.
  ///
  /// Started with one of them closed, the first file that is opened would get its number, and
  /// progress meant for stderr would be written into the feature cache. The null device opened the
  /// wrong way round takes the place: using it fails as using a closed one does.
  static func occupy() {
    for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
    where fcntl(descriptor, F_GETFD) < 0 {
      // The lowest free number is this one: those before it are taken.
      _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }
}

/// The reader of stdout has gone (`thaw ... | head -1`): nothing is left to say.
struct ReaderHasGone: Error {}

/// Writes to stdout; what cannot be written is an error, for it is what the user asked for.
///
/// - Throws: ``ReaderHasGone``, `FileError`.
func standardOutput(_ result: PrintedResult) throws {
  var text = result.written(toTerminal: isatty(STDOUT_FILENO) == 1)
  try text.withUTF8 { bytes in
    var rest = UnsafeRawBufferPointer(bytes)
    while !rest.isEmpty {
      let count = write(STDOUT_FILENO, rest.baseAddress, rest.count)
      if count < 0 && errno == EINTR { continue }
      if count < 0 && errno == EPIPE { throw ReaderHasGone() }
      guard count > 0 else { throw FileError("stdout", "write", .system(count == 0 ? EIO : errno)) }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }
}

/// Writes to a file that the user named: anew and complete or not at all, but into a device, a pipe
/// or a link as it is, rather than putting a file in its place.
///
/// - Throws: `FileError`.
func deliver(_ result: PrintedResult, to path: FilePath) throws {
  guard let status = try? FileStatus(of: path, followingLinks: false), status.kind != .regular
  else {
    return try AtomicFile.write(path, text: result.written(toTerminal: false))
  }
  let file = try OpenFile(path, O_WRONLY | O_TRUNC, "open")
  var text = result.written(toTerminal: isatty(file.descriptor) == 1)
  try text.withUTF8 { try file.write(UnsafeRawBufferPointer($0)) }
  try file.close()
}
