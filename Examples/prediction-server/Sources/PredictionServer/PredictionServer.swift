// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hummingbird
import Logging
import Thaw

/// Answers photos over HTTP.
///
///     PredictionServer model.safetensors [PORT]
///     curl --data-binary @photo.jpg http://127.0.0.1:8080/predict
///
/// SIGTERM and SIGINT let the requests that were accepted finish; then the server ends with 0.
@main
struct PredictionServer {
  static func main() async throws {
    let arguments = CommandLine.arguments
    guard (2...3).contains(arguments.count), let port = Int(arguments.dropFirst(2).first ?? "8080")
    else {
      print("usage: \(arguments[0]) MODEL [PORT]")
      return
    }
    var configuration = ImageClassifier.Configuration()
    configuration.capacity = 64
    // Read before the server listens: a wrong model must not look like a working server.
    let classifier = try ImageClassifier(contentsOf: arguments[1], configuration: configuration)
    let server = Application(
      router: routes(classifier),
      configuration: .init(address: .hostname("127.0.0.1", port: port)),
      logger: Logger(label: "prediction-server"))
    try await server.runService()
    await classifier.close()
  }

  /// `GET /health` and `POST /predict`.
  static func routes(_ classifier: ImageClassifier) -> Router<Context> {
    let router = Router(context: Context.self)
    router.get("health") { _, _ in "ok" }
    router.post("predict") { request, _ in
      let body = try await request.body.collect(upTo: 32 << 20)
      return try await answer(Array(body.readableBytesView), by: classifier)
    }
    return router
  }

  /// The answer to one photo: 422 when it is unusable, 503 when too many are waiting.
  private static func answer(
    _ photo: [UInt8], by classifier: ImageClassifier
  ) async throws -> Answer {
    do {
      return Answer(try await classifier.classify(photo))
    } catch let error as ImageClassifierError {
      switch error {
      case .unusablePhoto: throw HTTPError(.unprocessableContent, message: error.description)
      case .overloaded, .closed:
        throw HTTPError(
          .serviceUnavailable, headers: [.retryAfter: "1"], message: error.description)
      default: throw HTTPError(.internalServerError, message: error.description)
      }
    }
  }
}

/// A request. Keys of answers are in order, so that the same photo is answered by the same bytes.
struct Context: RequestContext {
  var coreContext: CoreRequestContextStorage

  init(source: Source) { coreContext = .init(source: source) }

  var responseEncoder: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return encoder
  }
}

/// What is answered, as JSON.
struct Answer: ResponseEncodable {
  struct Candidate: Encodable {
    let label: String
    let probability: Float
  }

  let label: String
  let probability: Float
  /// The three most probable classes, the best first.
  let top: [Candidate]

  init(_ result: Classification) {
    label = result.label
    probability = result.probability
    top = result.top(3).map { Candidate(label: $0.label, probability: $0.probability) }
  }
}
