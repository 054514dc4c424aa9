// SPDX-License-Identifier: Apache-2.0

import ThawFiles

extension PretrainedStore {
  /// Whether weights could be fetched now.
  package enum Reachability: Sendable, Equatable {
    /// The server of a card answered.
    case answered(server: String)
    /// Why it did not.
    case failed(server: String, reason: String)
    /// No card names an address.
    case noAddress
    /// There is no curl to ask with.
    case noProgram
  }

  /// What fetching weights that are not here takes and this machine lacks: `curl`, `pip`.
  ///
  /// - Throws: what `checkpoint` throws, ``BackboneError``.
  package func missingPrograms(checkpoint: () throws -> Void = {}) throws -> [String] {
    let sources = try cards().filter { !hasWeights(of: $0) }.map(\.source)
    var missing: [String] = []
    let hasAddresses = sources.contains { if case .address = $0 { true } else { false } }
    if hasAddresses, !ChildProgram.isInstalled("curl") { missing.append("curl") }
    let hasPackages = sources.contains { if case .package = $0 { true } else { false } }
    if hasPackages, try !Self.hasPip(checkpoint) { missing.append("pip") }
    return missing
  }

  private static func hasPip(_ checkpoint: () throws -> Void) throws -> Bool {
    guard ChildProgram.isInstalled("python3") else { return false }
    return try ChildProgram.run(["python3", "-m", "pip", "--version"], checkpoint: checkpoint)
      .status == 0
  }

  /// Asks the server that most cards name, for at most ten seconds; nothing is downloaded.
  ///
  /// - Parameter checkpoint: as for fetching.
  /// - Throws: what `checkpoint` throws, ``BackboneError``.
  package func reachability(checkpoint: () throws -> Void = {}) throws -> Reachability {
    let addresses = try cards().compactMap { card -> String? in
      guard case .address(let text) = card.source, text.hasPrefix("http") else { return nil }
      return text
    }
    let servers = Dictionary(grouping: addresses, by: Self.server)
    guard
      let (server, known) = servers.max(by: {
        ($0.value.count, $1.key) < ($1.value.count, $0.key)
      }), let address = known.min()
    else { return .noAddress }
    guard ChildProgram.isInstalled("curl") else { return .noProgram }
    let outcome: ChildProgram.Outcome
    do {
      outcome = try ChildProgram.run(
        [
          "curl", "--fail", "--location", "--silent", "--show-error", "--head", "--max-time", "10",
          "--output", "/dev/null", "--", address,
        ], checkpoint: checkpoint)
    } catch BackboneError.fetchFailed(_, let reason) {
      return .failed(server: server, reason: reason)
    }
    guard outcome.status != 0 else { return .answered(server: server) }
    let reason =
      outcome.messages.isEmpty ? "curl ended with code \(outcome.status)" : outcome.messages
    return .failed(server: server, reason: reason)
  }

  private static func server(of address: String) -> String {
    guard let match = address.firstMatch(of: /^[a-z]+:\/\/([^\/]*)/) else { return address }
    return String(match.1)
  }
}
