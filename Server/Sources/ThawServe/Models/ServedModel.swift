// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Synchronization
import Thaw

/// A model under a name. Its file may be replaced while it answers.
final class ServedModel: Sendable {
  /// What answers now.
  struct Current: Sendable {
    let classifier: ImageClassifier
    /// The first digits of its file's hash.
    let version: String
    let loaded: Date
    /// The photos that others are compared with; nil when there are none.
    let similar: SimilarPhotos?
    /// Why the file that is there now cannot be used; nil while this is that file.
    var problem: String?
  }

  let name: String
  let path: String
  private let configuration: ImageClassifier.Configuration
  private let folder: PhotoFolder?
  private let state: Mutex<(current: Current, identity: FileIdentity?)>

  /// Loads it.
  ///
  /// - Parameter folder: photos that others are compared with.
  /// - Throws: `ImageClassifierError`; ``FolderError``.
  init(
    name: String, path: String, configuration: ImageClassifier.Configuration, folder: PhotoFolder?
  ) async throws {
    (self.name, self.path, self.configuration) = (name, path, configuration)
    self.folder = folder
    let identity = FileIdentity(path)
    state = Mutex((try await Self.load(path, configuration, folder), identity))
  }

  /// Whoever asked keeps what it got to the end, whatever comes in its place.
  var current: Current { state.withLock { $0.current } }

  /// Whether its file is watched: a folder, or a card by its name, is not.
  var isWatched: Bool { state.withLock { $0.identity != nil } }

  private static func load(
    _ path: String, _ configuration: ImageClassifier.Configuration, _ folder: PhotoFolder?
  ) async throws -> Current {
    let classifier = try await Self.onThread {
      try ImageClassifier(contentsOf: path, configuration: configuration)
    }
    var similar: SimilarPhotos?
    if let folder {
      similar = try await SimilarPhotos(
        folder, by: classifier, atOnce: min(configuration.capacity, 4 * configuration.maximumBatch))
    }
    return Current(
      classifier: classifier,
      version: String((classifier.model.fileHash ?? "1").prefix(12)), loaded: .now,
      similar: similar)
  }

  /// On a thread of its own: loading takes seconds, which tasks must not.
  private static func onThread<Value: Sendable>(
    _ body: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
  }

  /// What a look at the file led to.
  enum Change {
    case none
    /// It has changed and may still be written.
    case unsettled
    case reloaded(version: String)
    case failed(String)
  }

  /// Looks at the file, and takes it when it is another one than before and has not changed since `before`.
  ///
  /// While it is loaded, and when it cannot be, the old model answers.
  func refresh(before: inout FileIdentity?) async -> Change {
    let now = FileIdentity(path)
    let known = state.withLock { $0.identity }
    guard known != nil, now != known else {
      before = now
      return .none
    }
    guard now == before else {
      before = now
      return .unsettled
    }
    guard now != nil else {
      return fail("the file is gone", now: FileIdentity.gone)
    }
    do {
      let loaded = try await Self.load(path, configuration, folder)
      guard FileIdentity(path) == now else { return .unsettled }
      state.withLock { $0 = (loaded, now) }
      return .reloaded(version: loaded.version)
    } catch { return fail("\(error)", now: now) }
  }

  private func fail(_ problem: String, now: FileIdentity?) -> Change {
    let isNew = state.withLock { state in
      state.current.problem = problem
      let isNew = state.identity != now
      state.identity = now
      return isNew
    }
    return isNew ? .failed(problem) : .none
  }
}

/// What tells a file from the one that was under its path before.
struct FileIdentity: Equatable, Sendable {
  private var numbers: [Int]

  /// What stands for no file.
  static let gone = FileIdentity(numbers: [])

  private init(numbers: [Int]) { self.numbers = numbers }

  /// Nil for what is no regular file, or not there.
  init?(_ path: String) {
    var raw = stat()
    guard stat(path, &raw) == 0, raw.st_mode & S_IFMT == S_IFREG else { return nil }
    numbers = [
      Int(raw.st_dev), Int(raw.st_ino), Int(raw.st_size), raw.st_mtim.tv_sec, raw.st_mtim.tv_nsec,
      raw.st_ctim.tv_sec, raw.st_ctim.tv_nsec,
    ]
  }
}
