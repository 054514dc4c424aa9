// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Who may ask.
struct AccessTests {
  @Test func aTokenIsAskedFor() throws {
    let trained = try Trained.shared
    let secret = "0123456789abcdef"
    let server = try TestServer([trained.model], environment: ["THAW_SERVE_TOKEN": secret])
    for path in ["/models", "/metrics", "/v2", "/v2/models/run", "/v2/models/run/ready"] {
      let answer = try server.ask(path)
      #expect(answer.status == 401 && answer.headers["www-authenticate"] == "Bearer", "\(path)")
      #expect(
        try server.ask("GET", path, headers: [("Authorization", "Bearer \(secret)")]).status == 200)
    }
    let photo = try trained.photo("blue", 0)
    for wrong in [
      "", "Bearer", "Bearer ", "Bearer \(secret)x", "Bearer 0123456789abcde", "Basic \(secret)",
      secret,
    ] {
      let answer = try server.ask(
        "POST", "/predict", headers: [("Authorization", wrong)], body: photo)
      #expect(answer.status == 401, "\(wrong)")
    }
    #expect(
      try server.ask(
        "POST", "/predict", headers: [("Authorization", "bearer \(secret)")], body: photo
      ).status
        == 200)
    // Whether it lives, and the page that asks for the token.
    for path in [
      "/", "/page.js", "/page.css", "/v2/health/live", "/v2/health/ready", "/openapi.json",
    ] {
      #expect(try server.ask(path).status == 200, "\(path)")
    }
    #expect(!server.logged.contains(secret))
  }

  @Test func tokensComeFromAFileAndAreNotShort() throws {
    let trained = try Trained.shared
    let file = trained.folder.appendingPathComponent("token-\(UUID())")
    try "abcdefghijklmnop\n".write(to: file, atomically: true, encoding: .utf8)
    let server = try TestServer(["--token-file", file.path, trained.model])
    #expect(try server.ask("/models").status == 401)
    #expect(
      try server.ask("GET", "/models", headers: [("Authorization", "Bearer abcdefghijklmnop")])
        .status == 200)
    try "short".write(to: file, atomically: true, encoding: .utf8)
    for arguments in [["--token-file", file.path], ["--token-file", "/nowhere"]] {
      let outcome = try Built.run(Built.server, arguments + [trained.model])
      #expect(outcome.status == 64 && outcome.stderr.contains("token"), "\(outcome.stderr)")
    }
  }

  @Test func browsersThatWereTrickedAreRefused() throws {
    let trained = try Trained.shared
    let server = try TestServer(["--allow-host", "Photos.example", trained.model])
    let photo = try trained.photo("blue", 0)
    func status(_ host: String, _ headers: [(String, String)] = []) throws -> Int {
      try server.ask("POST", "/predict", headers: [("Host", host)] + headers, body: photo).status
    }
    for host in [
      "localhost", "LOCALHOST:\(server.port)", "127.0.0.1:1", "[::1]:80", "photos.example",
    ] {
      #expect(try status(host) == 200, "\(host)")
    }
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080"] {
      #expect(try status(host) == 421, "\(host)")
    }
    #expect(try status("") == 400)
    #expect(try server.status(ofRaw: "GET /v2 HTTP/1.1\r\n\r\n") == 400)
    #expect(try status("localhost", [("Origin", "http://localhost")]) == 200)
    for origin in [
      "http://evil.example", "null", "http://localhost:1", "https://localhost.evil.example",
    ] {
      #expect(try status("localhost", [("Origin", origin)]) == 403, "\(origin)")
    }
    #expect(try status("localhost", [("Sec-Fetch-Site", "cross-site")]) == 403)
    #expect(try status("localhost", [("Sec-Fetch-Site", "same-origin")]) == 200)
    #expect(try server.ask("GET", "/models", headers: [("Host", "evil.example")]).status == 421)
  }

  @Test func thePageLoadsNothingFromElsewhere() throws {
    let server = try TestServer([Trained.shared.model])
    let page = try server.ask("/")
    #expect(page.headers["content-type"] == "text/html; charset=utf-8")
    let policy = try #require(page.headers["content-security-policy"])
    #expect(policy.hasPrefix("default-src 'none';") && !policy.contains("unsafe"))
    #expect(page.headers["x-content-type-options"] == "nosniff")
    #expect(page.headers["cross-origin-resource-policy"] == "same-origin")
    for path in ["/", "/page.js", "/page.css"] {
      let text = try server.ask(path).text
      #expect(
        !text.contains("http:") && !text.contains("https:") && !text.contains("url("), "\(path)")
      #expect(!text.contains("innerHTML") && !text.contains("onclick="), "\(path)")
      let head = try server.ask("HEAD", path)
      #expect(head.status == 200 && head.headers["content-length"] == "\(text.utf8.count)")
    }
  }

  @Test func idsThatCannotStandInALogAreReplaced() throws {
    let server = try TestServer([Trained.shared.model])
    let good = try server.ask("GET", "/v2", headers: [("X-Request-ID", "abc-1.2/3")])
    #expect(good.headers["x-request-id"] == "abc-1.2/3")
    for bad in ["", "two words", String(repeating: "x", count: 200), "ü"] {
      let answer = try server.ask("GET", "/v2", headers: [("X-Request-ID", bad)])
      #expect(answer.headers["x-request-id"]?.count == 16, "\(bad)")
    }
    let weird = try server.ask("/%0a%1b%5b31m\"nothing")
    #expect(weird.status == 404)
    var requests = 0
    for line in server.logged.split(separator: "\n") {
      let entry = try #require(
        try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
      #expect(entry["time"] is String && entry["level"] is String)
      if entry["message"] as? String == "request" {
        requests += 1
        #expect(entry["status"] is Int && entry["milliseconds"] is Double && entry["id"] is String)
      }
    }
    #expect(requests == 6)
  }
}
