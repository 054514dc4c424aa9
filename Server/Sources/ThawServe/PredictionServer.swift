// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import ServiceLifecycle
import Thaw

/// Models, the socket they answer on, and the watch over their files, from start to end.
struct PredictionServer {
  private let settings: Settings
  private let printsJSON: Bool
  private let logger = Logger(label: "thaw-serve")

  init(_ settings: Settings, printsJSON: Bool) {
    self.settings = settings
    self.printsJSON = printsJSON
  }

  /// How long requests that were accepted may take when the server is told to stop.
  private static let drainSeconds = 30

  /// Loads the models, listens, and returns when it was told to stop and all that was accepted is answered.
  ///
  /// - Throws: `ImageClassifierError`; ``ListenError``.
  func run() async throws {
    Self.raiseFileLimit()
    let folder = try settings.similar.map { try PhotoFolder($0) }
    let shelf = try await load(folder)
    let metrics = Metrics()
    let responder = Responder(
      shelf: shelf, settings: settings,
      access: Access(token: settings.token, host: settings.host, others: settings.allowedHosts),
      bodies: BodyReader(
        limit: settings.maximumBody, total: max(8 * settings.maximumBody, 256 << 20)),
      metrics: metrics, folder: folder, logger: logger)
    if settings.token == nil, !Access.isLoopback(settings.host) {
      logger.warning(
        "everyone who reaches this machine may ask: give a token with --token-file",
        metadata: ["host": "\(settings.host)"])
    }
    let application = Application(
      responder: responder, server: channel,
      configuration: .init(
        address: .hostname(settings.host, port: settings.port), backlog: 1024,
        availableConnectionsDelegate: MaximumAvailableConnections(settings.connections)),
      onServerRunning: { channel in announce(channel.localAddress?.port ?? settings.port, shelf) },
      logger: Self.silent)
    let watch = ModelWatch(shelf: shelf, metrics: metrics, logger: logger)
    var configuration = ServiceGroupConfiguration(
      services: [application, watch], gracefulShutdownSignals: [.sigterm, .sigint],
      logger: Self.silent)
    configuration.maximumGracefulShutdownDuration = .seconds(Self.drainSeconds)
    do { try await ServiceGroup(configuration: configuration).run() } catch let error as IOError {
      throw ListenError(host: settings.host, port: settings.port, reason: "\(error)")
    }
    for model in shelf.models { await model.current.classifier.close() }
    logger.notice("stopped")
  }

  /// Hummingbird's own remarks are not ours.
  private static var silent: Logger {
    var logger = Logger(label: "hummingbird")
    logger.logLevel = .error
    return logger
  }

  private var channel: HTTPServerBuilder {
    var patience = ConnectionGuard.Patience()
    patience.body = .seconds(Int64(settings.timeoutSeconds))
    patience.head = .seconds(Int64(min(settings.timeoutSeconds, 10)))
    let (times, limit) = (patience, settings.maximumBody)
    return .http1(
      configuration: .init(
        additionalChannelHandlers: [ConnectionGuard(times, maximumBody: limit)],
        httpDecoderConfiguration: .init(
          maxHeaderFieldSize: 8 << 10, maxHeaderListSize: 32 << 10, maxHeaderFieldCount: 100)))
  }

  private func load(_ folder: PhotoFolder?) async throws -> ModelShelf {
    var configuration = ImageClassifier.Configuration()
    configuration.workers = settings.threads
    configuration.capacity = settings.queue
    configuration.maximumBatch = settings.batch
    configuration.batchDelay = .milliseconds(settings.latencyMilliseconds)
    configuration.maximumPixels = settings.maximumPixels
    configuration.logger = logger
    var models: [ServedModel] = []
    for reference in settings.models {
      let model = try await ServedModel(
        name: reference.name, path: reference.path, configuration: configuration, folder: folder)
      if let similar = model.current.similar, similar.unusable > 0 {
        logger.warning(
          "photos that cannot be used are not compared with",
          metadata: ["count": .stringConvertible(similar.unusable), "model": "\(model.name)"])
      }
      models.append(model)
    }
    return ModelShelf(models: models)
  }

  /// Says that photos may come.
  private func announce(_ port: Int, _ shelf: ModelShelf) {
    struct Document: Encodable {
      let address: String
      let models: [ModelSummary]
    }
    let host = settings.host.contains(":") ? "[\(settings.host)]" : settings.host
    let address = "http://\(host):\(port)"
    if printsJSON {
      let document = Document(address: address, models: shelf.models.map(ModelSummary.init))
      if let data = try? JSONEncoder.forAnswers().encode(document) {
        FileHandle.standardOutput.write(data + Data("\n".utf8))
      }
    }
    for model in shelf.models where !model.isWatched {
      logger.notice(
        "this model is no single file, and is not loaded anew when it changes",
        metadata: ["model": "\(model.name)"])
    }
    logger.notice(
      "listening",
      metadata: [
        "address": "\(address)", "models": "\(shelf.models.map(\.name).joined(separator: ", "))",
      ])
  }

  /// Each connection is a file; most systems let a process have more than it begins with.
  private static func raiseFileLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}

/// Why the server cannot listen.
struct ListenError: Error, CustomStringConvertible {
  let host: String
  let port: Int
  let reason: String

  var description: String {
    "cannot listen on \(host), port \(port): \(reason). Another program may be there: give another --port, or"
      + " 0 for a free one."
  }
}
