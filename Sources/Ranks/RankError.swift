// SPDX-License-Identifier: Apache-2.0

/// A run on several ranks cannot start or go on; names the rank and its host.
package enum RankError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Started, or asked for, in a way that cannot work.
  case launch(String)
  /// A rank is not like rank 0: another build, other weights, other photos.
  case disagreement(String)
  /// A rank gives no sign of life, or a message could not be sent.
  case lost(String)

  /// Where, what, next step.
  package var description: String {
    switch self {
    case .launch(let text), .disagreement(let text), .lost(let text): text
    }
  }
}
