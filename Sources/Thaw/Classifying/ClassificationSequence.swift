// SPDX-License-Identifier: Apache-2.0

extension ImageClassifier {
  /// The answers to many photos, in their order.
  ///
  /// ```swift
  /// for try await answer in classifier.classify(paths.map { Photo(contentsOf: $0) }) {
  ///   print((try? answer.get().label) ?? "unusable")
  /// }
  /// ```
  /// Photos are taken from `photos` one after the other, no more than `readAhead` before they are
  /// asked for; ending the loop early cancels those. They wait for a worker rather than being
  /// refused.
  ///
  /// - Parameter readAhead: photos under way at once, at least 1; nil for two batches a worker.
  public func classify(
    _ photos: some Sequence<Photo> & Sendable, readAhead: Int? = nil
  ) -> ClassificationSequence {
    ClassificationSequence(classifier: self, readAhead: readAhead) {
      var iterator = photos.makeIterator()
      return { iterator.next() }
    }
  }

  /// The answers to the photos of an asynchronous sequence, in their order; an error of `photos` ends
  /// the answers after those to the photos before it.
  ///
  /// - Parameter readAhead: photos under way at once, at least 1; nil for two batches a worker.
  public func classify<Photos: AsyncSequence<Photo, any Error> & Sendable>(
    _ photos: Photos, readAhead: Int? = nil
  ) -> ClassificationSequence {
    ClassificationSequence(classifier: self, readAhead: readAhead) {
      var iterator = photos.makeAsyncIterator()
      return { try await iterator.next(isolation: nil) }
    }
  }
}

/// The answers to many photos, in their order; made by ``ImageClassifier/classify(_:readAhead:)``.
///
/// An element is the answer to a photo or why there is none: a photo that cannot be used does not end
/// the sequence. Cancelling the task that iterates throws `CancellationError`.
public struct ClassificationSequence: AsyncSequence, Sendable {
  /// The answer to a photo, or why it has none.
  public typealias Element = Result<Classification, ImageClassifierError>

  typealias Next = () async throws -> Photo?

  private let classifier: ImageClassifier
  private let readAhead: Int
  private let photos: @Sendable () -> Next

  init(
    classifier: ImageClassifier, readAhead: Int?, photos: @escaping @Sendable () -> Next
  ) {
    let readAhead = readAhead ?? classifier.pool.usualReadAhead
    precondition(readAhead >= 1, "At least 1 photo must be under way, not \(readAhead).")
    self.classifier = classifier
    self.readAhead = readAhead
    self.photos = photos
  }

  /// Begins at the first photo.
  public func makeAsyncIterator() -> Iterator {
    Iterator(classifier: classifier, readAhead: readAhead, photos: photos())
  }

  /// Hands out the answers one after the other.
  public struct Iterator: AsyncIteratorProtocol {
    private let classifier: ImageClassifier
    private let readAhead: Int
    private var photos: Next?
    private var failure: (any Error)?
    private let flight = Flight()

    init(classifier: ImageClassifier, readAhead: Int, photos: @escaping Next) {
      self.classifier = classifier
      self.readAhead = readAhead
      self.photos = photos
    }

    /// The answer to the next photo; nil after the last.
    ///
    /// - Throws: `CancellationError`, ``ImageClassifierError/closed``, and what the sequence of photos
    ///   throws.
    public mutating func next() async throws -> Element? {
      try Task.checkCancellation()
      await takeOff()
      guard let first = flight.land() else {
        if let failure { throw failure }
        return nil
      }
      do {
        return .success(
          try await withTaskCancellationHandler {
            try await first.value
          } onCancel: {
            first.cancel()
          })
      } catch ImageClassifierError.closed { throw ImageClassifierError.closed } catch let error
        as ImageClassifierError
      { return .failure(error) }
    }

    /// Asks for photos until so many are under way.
    private mutating func takeOff() async {
      while let next = photos, flight.count < readAhead {
        do {
          guard let photo = try await next() else {
            photos = nil
            return
          }
          let pool = classifier.pool
          flight.add(
            Task { [classifier] in
              defer { withExtendedLifetime(classifier) {} }
              return try await pool.answer(photo, .classification, .free).classification
            })
        } catch {
          failure = error
          photos = nil
        }
      }
    }
  }

  /// The photos under way; when it goes, they are cancelled.
  final class Flight {
    private var tasks: [Task<Classification, any Error>] = []

    var count: Int { tasks.count }

    func add(_ task: Task<Classification, any Error>) { tasks.append(task) }

    func land() -> Task<Classification, any Error>? { tasks.isEmpty ? nil : tasks.removeFirst() }

    deinit { for task in tasks { task.cancel() } }
  }
}
