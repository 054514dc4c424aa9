// SPDX-License-Identifier: Apache-2.0

/// How fast messages travel between two hosts: a message of n bytes takes latency + n / rate.
///
/// - Source: Hockney 1994 (the alpha-beta model); rates are what TCP leaves of the named ones.
package struct NetworkLink: Sendable, Hashable, Codable {
  /// For example `10g`.
  package let name: String
  /// Seconds before the first byte arrives.
  package let latency: Double
  /// Bytes a second in each direction.
  package let rate: Double

  /// The names that can be given.
  package static let known = [
    NetworkLink(name: "1g", latency: 1e-4, rate: 0.94 * 125e6),
    NetworkLink(name: "10g", latency: 5e-5, rate: 0.94 * 1.25e9),
    NetworkLink(name: "25g", latency: 4e-5, rate: 0.94 * 3.125e9),
    NetworkLink(name: "100g", latency: 3e-5, rate: 0.94 * 12.5e9),
  ]

  /// Names a link.
  package init(name: String, latency: Double, rate: Double) {
    (self.name, self.latency, self.rate) = (name, latency, rate)
  }

  /// A known link by its name.
  package init?(_ name: String) {
    guard let found = NetworkLink.known.first(where: { $0.name == name.lowercased() }) else {
      return nil
    }
    self = found
  }
}
