// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird

/// Why a request gets no answer: a status and a sentence for whoever sent it.
struct Refusal: Error {
  let status: HTTPResponse.Status
  let text: String
  var headers = HTTPFields()

  init(_ status: HTTPResponse.Status, _ text: String) {
    self.status = status
    self.text = text
  }

  /// 400: what was sent is not what is expected here.
  static func bad(_ text: String) -> Refusal { Refusal(.badRequest, text) }

  /// 404: there is no such thing.
  static func missing(_ text: String) -> Refusal { Refusal(.notFound, text) }

  /// 405, with the methods that are allowed.
  static func method(_ allowed: String) -> Refusal {
    var refusal = Refusal(.methodNotAllowed, "Use \(allowed) here.")
    refusal.headers[.allow] = allowed
    return refusal
  }

  /// 429 or 503: later it may work.
  static func later(
    _ status: HTTPResponse.Status, _ text: String, seconds: Int = 1
  ) -> Refusal {
    var refusal = Refusal(status, text)
    refusal.headers[.retryAfter] = "\(max(seconds, 1))"
    return refusal
  }

  /// 413: more bytes than are taken.
  static func large(_ limit: Int) -> Refusal {
    Refusal(
      .contentTooLarge,
      "The body has more than the \(limit) bytes that are taken here (--max-body).")
  }

  /// As JSON, the way the Open Inference Protocol has it.
  var response: Response {
    struct Document: Encodable { let error: String }
    var response = Response.json(Document(error: text), status: status)
    for field in headers { response.headers[field.name] = field.value }
    return response
  }
}
