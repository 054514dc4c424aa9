// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOHTTP1
import Thaw

/// Answers requests.
struct Responder: HTTPResponder {
  typealias Context = ServeContext

  let shelf: ModelShelf
  let settings: Settings
  let access: Access
  let bodies: BodyReader
  let metrics: Metrics
  let folder: PhotoFolder?
  let logger: Logger

  private static let requestID = HTTPField.Name("X-Request-ID")
  private static let resourcePolicy = HTTPField.Name("Cross-Origin-Resource-Policy")

  /// The answer to one request, with its id, its line in the log and its place in the metrics.
  func respond(to request: Request, context: ServeContext) async throws -> Response {
    let start = ContinuousClock.now
    let id = Self.id(of: request)
    var logger = logger
    logger[metadataKey: "id"] = "\(id)"
    metrics.begin()
    var label = "other"
    var response: Response
    do {
      let route = try Route(path: request.uri.path)
      label = route.label
      response = try await answer(request, route)
    } catch let refusal as Refusal {
      response = refusal.response
    } catch let error as HTTPParserError {
      end(request, label, status: 400, start, context, logger)
      throw error
    } catch {
      if !(error is CancellationError) { logger.error("\(error)") }
      response = Refusal.later(.serviceUnavailable, "The server is stopping.").response
    }
    if request.method == .head {
      response = Response(status: response.status, headers: response.headers)
    }
    if let name = Self.requestID { response.headers[name] = id }
    response.headers[.xContentTypeOptions] = "nosniff"
    // Pages of other sites may not even show what is here.
    if let name = Self.resourcePolicy { response.headers[name] = "same-origin" }
    response.headers[.cacheControl] = "no-store"
    end(request, label, status: response.status.code, start, context, logger)
    return response
  }

  private func end(
    _ request: Request, _ label: String, status: Int, _ start: ContinuousClock.Instant,
    _ context: ServeContext, _ logger: Logger
  ) {
    let seconds = start.duration(to: .now) / .seconds(1)
    let method =
      ["GET", "HEAD", "POST"].contains(request.method.rawValue) ? request.method.rawValue : "other"
    metrics.end(route: label, method: method, status: status, seconds: seconds)
    logger.info(
      "request",
      metadata: [
        "method": "\(request.method.rawValue.prefix(20))",
        "path": "\(request.uri.path.prefix(200))",
        "status": .stringConvertible(status),
        "milliseconds": .stringConvertible((seconds * 10_000).rounded() / 10),
        "client": "\(context.client)",
      ])
  }

  /// The id that the client sent, or a new one when it sent none that can go into a log.
  private static func id(of request: Request) -> String {
    if let name = requestID, let given = request.headers[name],
      (1...128).contains(given.utf8.count),
      given.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
    {
      return given
    }
    let number = UInt64.random(in: .min ... .max)
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  private func answer(_ request: Request, _ route: Route) async throws -> Response {
    try access.checkSite(request)
    if !route.isOpen { try access.checkToken(request) }
    if route.isPost {
      guard request.method == .post else { throw Refusal.method("POST") }
    } else {
      guard request.method == .get || request.method == .head else {
        throw Refusal.method("GET, HEAD")
      }
    }
    switch route {
    case .predict(let name): return try await predict(request, try model(name))
    case .infer(let name, let version): return try await infer(request, try model(name, version))
    default: return try describe(route)
    }
  }

  /// What needs no photo.
  private func describe(_ route: Route) throws -> Response {
    switch route {
    case .page(let file): return file.response
    case .openAPI: return .bytes(PackageResources.openapi_json, type: "application/json")
    case .metrics:
      return .bytes(
        Array(metrics.text(models: shelf.models, bytesHeld: bodies.bytesHeld).utf8),
        type: "text/plain; version=0.0.4; charset=utf-8")
    case .similar(let index): return try similarPhoto(index)
    case .models: return .json(shelf.models.map(ModelSummary.init))
    case .live: return .json(["live": true])
    case .ready: return .json(["ready": true])
    case .modelReady(let name, let version):
      let model = try model(name, version)
      return .json(ModelReadiness(name: model.name, ready: true))
    case .metadata(let name, let version): return .json(ModelMetadata(try model(name, version)))
    case .server, .predict, .infer:
      return .json(
        ServerMetadata(
          name: "thaw-serve", version: shelf.models[0].current.classifier.model.thawVersion,
          extensions: ["binary_tensor_data"]))
    }
  }

  /// A photo of the folder that others are compared with.
  private func similarPhoto(_ index: Int) throws -> Response {
    guard let folder, folder.files.indices.contains(index), let bytes = folder.bytes(index),
      let type = PhotoFolder.mediaType(bytes)
    else { throw Refusal.missing("There is no such photo, or none that a browser shows.") }
    return .bytes(bytes, type: type)
  }

  /// - Throws: ``Refusal``, 404.
  private func model(_ name: String?, _ version: String? = nil) throws -> ServedModel {
    let names = shelf.models.map(\.name).joined(separator: ", ")
    guard let name else {
      guard shelf.models.count == 1 else {
        throw Refusal.bad(
          "Say which model, as in /predict/\(shelf.models[0].name). There are \(names).")
      }
      return shelf.models[0]
    }
    guard let model = shelf[name] else {
      throw Refusal.missing("There is no model '\(name.prefix(100))'. There are \(names).")
    }
    if let version, version != model.current.version {
      throw Refusal.missing(
        "The model \(name) has no version '\(version.prefix(40))'. It is at \(model.current.version)."
      )
    }
    return model
  }
}
