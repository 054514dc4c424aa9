// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird

/// Who may ask: bearers of the token, from pages of this server, under a name that is this server's.
struct Access: Sendable {
  /// The bearer token; nil when everyone who reaches the server may ask.
  let token: [UInt8]?
  /// Host names that requests may be addressed to, in lower case; nil for any.
  let hosts: Set<String>?

  /// - Parameters:
  ///   - host: the address that is listened on.
  ///   - others: further names of this server.
  init(token: String?, host: String, others: [String]) {
    self.token = token.map { Array($0.utf8) }
    let names = Set(([host] + others).map { $0.lowercased() })
    hosts =
      Self.isLoopback(host)
      ? names.union(["localhost", "127.0.0.1", "::1"])
      : others.isEmpty ? nil : names
  }

  /// Whether only this machine reaches an address.
  static func isLoopback(_ host: String) -> Bool {
    host == "localhost" || host == "::1"
      || (host.hasPrefix("127.") && host.allSatisfy { $0.isNumber || $0 == "." })
  }

  /// Refuses requests that a browser was tricked into: for another host's name (its address may have been
  /// changed to this one's), or from another site's page.
  ///
  /// - Throws: ``Refusal``, 421 or 403; 400 without a host.
  func checkSite(_ request: Request) throws {
    let authority = request.head.authority ?? ""
    guard !authority.isEmpty else { throw Refusal.bad("The request names no host.") }
    if let hosts, !hosts.contains(Self.hostName(of: authority)) {
      throw Refusal(
        .misdirectedRequest,
        "This server is not '\(authority.prefix(100))'. Start it with --allow-host to give it that name."
      )
    }
    if let origin = request.headers[.origin] {
      let own = ["http://\(authority)", "https://\(authority)"]
      guard own.contains(origin.lowercased()) || own.contains(origin) else {
        throw Refusal(.forbidden, "Pages of other sites may not ask this server.")
      }
    }
    if let site = request.headers[HTTPField.Name("Sec-Fetch-Site") ?? .origin],
      site == "cross-site",
      request.method != .get, request.method != .head
    {
      throw Refusal(.forbidden, "Pages of other sites may not ask this server.")
    }
  }

  /// The host of `host:port`, in lower case and without the brackets of IPv6.
  static func hostName(of authority: String) -> String {
    if authority.hasPrefix("[") {
      return String(authority.dropFirst().prefix { $0 != "]" }).lowercased()
    }
    return String(authority.prefix { $0 != ":" }).lowercased()
  }

  /// - Throws: ``Refusal``, 401.
  func checkToken(_ request: Request) throws {
    guard let token else { return }
    let given = request.headers[.authorization] ?? ""
    let isBearer = given.prefix(7).lowercased() == "bearer "
    guard isBearer, Self.isEqual(Array(given.dropFirst(7).utf8), token) else {
      var refusal = Refusal(
        .unauthorized, "Send the server's token: 'Authorization: Bearer TOKEN'.")
      refusal.headers[.wwwAuthenticate] = "Bearer"
      throw refusal
    }
  }

  /// Compares in a time that depends on the length of `given` alone, not on where the two differ.
  static func isEqual(_ given: [UInt8], _ secret: [UInt8]) -> Bool {
    var difference = given.count ^ secret.count
    for index in given.indices {
      difference |= Int(given[index] ^ secret[index % max(secret.count, 1)])
    }
    return difference == 0
  }
}
