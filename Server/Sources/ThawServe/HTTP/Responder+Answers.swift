// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Thaw

extension Responder {
  /// `POST /predict`: one photo.
  func predict(_ request: Request, _ model: ServedModel) async throws -> Response {
    let held = try await bodies.read(request)
    let body = try PhotoBody(
      held.bytes, contentType: request.headers[.contentType], query: request.uri.query)
    return try await withCurrent(model) { current in
      try PredictAnswer.check(body.options, current, name: model.name)
      let photo = Photo(body.photo)
      let answer = try await current.classifier.classify(photo)
      let explanation =
        body.options.heatMap == .none
        ? nil : try await current.classifier.explanation(of: photo, for: body.options.className)
      let similar = try await similar(to: body, current)
      metrics.answered(
        model: model.name, photos: 1, unknown: answer.likeness?.isUnknown == true ? 1 : 0)
      return .json(
        PredictAnswer(
          answer, explanation, similar: similar, body.options, path: body.name, model: current,
          name: model.name))
    }
  }

  private func similar(
    to body: PhotoBody, _ current: ServedModel.Current
  ) async throws -> [PredictAnswer.Similar]? {
    guard body.options.similar > 0, let photos = current.similar, let folder else { return nil }
    let vector = try await current.classifier.embedding(of: Photo(body.photo))
    guard vector.allSatisfy(\.isFinite) else { return [] }
    return photos.matches(vector, of: body.photo, count: body.options.similar).map {
      PredictAnswer.Similar(
        index: $0.index, path: folder.files[$0.index], similarity: $0.similarity)
    }
  }

  /// `POST /v2/models/NAME/infer`: several photos.
  func infer(_ request: Request, _ model: ServedModel) async throws -> Response {
    let type = HeaderParameters(request.headers[.contentType] ?? "").value
    guard ["", "application/json", "application/octet-stream"].contains(type) else {
      throw Refusal(
        .unsupportedMediaType,
        "The body is '\(type.prefix(60))', expected application/json, or application/octet-stream with"
          + " binary tensors.")
    }
    let held = try await bodies.read(request)
    let length = HTTPField.Name("Inference-Header-Content-Length").flatMap { request.headers[$0] }
    return try await withCurrent(model) { current in
      let body = try InferBody(
        held.bytes, jsonLength: length, model: current.classifier, maximumPhotos: settings.queue,
        maximumPixels: settings.maximumPixels)
      let results = try await current.classifier.answers(to: body.photos)
      var answers: [Classification] = []
      for (index, result) in results.enumerated() {
        switch result {
        case .success(let answer): answers.append(answer)
        case .failure(.unusablePhoto(let reason)):
          throw Refusal(
            .unprocessableContent, "Photo \(index + 1) of \(results.count): \(reason)")
        case .failure(let error): throw error
        }
      }
      metrics.answered(
        model: model.name, photos: answers.count,
        unknown: answers.count { $0.likeness?.isUnknown == true })
      return try InferAnswer.response(answers, to: body, model: current, name: model.name)
    }
  }

  /// Calls `body` with the model that answers now, for so long as a request may take.
  ///
  /// - Throws: ``Refusal`` for what the classifier refuses: 422, 429 or 503.
  private func withCurrent(
    _ model: ServedModel, _ body: @escaping @Sendable (ServedModel.Current) async throws -> Response
  ) async throws -> Response {
    let current = model.current
    do {
      return try await withThrowingTaskGroup(of: Response?.self) { group in
        group.addTask { try await body(current) }
        group.addTask {
          try await Task.sleep(for: .seconds(settings.timeoutSeconds))
          return nil
        }
        defer { group.cancelAll() }
        guard let first = try await group.next(), let response = first else {
          throw Refusal.later(
            .serviceUnavailable,
            "The answer was not ready after \(settings.timeoutSeconds) seconds (--timeout).")
        }
        return response
      }
    } catch let error as ImageClassifierError {
      throw refusal(for: error, current.classifier)
    }
  }

  private func refusal(for error: ImageClassifierError, _ classifier: ImageClassifier) -> Refusal {
    switch error {
    case .unusablePhoto, .noExplanation: Refusal(.unprocessableContent, error.description)
    case .overloaded(let waiting, _):
      .later(
        .tooManyRequests, error.description, seconds: seconds(for: waiting, classifier.statistics))
    case .closed: .later(.serviceUnavailable, "The server is stopping.")
    default: Refusal(.internalServerError, error.description)
    }
  }

  /// In how many seconds those that wait will have been answered.
  private func seconds(for waiting: Int, _ statistics: ImageClassifier.Statistics) -> Int {
    let each = statistics.busy / .seconds(max(statistics.photos, 1))
    let all = each * Double(waiting) / Double(settings.threads)
    return Int(min(max(all.rounded(.up), 1), 60))
  }
}
