// SPDX-License-Identifier: Apache-2.0

import ThawAnswers

/// Embeddings of a collection of photos, searched for those nearest to another.
///
/// ```swift
/// var collection = NearestEmbeddings(length: classifier.embeddingLength ?? 0)
/// for photo in photos { collection.append(try await classifier.embedding(of: photo)) }
/// let matches = collection.nearest(to: try await classifier.embedding(of: other), count: 5)
/// ```
/// Every embedding is compared, none is skipped by an index: the answer is exact. They stay in memory, four
/// bytes a number.
public struct NearestEmbeddings: Sendable {
  /// An embedding near the one that was asked for.
  public struct Match: Sendable, Hashable {
    /// Its position in the order in which embeddings were appended.
    public let index: Int
    /// The cosine of the angle between the two, -1...1.
    public let similarity: Float
  }

  /// How many numbers an embedding has.
  public let length: Int
  private var elements: [Float] = []

  /// An empty collection.
  ///
  /// - Parameter length: of each embedding, at least 1; see ``ImageClassifier/embeddingLength``.
  public init(length: Int) {
    precondition(length >= 1, "An embedding has at least 1 number, not \(length).")
    self.length = length
  }

  /// How many embeddings there are.
  public var count: Int { elements.count / length }

  /// Adds an embedding at the end; traps when it has another ``length``.
  public mutating func append(_ embedding: [Float]) {
    precondition(embedding.count == length, "An embedding of \(length) numbers is expected.")
    elements += embedding
  }

  /// The embeddings with the largest cosines to `embedding`, the nearest first; of equals the first appended.
  ///
  /// - Parameter count: how many are wanted, at least 1; fewer when there are fewer.
  public func nearest(to embedding: [Float], count: Int) -> [Match] {
    precondition(embedding.count == length, "An embedding of \(length) numbers is expected.")
    var search = NearestVectors(to: [embedding], limit: count)
    elements.withUnsafeBufferPointer { search.add($0) }
    return search.matches[0].map { Match(index: $0.row, similarity: $0.similarity) }
  }
}
