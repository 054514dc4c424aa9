// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawFiles

/// One file fetched by curl, continued where an earlier attempt stopped.
struct AddressDownload {
  let address: String
  let file: FilePath

  // curl's exit codes (its manual page, EXIT CODES).
  private static let partial: Set<Int32> = [18, 28, 52, 55, 56, 92]
  private static let cannotContinue: Set<Int32> = [33, 36]

  /// Fetches until the file is whole. A broken connection is taken up again where it broke, as long
  /// as every attempt brings something; a server that cannot continue is asked for the whole file.
  func run(_ checkpoint: () throws -> Void) throws {
    var size = length
    var attempts = 0
    while true {
      let outcome = try ChildProgram.run(command, checkpoint: checkpoint)
      if outcome.status == 0 { return }
      // 416: there is nothing behind the part, which is then whole or of something else.
      let refused = outcome.status == 22 && outcome.messages.contains("416")
      if size > 0, refused || AddressDownload.cannotContinue.contains(outcome.status) {
        try FileSystem.remove(file)
        size = 0
        continue
      }
      attempts = length > size ? 0 : attempts + 1
      size = length
      guard AddressDownload.partial.contains(outcome.status), attempts < 3 else {
        throw BackboneError.fetchFailed(source: address, reason: reason(outcome))
      }
    }
  }

  private var length: Int { (try? FileStatus(of: file))?.size ?? 0 }

  /// Whether the server is this machine, which no proxy can reach.
  private var isLocal: Bool {
    ["http://127.", "http://localhost", "http://[::1]"].contains { address.hasPrefix($0) }
  }

  private var command: [String] {
    [
      "curl", "--fail", "--location", "--silent", "--show-error", "--globoff",
      "--proto", "=https,http,file", "--proto-redir", "=https,http", "--max-redirs", "10",
      // Give up on a server that does not answer, or that sends less than 1 kB/s for a minute.
      "--connect-timeout", "30", "--speed-limit", "1000", "--speed-time", "60",
    ] + (isLocal ? ["--noproxy", "*"] : []) + (length > 0 ? ["--continue-at", "-"] : []) + [
      "--output", file.string, "--", address,
    ]
  }

  private func reason(_ outcome: ChildProgram.Outcome) -> String {
    let kept =
      length > 0 ? " \(length) bytes are kept; the same command continues from there." : ""
    let text =
      outcome.messages.isEmpty ? "curl ended with code \(outcome.status)." : outcome.messages
    return (text.hasSuffix(".") ? text : text + ".") + kept
  }
}
