// SPDX-License-Identifier: Apache-2.0

import ThawConfiguration

/// A card or an architecture is not usable.
package enum BackboneError: Error, Sendable, Equatable, CustomStringConvertible {
  /// No architecture has this name.
  case unknownArchitecture(String, known: [String])
  /// No card has this name; some have one like it, each with what there is to know of it.
  case unknownCard(String, near: [String])
  /// A card's field is missing or wrong.
  case badCard(file: String, reason: String)
  /// The card's weights are not on this machine yet.
  case weightsMissing(card: String, path: String)
  /// A file is not the one that the card names.
  case wrongHash(path: String, expected: String, found: String, advice: String)
  /// Weights cannot be given back to the file that they came from.
  case noCounterpart(file: String, reason: String)
  /// Weights are to be put somewhere, and no folder is known.
  case noPlace
  /// A download did not work.
  case fetchFailed(source: String, reason: String)

  /// Where, what, expected against found, next step.
  package var description: String {
    switch self {
    case .unknownArchitecture(let name, let known):
      "no architecture is called '\(name)'. "
        + (Suggestions.question(name, among: known)
          ?? "Known are \(known.joined(separator: ", ")).")
    case .unknownCard(let name, let near):
      "no card is called '\(name)'. "
        + (Suggestions.question(near).map { "\($0) " } ?? "")
        + "All of them: thaw pretrained list"
    case .badCard(let file, let reason): "\(file): \(reason)"
    case .weightsMissing(let card, let path):
      "\(path): the weights of '\(card)' are not here yet, and may not be fetched now."
        + " Run: thaw pretrained fetch \(card)"
    case .noCounterpart(let file, let reason): "\(file): \(reason)."
    case .noPlace:
      "there is no place for weights: the folder of cards cannot be written to, and neither"
        + " XDG_CACHE_HOME nor HOME names a folder. Set one of them, or THAW_PRETRAINED."
    case .fetchFailed(let source, let reason):
      "cannot fetch the weights from \(source): \(reason)"
        + " Check the network, or bring the file: thaw pretrained import FILE --card NAME"
    case .wrongHash(let path, let expected, let found, let advice):
      "\(path): the contents have \(found), expected \(expected). \(advice)"
    }
  }
}
