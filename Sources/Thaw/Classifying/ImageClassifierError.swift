// SPDX-License-Identifier: Apache-2.0

/// Why a classifier could not be made, or has no answer.
///
/// A caller whose task was cancelled gets a `CancellationError` instead.
public enum ImageClassifierError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The model cannot be used: no such file, damaged, not recognised, or with an operation that no
  /// kernel exists for. The text says which, what was expected and what to do.
  case unusableModel(String)
  /// The photo cannot be used: no such file, truncated, no image, too large. Other photos are
  /// not affected.
  case unusablePhoto(String)
  /// More photos are waiting than ``ImageClassifier/Configuration/capacity`` allows; this one was not
  /// accepted. Try again later, or answer 503.
  ///
  /// `waiting` photos have not begun, `capacity` is how many may.
  case overloaded(waiting: Int, capacity: Int)
  /// The classifier has been closed.
  case closed
  /// The model has no embedding: nothing comes before its head.
  case noEmbedding
  /// What speaks for a class cannot be shown: no such class, or a network that gradients show nothing of.
  case noExplanation(String)
  /// A kernel failed while computing, for example for want of memory.
  case failed(String)

  /// What, expected against found, next step.
  public var description: String {
    switch self {
    case .unusableModel(let text): text
    case .unusablePhoto(let text): text
    case .noExplanation(let text): text
    case .failed(let text): text
    case .overloaded(let waiting, let capacity):
      "\(waiting) photos are waiting already, \(capacity) may. Try again later, or raise the"
        + " capacity or the number of workers."
    case .closed: "the classifier has been closed. Make another."
    case .noEmbedding: "the model is its head alone: there are no features in front of it."
    }
  }
}
