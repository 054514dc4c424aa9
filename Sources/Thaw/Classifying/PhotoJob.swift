// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// What a caller wants to know about a photo.
enum Question: Sendable, Equatable {
  case classification
  case embedding
  /// What speaks for the class at this position, nil for the most probable one.
  case explanation(Int?)
}

/// What a worker found out about a photo; what was not asked for is empty.
struct PhotoAnswer: Sendable {
  var classification = Classification(
    classNames: [""], probabilities: [0], logits: [0], labelIndices: [0],
    allowsSeveralLabels: false)
  var embedding: [Float] = []
  var explanation: Explanation?
}

/// A photo on its way through the queue, and the task that waits for it.
///
/// The task is resumed exactly once: by an answer, an error, or its cancellation, whichever is first.
final class PhotoJob: Sendable {
  typealias Continuation = CheckedContinuation<PhotoAnswer, any Error>

  private enum State {
    case new
    case waiting(Continuation)
    /// A worker computes it.
    case begun(Continuation)
    /// Resumed, or cancelled before there was anything to resume.
    case over
  }

  let photo: Photo
  let question: Question
  /// When it was asked.
  let start = ContinuousClock.now
  private let state = Mutex(State.new)

  init(_ photo: Photo, _ question: Question) {
    self.photo = photo
    self.question = question
  }

  /// Takes charge of the caller; resumes it at once, and says false, when it was cancelled before.
  func attach(_ continuation: Continuation) -> Bool {
    let isOver = state.withLock { state in
      guard case .new = state else { return true }
      state = .waiting(continuation)
      return false
    }
    if isOver { continuation.resume(throwing: CancellationError()) }
    return !isOver
  }

  /// Whether it is still wanted; from now on a worker computes it.
  func begin() -> Bool {
    state.withLock { state in
      guard case .waiting(let continuation) = state else { return false }
      state = .begun(continuation)
      return true
    }
  }

  /// Resumes the caller unless it has been.
  func finish(_ result: Result<PhotoAnswer, any Error>) {
    let continuation: Continuation? = state.withLock { state in
      defer { state = .over }
      return switch state {
      case .waiting(let continuation), .begun(let continuation): continuation
      case .new, .over: nil
      }
    }
    continuation?.resume(with: result)
  }
}
