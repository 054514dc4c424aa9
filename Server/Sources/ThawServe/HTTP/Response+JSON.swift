// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird

extension JSONEncoder {
  /// Keys in snake case and in order, so that the same photo is answered by the same bytes.
  static func forAnswers() -> JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return encoder
  }
}

extension Response {
  /// A JSON document; 500 for numbers that JSON does not have.
  static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) -> Response {
    guard let data = try? JSONEncoder.forAnswers().encode(value) else {
      return bytes(
        Array(#"{"error":"The network's numbers for this are not finite."}"#.utf8),
        type: "application/json", status: .internalServerError)
    }
    return bytes(Array(data), type: "application/json", status: status)
  }

  /// Bytes of a media type.
  static func bytes(
    _ bytes: [UInt8], type: String, status: HTTPResponse.Status = .ok
  ) -> Response {
    Response(
      status: status,
      headers: [.contentType: type, .contentLength: "\(bytes.count)"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }
}
