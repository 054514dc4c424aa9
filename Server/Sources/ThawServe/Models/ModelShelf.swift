// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import ServiceLifecycle
import Thaw

/// All models, by name.
struct ModelShelf: Sendable {
  /// In the order in which they were given; at least one.
  let models: [ServedModel]

  subscript(name: String) -> ServedModel? { models.first { $0.name == name } }

  /// A name and a path.
  struct Reference: Equatable {
    let name: String
    let path: String

    /// `NAME=PATH`, or the path of a file, whose name is that of its run's folder or its own.
    ///
    /// Nil when the name cannot stand in an address.
    init?(_ argument: String) {
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if parts.count == 2, Self.isName(parts[0]), !FileManager.default.fileExists(atPath: argument)
      {
        self.init(name: String(parts[0]), path: String(parts[1]))
        return
      }
      let url = URL(fileURLWithPath: argument)
      let stem = url.deletingPathExtension().lastPathComponent
      let folder = url.deletingLastPathComponent().lastPathComponent
      let name = stem == "model" ? folder : stem
      guard Self.isName(name[...]) else { return nil }
      self.init(name: name, path: argument)
    }

    private init(name: String, path: String) { (self.name, self.path) = (name, path) }

    private static func isName(_ text: Substring) -> Bool {
      let isPlain = text.utf8.allSatisfy {
        ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7a) || (0x30...0x39).contains($0)
          || "._-".utf8.contains($0)
      }
      return isPlain && (1...128).contains(text.utf8.count) && text.first != "."
    }
  }
}

/// Looks every second whether a model's file has changed.
struct ModelWatch: Service {
  let shelf: ModelShelf
  let metrics: Metrics
  let logger: Logger

  func run() async throws {
    await cancelWhenGracefulShutdown {
      var seen = shelf.models.map { FileIdentity($0.path) }
      while !Task.isCancelled {
        for (index, model) in shelf.models.enumerated() where model.isWatched {
          tell(model, await model.refresh(before: &seen[index]))
        }
        do { try await Task.sleep(for: .seconds(1)) } catch { return }
      }
    }
  }

  private func tell(_ model: ServedModel, _ change: ServedModel.Change) {
    switch change {
    case .none, .unsettled: break
    case .reloaded(let version):
      metrics.reloaded(model: model.name, succeeded: true)
      logger.notice(
        "model reloaded", metadata: ["model": "\(model.name)", "version": "\(version)"])
    case .failed(let problem):
      metrics.reloaded(model: model.name, succeeded: false)
      logger.error(
        "the changed file cannot be used, the model from before goes on answering",
        metadata: ["model": "\(model.name)", "problem": "\(problem)"])
    }
  }
}
