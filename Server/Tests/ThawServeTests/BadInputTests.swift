// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// What comes from hostile or broken clients is answered as it deserves, and hurts nobody else.
struct BadInputTests {
  private static let json = [("Content-Type", "application/json")]

  @Test func requestsThatAskForWhatIsNotThereAreTold() throws {
    let trained = try Trained.shared
    let server = try TestServer([trained.model])
    let photo = try trained.photo("blue", 0)
    func expect(
      _ status: Int, _ method: String, _ path: String, _ headers: [(String, String)] = [],
      _ body: [UInt8] = [], says text: String = "",
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let answer = try server.ask(method, path, headers: headers, body: body)
      #expect(answer.status == status, "\(path): \(answer.text)", sourceLocation: sourceLocation)
      let error = try answer.json()["error"] as? String
      #expect(
        text.isEmpty ? error != nil : error?.contains(text) == true, "\(answer.text)",
        sourceLocation: sourceLocation)
      #expect(answer.headers["x-request-id"] != nil, sourceLocation: sourceLocation)
    }
    for path in [
      "/nothing", "/v2/models", "/predict/run/more", "/v2/models/run/versions",
      "/v2/models/run/infer/",
      "/../etc/passwd", "/%2e%2e/etc/passwd", "//predict", "/predict/../metrics", "/page.html",
      "/PREDICT",
    ] { try expect(404, "GET", path) }
    try expect(400, "GET", "/%zz")
    try expect(400, "GET", "/%ff%fe")
    try expect(404, "GET", "/v2/models/" + String(repeating: "a", count: 2000))
    try expect(404, "GET", "/v2/models/other", says: "There are run.")
    try expect(404, "GET", "/v2/models/run/versions/1/ready", says: "It is at")
    try expect(404, "POST", "/predict/other", [], photo)
    try expect(405, "GET", "/predict", says: "POST")
    try expect(405, "DELETE", "/metrics", says: "GET")
    try expect(405, "PUT", "/v2")
    try expect(415, "POST", "/predict", Self.json, Array("{}".utf8), says: "application/json")
    try expect(415, "POST", "/v2/models/run/infer", [("Content-Type", "text/plain")], photo)
    try expect(400, "POST", "/predict", says: "empty")
    try expect(422, "POST", "/predict", [], Array("no photo".utf8))
    try expect(422, "POST", "/predict", [], Array(photo.prefix(300)))
    for query in [
      "top=0", "top=x", "coverage=1", "coverage=nan", "unknown=maybe", "heat_map=yes", "class=red",
      "heat_map=map&class=green", "tops=3", "top=1&top=2", "top=%", "logits=2", "similar=3",
      "similar=-1",
    ] { try expect(400, "POST", "/predict?\(query)", [], photo) }
  }

  @Test func formsThatAreNoneAreTold() throws {
    let server = try TestServer([Trained.shared.model])
    func form(_ text: String, type: String = "multipart/form-data; boundary=cut") throws -> Answer {
      try server.ask("POST", "/predict", headers: [("Content-Type", type)], body: Array(text.utf8))
    }
    let part =
      "--cut\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a.jpg\"\r\n\r\nx\r\n"
    let forms = [
      "", "--cut", "--cut--", "--cut\r\n", "--cut\r\n\r\n\r\n--cut--", "cut", part, part + "--cut",
      "--cut\r\nContent-Disposition: form-data; filename=\"a.jpg\"\r\n\r\nx\r\n--cut--",
      "--cut\r\nContent-Disposition: form-data; name=\"photo\"\r\n\r\nx\r\n--cut--",
      part + part + "--cut--",
      "--cut\r\nX: " + String(repeating: "y", count: 5000) + "\r\n\r\n\r\n--cut--",
      String(repeating: part, count: 40) + "--cut--",
    ]
    for text in forms {
      let answer = try form(text)
      #expect(answer.status == 400, "\(text.prefix(60)): \(answer.status) \(answer.text)")
    }
    #expect(try form(part + "--cut--", type: "multipart/form-data").status == 400)
    #expect(try form(part + "--cut--").status == 422)
  }

  @Test func tensorsThatContradictThemselvesAreTold() throws {
    let trained = try Trained.shared
    let server = try TestServer([trained.model])
    let photo = Data(try trained.photo("blue", 0)).base64EncodedString()
    func input(_ fields: String) -> String { "{\"inputs\":[{\(fields)}]}" }
    let image = "\"name\":\"image\",\"datatype\":\"BYTES\""
    let pixels = "\"name\":\"pixels\",\"datatype\":\"UINT8\""
    let bad = [
      "", "{", "[]", "{}", "{\"inputs\":[]}", String(repeating: "[", count: 100_000),
      input("\(image),\"shape\":[1]"), input("\(image),\"shape\":[],\"data\":[]"),
      input("\(image),\"shape\":[2],\"data\":[\"\(photo)\"]"),
      input("\(image),\"shape\":[1],\"data\":[\"###\"]"),
      input("\(image),\"shape\":[1],\"data\":[1]"),
      input("\(image),\"shape\":[-1],\"data\":[\"\(photo)\"]"),
      input("\(image),\"shape\":[9223372036854775807],\"data\":[\"\(photo)\"]"),
      input(
        "\(image),\"shape\":[1],\"data\":[\"\(photo)\"],\"parameters\":{\"binary_data_size\":7}"),
      input("\(image),\"shape\":[1],\"data\":[\"\(photo)\"],\"parameters\":{\"else\":7}"),
      input("\(pixels),\"shape\":[1,1,1,3],\"data\":[1,2]"),
      input("\(pixels),\"shape\":[1,1,1,3],\"data\":[1,2,256]"),
      input("\(pixels),\"shape\":[1,1,1,3],\"data\":[1,2,0.5]"),
      input("\(pixels),\"shape\":[1,1,1,1],\"data\":[1]"),
      input("\(pixels),\"shape\":[1,0,1,3],\"data\":[]"),
      input("\(pixels),\"shape\":[1,3037000500,3037000500,3],\"data\":[1]"),
      input("\(pixels),\"shape\":[1,1,1,3],\"data\":[[[[[[1,2,3]]]]]]"),
      input("\"name\":\"image\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1]"),
      "{\"inputs\":[{\(image),\"shape\":[1],\"data\":[\"\(photo)\"]}],\"outputs\":[{\"name\":\"x\"}]}",
      "{\"inputs\":[{\(image),\"shape\":[1],\"data\":[\"\(photo)\"]}],\"parameters\":{\"priority\":1}}",
    ]
    for text in bad {
      let answer = try server.ask("POST", "/v2/models/run/infer", body: Array(text.utf8))
      #expect(answer.status == 400, "\(text.prefix(80)): \(answer.status) \(answer.text)")
    }
    for length in ["-1", "x", "999999"] {
      let answer = try server.ask(
        "POST", "/v2/models/run/infer", headers: [("Inference-Header-Content-Length", length)],
        body: Array("{}".utf8))
      #expect(answer.status == 400)
    }
    let nested = input("\(pixels),\"shape\":[1,1,1,3],\"data\":[[[[1,2,3]]]]")
    #expect(try server.ask("POST", "/v2/models/run/infer", body: Array(nested.utf8)).status == 200)
    let none = input("\(image),\"shape\":[1],\"data\":[\"bm9uZQ==\"]")
    #expect(try server.ask("POST", "/v2/models/run/infer", body: Array(none.utf8)).status == 422)
    let large = try server.ask(
      "POST", "/v2/models/run/infer", body: [UInt8](repeating: 32, count: (4 << 20) + 1))
    #expect(large.status == 413)
  }

  @Test func whatIsNoHTTPIsToldAndClosed() throws {
    let server = try TestServer([Trained.shared.model])
    let host = "Host: localhost\r\n"
    #expect(try server.status(ofRaw: "nonsense\r\n\r\n") == 400)
    #expect(try server.status(ofRaw: "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}") == 400)
    #expect(try server.status(ofRaw: "GET / HTTP/1.1\r\n\(host)Bad Header: x\r\n\r\n") == 400)
    #expect(
      try server.status(
        ofRaw: "GET / HTTP/1.1\r\n\(host)X: \(String(repeating: "y", count: 20_000))\r\n\r\n")
        == 431)
    let flood = (0..<500).map { "X-\($0): y\r\n" }.joined()
    #expect(try server.status(ofRaw: "GET / HTTP/1.1\r\n\(host)\(flood)\r\n") == 431)
    #expect(
      try server.status(
        ofRaw: "POST /predict HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\nzz\r\n") == 400)
    #expect(
      try server.status(
        ofRaw:
          "POST /predict HTTP/1.1\r\n\(host)Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
      )
        == 400)
    #expect(
      try server.status(ofRaw: "POST /predict HTTP/1.1\r\n\(host)Content-Length: -5\r\n\r\n") == 400
    )
    // Ends in the middle: nobody is there to be told, and nothing is answered as if it were whole.
    #expect(
      try server.status(ofRaw: "POST /predict HTTP/1.1\r\n\(host)Content-Length: 500\r\n\r\nabc")
        != 200)
    #expect(try server.status(ofRaw: "") == nil)
    #expect(try server.ask("/v2/health/live").status == 200)
  }

  @Test func halfClosedClientsGetTheirAnswer() throws {
    let trained = try Trained.shared
    let server = try TestServer([trained.model])
    let photo = try trained.photo("red", 2)
    let socket = try Socket(port: server.port)
    socket.send(
      Array(
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(photo.count)\r\n\r\n".utf8)
        + photo)
    socket.finishSending()
    #expect(try Answer(from: socket).status == 200)
  }

  @Test func largeBodiesAreCutOff() throws {
    let server = try TestServer(["--max-body", "100000", Trained.shared.model])
    let before = server.residentBytes
    let piece = [UInt8](repeating: 65, count: 1 << 20)
    for head in ["Content-Length: 10737418240", "Transfer-Encoding: chunked"] {
      let socket = try Socket(port: server.port)
      socket.send("POST /predict HTTP/1.1\r\nHost: localhost\r\n\(head)\r\n\r\n")
      var sent = 0
      // Sends on and on, as a client does that looks for no answer.
      for _ in 0..<2000 {
        let isChunked = head.hasPrefix("Transfer")
        guard
          socket.send(
            (isChunked ? Array("100000\r\n".utf8) : []) + piece + (isChunked ? [13, 10] : []))
        else { break }
        sent += piece.count
      }
      #expect(sent < 1_900 << 20, "all was read")
    }
    let socket = try Socket(port: server.port)
    socket.send("POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100001\r\n\r\n")
    let answer = try Answer(from: socket)
    #expect(answer.status == 413 && answer.headers["connection"] == "close", "\(answer)")
    #expect(try socket.receive() == nil)
    #expect(server.residentBytes - before < 64 << 20)
    #expect(try server.metric("thaw_body_bytes") == 0)
  }

  @Test func slowClientsAreNotWaitedForAndIdleOnesHurtNobody() throws {
    let trained = try Trained.shared
    let server = try TestServer(["--timeout", "2", trained.model])
    let slow = try Socket(port: server.port)
    slow.send("POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
    let head = try Socket(port: server.port)
    head.send("GET /metr")
    var idle: [Socket] = []
    for _ in 0..<1000 { idle.append(try Socket(port: server.port)) }
    #expect(try server.ask("POST", "/predict", body: trained.photo("blue", 0)).status == 200)
    let answer = try Answer(from: slow)
    #expect(answer.status == 408 && answer.headers["connection"] == "close")
    #expect(try slow.receive() == nil)
    #expect(try head.receive() == nil)
    for socket in idle { #expect(try socket.receive() == nil) }
    #expect(server.residentBytes < 400 << 20)
  }

  @Test func clientsThatAskFirstAreToldToGoOn() throws {
    let trained = try Trained.shared
    let server = try TestServer(["--max-body", "100000", trained.model])
    let photo = try trained.photo("blue", 0)
    let socket = try Socket(port: server.port)
    socket.send(
      "POST /predict HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: \(photo.count)\r\n\r\n"
    )
    let first = String(decoding: try #require(try socket.receive()), as: UTF8.self)
    #expect(first.hasPrefix("HTTP/1.1 100 Continue\r\n"), "\(first)")
    socket.send(photo)
    #expect(try Answer(from: socket).status == 200)
    let large = try Socket(port: server.port)
    large.send(
      "POST /predict HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 100001\r\n\r\n"
    )
    #expect(
      String(decoding: try #require(try large.receive()), as: UTF8.self).hasPrefix("HTTP/1.1 413 "))
  }

  @Test func bombsTakeNoMemory() throws {
    let server = try TestServer([Trained.shared.model])
    let before = server.residentBytes
    for (width, height) in [(30_000, 30_000), (65_535, 65_535), (2_000_000_000, 2)] {
      let answer = try server.ask(
        "POST", "/predict", body: Bitmap.head(width, height, 12) + [1, 2, 3, 4])
      #expect(answer.status == 422, "\(answer.text)")
    }
    let small = try TestServer(["--max-pixels", "1000", Trained.shared.model])
    let pixels = [UInt8](repeating: 9, count: 40 * 30 * 3)
    let answer = try small.ask("POST", "/predict", body: Bitmap.bytes(pixels, 40, 30))
    #expect(answer.status == 422 && answer.text.contains("1000"), "\(answer.text)")
    #expect(server.residentBytes - before < 64 << 20)
  }

  @Test func aFullQueueIsSaidAtOnce() async throws {
    let trained = try Trained.shared
    let server = try TestServer(["--queue", "1", "--threads", "1", "--batch", "1", trained.model])
    let slow = Bitmap.bytes([UInt8](repeating: 90, count: 2000 * 2000 * 3), 2000, 2000)
    let port = server.port
    let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
      for _ in 0..<12 {
        group.addTask {
          try await onThread {
            let socket = try Socket(port: port)
            socket.send(
              Array(
                "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(slow.count)\r\n\r\n"
                  .utf8)
                + slow)
            return try Answer(from: socket)
          }
        }
      }
      var answers: [Answer] = []
      for try await answer in group { answers.append(answer) }
      return answers
    }
    let full = answers.filter { $0.status == 429 }
    #expect(Set(answers.map(\.status)) == [200, 429], "\(answers.map(\.status))")
    #expect(full.allSatisfy { ($0.headers["retry-after"].flatMap { Int($0) } ?? 0) >= 1 })
    let two =
      "{\"inputs\":[{\"name\":\"image\",\"datatype\":\"BYTES\",\"shape\":[2],\"data\":[\"\",\"\"]}]}"
    #expect(try server.ask("POST", "/v2/models/run/infer", body: Array(two.utf8)).status == 400)
  }
}
