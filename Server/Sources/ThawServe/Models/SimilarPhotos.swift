// SPDX-License-Identifier: Apache-2.0

import Foundation
import Thaw

/// What a model makes of a folder's photos, to be searched for those most like another.
struct SimilarPhotos: Sendable {
  /// One of them, and how like the other it is.
  struct Match: Sendable {
    /// In ``PhotoFolder/files``.
    let index: Int
    /// The cosine of the angle between the two vectors, -1...1.
    let similarity: Float
  }

  private let folder: PhotoFolder
  private var vectors: NearestEmbeddings
  /// The file of each vector: those that cannot be used have none.
  private var rows: [Int] = []
  /// How many files cannot be used.
  var unusable: Int { folder.files.count - rows.count }

  /// Computes a vector for each photo, some at a time.
  ///
  /// - Throws: ``FolderError``; `ImageClassifierError`.
  init(_ folder: PhotoFolder, by classifier: ImageClassifier, atOnce: Int) async throws {
    guard let length = classifier.embeddingLength else {
      throw FolderError(text: "--similar: the model has no features to compare photos by.")
    }
    self.folder = folder
    vectors = NearestEmbeddings(length: length)
    for start in stride(from: 0, to: folder.files.count, by: atOnce) {
      let part = start..<min(start + atOnce, folder.files.count)
      let tasks = part.map { index in
        Task { try await classifier.embedding(of: Photo(contentsOf: folder.url(index).path)) }
      }
      for (index, task) in zip(part, tasks) {
        do {
          let vector = try await task.value
          guard vector.allSatisfy(\.isFinite) else { continue }
          vectors.append(vector)
          rows.append(index)
        } catch ImageClassifierError.unusablePhoto { continue }
      }
    }
    guard !rows.isEmpty else {
      throw FolderError(text: "--similar: none of the photos in '\(folder.path)' can be used.")
    }
  }

  /// The photos most like one, the most like first; the photo itself is not its own answer.
  func matches(_ vector: [Float], of photo: [UInt8], count: Int) -> [Match] {
    var wanted = count + 8
    while true {
      let found = vectors.nearest(to: vector, count: wanted)
      let others = found.filter { match in
        // Only what is as like as can be can be the same file.
        match.similarity < 0.999 || !isSame(rows[match.index], photo)
      }
      if others.count >= count || found.count < wanted {
        return others.prefix(count).map { Match(index: rows[$0.index], similarity: $0.similarity) }
      }
      wanted *= 2
    }
  }

  private func isSame(_ index: Int, _ photo: [UInt8]) -> Bool {
    folder.size(index) == photo.count && folder.bytes(index) == photo
  }
}
