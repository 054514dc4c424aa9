// SPDX-License-Identifier: Apache-2.0

/// One request of a browser, read strictly: what HTTP/1.1 allows beyond what browsers send to a small page
/// is refused.
struct HTTPRequest: Equatable {
  let method: String
  /// Path with its query, beginning with `/`.
  let target: String
  /// Names in lower case; a name that comes twice is refused.
  let headers: [String: String]
  /// Bytes that follow.
  let bodyLength: Int

  /// What is answered in place of a result.
  struct Refusal: Error, Equatable {
    let status: Int
    let reason: String
  }

  static let mostHeaderBytes = 16384
  static let mostBodyBytes = 65536

  /// - Parameter head: up to, and without, the empty line.
  init(head: [UInt8]) throws(Refusal) {
    func bad(_ reason: String) -> Refusal { Refusal(status: 400, reason: reason) }
    guard head.allSatisfy({ $0 >= 0x20 && $0 < 0x7F || $0 == 0x0D || $0 == 0x0A || $0 == 0x09 })
    else { throw bad("the request has bytes that are no text") }
    let lines = String(decoding: head, as: UTF8.self).split(
      separator: "\r\n", omittingEmptySubsequences: false)
    guard !lines.contains(where: { $0.contains("\r") || $0.contains("\n") }) else {
      throw bad("a line does not end as lines do")
    }
    let words = lines[0].split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 3, words[2] == "HTTP/1.1" || words[2] == "HTTP/1.0" else {
      throw bad("the first line is no request of HTTP/1")
    }
    guard words[0] == "GET" || words[0] == "POST" else {
      throw Refusal(status: 405, reason: "only GET and POST are answered")
    }
    guard words[1].hasPrefix("/") else { throw bad("the address is no path") }
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":"), colon != line.startIndex,
        line[..<colon].allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") })
      else { throw bad("a header has no name") }
      let name = line[..<colon].lowercased()
      let value = line[line.index(after: colon)...]
      let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
      guard headers[name] == nil else { throw bad("the header \(name) comes twice") }
      headers[name] = String(
        value.drop(while: isBlank).reversed().drop(while: isBlank).reversed())
    }
    guard headers["transfer-encoding"] == nil else {
      throw Refusal(status: 501, reason: "bodies come with their length")
    }
    var length = 0
    if let text = headers["content-length"] {
      guard text.utf8.count <= 10, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
        let value = Int(text)
      else { throw bad("the length of the body is no number") }
      length = value
    }
    guard length <= Self.mostBodyBytes else {
      throw Refusal(status: 413, reason: "the body is larger than \(Self.mostBodyBytes) bytes")
    }
    method = String(words[0])
    target = String(words[1])
    self.headers = headers
    bodyLength = length
  }
}

/// What goes back.
struct HTTPResponse {
  var status = 200
  var type = "application/json"
  var body: [UInt8] = []
  /// Further lines.
  var headers: [(String, String)] = []

  static func text(_ status: Int, _ text: String) -> HTTPResponse {
    HTTPResponse(
      status: status, type: "text/plain; charset=utf-8", body: Array((text + "\n").utf8))
  }

  /// The response as it is sent.
  var bytes: [UInt8] {
    let phrases = [
      200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
      408: "Request Timeout", 409: "Conflict", 413: "Content Too Large",
      415: "Unsupported Media Type", 431: "Request Header Fields Too Large",
      500: "Internal Server Error", 501: "Not Implemented",
    ]
    var lines = [
      "HTTP/1.1 \(status) \(phrases[status] ?? "Status")", "Content-Type: \(type)",
      "Content-Length: \(body.count)", "Connection: close", "X-Content-Type-Options: nosniff",
      "Referrer-Policy: no-referrer", "X-Frame-Options: DENY",
      "Cross-Origin-Resource-Policy: same-origin", "Cross-Origin-Opener-Policy: same-origin",
    ]
    if !headers.contains(where: { $0.0 == "Cache-Control" }) {
      lines.append("Cache-Control: no-store")
    }
    lines += headers.map { "\($0.0): \($0.1)" }
    return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body
  }
}
