// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles
import ThawTestSupport

/// `thaw review`: its page's requests, what it keeps, and what becomes of it. (A browser is driven by
/// Tools/check_review.py.)
struct ReviewTests {
  /// A run with a wrong label: `blue/impostor.png` is red.
  private func run(classes: [String] = ["blue", "red"]) throws -> Workspace {
    let workspace = try Workspace(classes: classes, count: 20)
    try workspace.addPhoto(classes[0], kind: 1, number: 77, named: "impostor.png")
    try workspace.fit().succeeded()
    return workspace
  }

  /// The page of a run that is being reviewed.
  private final class Page {
    let process: ThawProcess
    let port: Int
    let token: String

    init(_ workspace: Workspace) throws {
      let process = try workspace.start(["review", "--run", "run", "--json"])
      self.process = process
      try #require(process.wait { process.stdout.hasSuffix("}\n") }, "\(process.stderr)")
      let address = try #require(try JSON(process.stdout)["address"].string)
      let parts = address.split(separator: "/").map(String.init)
      port = try #require(parts[1].split(separator: ":").last.flatMap { Int($0) })
      token = parts[2]
      #expect(address.hasPrefix("http://127.0.0.1:") && token.count == 64)
    }

    deinit { process.send(SIGKILL) }

    /// Status and body of an answer.
    func ask(
      _ method: String, _ target: String, _ headers: [String: String] = [:], body: String = "",
      host: String? = nil
    ) throws -> (status: Int, body: String) {
      var all = ["Host": host ?? "127.0.0.1:\(port)"]
      if method == "POST" { all["Content-Type"] = "application/json" }
      if !body.isEmpty { all["Content-Length"] = "\(body.utf8.count)" }
      all.merge(headers) { $1 }
      let lines = all.map { "\($0): \($1)\r\n" }.joined()
      return try raw("\(method) \(target) HTTP/1.1\r\n\(lines)\r\n\(body)")
    }

    func raw(_ text: String) throws -> (status: Int, body: String) {
      let answer = String(
        decoding: try LoopbackClient.send(Array(text.utf8), to: port), as: UTF8.self)
      let status = answer.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
      let parts = answer.split(separator: "\r\n\r\n", maxSplits: 1)
      return (status, parts.count > 1 ? String(parts[1]) : "")
    }

    func items() throws -> JSON { try JSON(ask("GET", "/\(token)/items").body) }

    @discardableResult
    func decide(_ id: Int, _ action: String, _ label: String? = nil) throws -> Int {
      let label = label.map { ",\"label\":\"\($0)\"" } ?? ""
      return try ask(
        "POST", "/\(token)/decide", body: "{\"id\":\(id),\"action\":\"\(action)\"\(label)}"
      ).status
    }

    /// The number of a photo.
    func id(_ path: String) throws -> Int {
      try #require(try items()["items"].array.first { $0["path"].string == path }?["id"].int)
    }
  }

  @Test func decisionsSurviveAKillAndAreAppliedByPrepare() throws {
    let workspace = try run()
    let before = try workspace.read("photos/blue/impostor.png")
    let page = try Page(workspace)
    let html = try page.ask("GET", "/\(page.token)/")
    #expect(html.status == 200 && html.body.contains("Review <bdi>run</bdi>"))
    let item = try #require(
      try page.items()["items"].array.first { $0["path"].string == "blue/impostor.png" })
    #expect(item["reasons"].array.contains { $0.string == "suspicious" })
    #expect(item["suggestion"].string == "red" && item["label"].string == "blue")
    let id = try #require(item["id"].int)
    let photo = try page.ask("GET", "/\(page.token)/photo/\(id)")
    #expect(photo.status == 200)
    #expect(try page.decide(id, "drop") == 200)
    #expect(try page.ask("POST", "/\(page.token)/undo", body: "{}").status == 200)
    #expect(try page.decide(id, "relabel", "red") == 200)
    // On the disk before the answer came.
    let lines = try workspace.text("run/review.tsv").split(separator: "\n")
    #expect(lines.count == 4 && lines[1].contains("\tdrop\t") && lines[2].contains("\tundo\t"))
    #expect(lines[3].contains("\trelabel\t") && lines[3].hasSuffix("\tred\t/blue/impostor.png"))
    // Nobody else works in the run meanwhile.
    #expect(try workspace.thaw("train", "--run", "run").status == 75)
    page.process.send(SIGKILL)
    _ = page.process.wait()

    let again = try Page(workspace)
    #expect(try again.items()["decisions"]["\(id)"]["action"].string == "relabel")
    let gain = try JSON(again.ask("POST", "/\(again.token)/gain", body: "{}").body)
    #expect((gain["changed"].int ?? 0) + (gain["changed_validation"].int ?? 0) == 1)
    #expect(gain["text"].string?.contains("right under the decided labels") == true)
    again.process.send(SIGINT)
    let end = again.process.wait()
    #expect(end.status == 0 && end.stderr.contains("No decision was made"), "\(end.stderr)")

    let measured = try workspace.thaw("review", "--run", "run", "--gain", "--json").json()
    #expect(measured["count"].int == gain["count"].int)
    #expect(measured["correct_after"].int == gain["correct_after"].int)
    let prepared = try workspace.prepare("--json").json()
    #expect(prepared["reviewed"]["relabelled"].int == 1 && prepared["count"].int == 41)
    let record = try #require(
      try JSON(workspace.text("run/manifest.json"))["records"].array.first {
        $0["path"].string == "blue/impostor.png"
      })
    #expect(record["class"].string == "red")
    #expect(try workspace.read("photos/blue/impostor.png") == before)
    try workspace.thaw("train", "--run", "run").succeeded()
    let applied = try workspace.thaw("review", "--run", "run", "--gain")
    #expect(applied.status == 65 && applied.stderr.contains("applied them already"))
  }

  @Test func droppedPhotosAreLeftOutAndNamed() throws {
    let workspace = try run()
    let page = try Page(workspace)
    try page.decide(try page.id("blue/impostor.png"), "drop")
    page.process.send(SIGINT)
    #expect(page.process.wait().status == 0)
    // A line that was cut off by a crash is no decision.
    let bytes = try workspace.read("run/review.tsv")
    try AtomicFile.write(
      workspace.file("run/review.tsv"), bytes: bytes + Array("17\tdrop\t00".utf8))
    let prepared = try workspace.prepare("--json").json()
    #expect(prepared["count"].int == 40 && prepared["reviewed"]["dropped"].int == 1)
    let notes = try JSON(workspace.text("run/manifest.json"))["notes"].array
    #expect(notes.contains { $0["kind"].string == "droppedInReview" })
    let second = try Page(workspace)
    second.process.send(SIGINT)
    _ = second.process.wait()
    #expect(try workspace.read("run/review.tsv") == bytes)
    try AtomicFile.write(
      workspace.file("run/review.tsv"), bytes: bytes + Array("nonsense\n".utf8))
    let refused = try workspace.prepare()
    #expect(refused.status == 65 && refused.stderr.contains("review.tsv:3:"), "\(refused.stderr)")
  }

  @Test func onlyItsOwnPageIsAnswered() throws {
    let workspace = try run()
    let page = try Page(workspace)
    let items = "/\(page.token)/items"
    #expect(try page.ask("GET", items).status == 200)
    #expect(try page.ask("GET", items, host: "localhost:\(page.port)").status == 200)
    for (target, headers, host) in [
      ("/", [:], nil), ("/items", [:], nil),
      ("/\(String(repeating: "0", count: 64))/items", [:], nil),
      ("/\(page.token.dropLast())/items", [:], nil), ("/\(page.token)", [:], nil),
      (items, [:], "evil.example"), (items, [:], "127.0.0.1:1"),
      (items, ["Origin": "http://evil.example"], nil), (items, ["Origin": "null"], nil),
      (items, ["Sec-Fetch-Site": "cross-site"], nil),
    ] as [(String, [String: String], String?)] {
      #expect(
        try page.ask("GET", target, headers, host: host).status == 403, "\(target) \(headers)")
    }
    let decide = "/\(page.token)/decide"
    #expect(try page.ask("POST", decide, ["Content-Type": "text/plain"], body: "{}").status == 415)
    #expect(try page.ask("GET", decide).status == 405)
    #expect(try page.ask("POST", decide, body: "{").status == 400)
    for path in ["/nothing", "/photo/9999", "/photo/../items", "/photo/-1", "//"] {
      #expect(try page.ask("GET", "/\(page.token)\(path)").status == 404, "\(path)")
    }
    #expect(try page.decide(0, "relabel", "pink") == 400)
    #expect(try page.decide(0, "relabel") == 400)
    #expect(try page.decide(0, "undo") == 400)
    #expect(try page.ask("POST", "/\(page.token)/undo", body: "{}").status == 400)
    // No decision was written.
    #expect(try workspace.text("run/review.tsv").split(separator: "\n").count == 1)
  }

  @Test func brokenRequestsHaveTheirStatus() throws {
    let workspace = try run()
    let page = try Page(workspace)
    let long = String(repeating: "x", count: 20000)
    #expect(try page.ask("GET", "/", ["Cookie": long]).status == 431)
    #expect(try page.raw("GET / HTTP/2\r\n\r\n").status == 400)
    #expect(try page.raw("GET /\r\n\r\n").status == 400)
    #expect(try page.raw("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").status == 400)
    #expect(try page.raw("GET / HTTP/1.1\nHost: a\n\r\n\r\n").status == 400)
    #expect(try page.raw("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n").status == 405)
    #expect(try page.raw("POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n").status == 400)
    #expect(try page.raw("POST / HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n").status == 413)
    #expect(try page.raw("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n").status == 400)
    #expect(try page.raw("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").status == 501)
    // Half a request is given up after seconds.
    #expect(try page.raw("GET / HTTP/1.1\r\nHost:").status == 408)
    #expect(try page.ask("GET", "/\(page.token)/items").status == 200)
  }

  @Test func filesMoveOnRequestAndBack() throws {
    let workspace = try run()
    let page = try Page(workspace)
    try page.decide(try page.id("blue/impostor.png"), "relabel", "red")
    let other = try #require(
      try page.items()["items"].array.first { $0["path"].string != "blue/impostor.png" }?["id"].int
        ?? 3)
    try page.decide(other, "drop")
    page.process.send(SIGINT)
    _ = page.process.wait()
    let copied = try workspace.thaw(
      "review", "--run", "run", "--apply-to-files", "copy", "--output", "fixed", "--json"
    ).json()
    #expect(copied["relabelled"].int == 1 && copied["dropped"].int == 1)
    #expect(copied["others"].int == 39)
    #expect(FileSystem.exists(workspace.file("fixed/red/impostor.png")))
    #expect(FileSystem.exists(workspace.file("photos/blue/impostor.png")))
    let inside = try workspace.thaw(
      "review", "--run", "run", "--apply-to-files", "copy", "--output", "photos/fixed")
    #expect(inside.status == 64, "\(inside.stderr)")
    #expect(!FileSystem.exists(workspace.file("photos/fixed")))
    let moved = try workspace.thaw(
      "review", "--run", "run", "--apply-to-files", "move", "--json"
    ).json()
    #expect(moved["relabelled"].int == 1 && moved["dropped"].int == 1)
    #expect(FileSystem.exists(workspace.file("photos/red/impostor.png")))
    #expect(!FileSystem.exists(workspace.file("photos/blue/impostor.png")))
    let back = try workspace.thaw("review", "--run", "run", "--undo-files", "--json").json()
    #expect(back["others"].int == 2)
    #expect(FileSystem.exists(workspace.file("photos/blue/impostor.png")))
    #expect(!FileSystem.exists(workspace.file("photos/red/impostor.png")))
    #expect(try workspace.thaw("review", "--run", "run", "--undo-files").status == 64)
  }
}
