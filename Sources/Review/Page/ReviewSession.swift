// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
import SystemPackage
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawImages
import ThawInference
import ThawRuns

/// What the page asks, and the decisions that are made in it.
final class ReviewSession: Sendable {
  /// The secret part of the page's address.
  let token: String
  private let port: Int
  private let queue: ReviewQueue
  private let records: [Manifest.Record]
  private let classes: [String]
  private let root: FilePath
  private let title: String
  private let gain: @Sendable () throws -> ReviewGain

  fileprivate struct State {
    var decisions: ReviewDecisions
    let writer: ReviewDecisions.Writer
    /// Photos decided in this session, to take back the last first.
    var history: [Int] = []
    var count = 0
  }

  private let state: Mutex<State>
  /// One photo is decoded at a time: a browser asks for many at once.
  private let decoding = Mutex<Void>(())

  init(
    _ run: OpenRun, queue: ReviewQueue, port: Int, gain: @escaping @Sendable () throws -> ReviewGain
  ) throws {
    var random = SystemRandomNumberGenerator()
    token = (0..<4).map { _ in
      let word = String(random.next(), radix: 16)
      return String(repeating: "0", count: 16 - word.count) + word
    }.joined()
    self.port = port
    self.queue = queue
    self.gain = gain
    records = run.manifest.records
    classes = run.manifest.classes
    root = run.manifest.root.filePath
    title = run.recipe.name
    state = Mutex(
      State(
        decisions: try ReviewDecisions(contentsOf: run.directory.review),
        writer: try ReviewDecisions.Writer(run.directory.review)))
  }

  var address: String { "http://127.0.0.1:\(port)/\(token)/" }

  /// Decisions of this session, those that were taken back included.
  var decisionCount: Int { state.withLock { $0.count } }

  /// Photos of the queue that nobody has decided about.
  var openCount: Int {
    state.withLock { state in
      queue.items.count { state.decision(records[$0.id]) == nil }
    }
  }

  // MARK: Requests

  func answer(_ request: HTTPRequest, _ body: [UInt8]) -> HTTPResponse {
    if let refusal = refusal(of: request) { return refusal }
    let parts = request.target.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    switch (request.method, parts.dropFirst().map(String.init)) {
    case ("GET", [""]): return ReviewPage.response(title: title)
    case ("GET", ["items"]): return json { items() }
    case ("GET", let path) where path.count == 2 && path[0] == "photo": return photo(path[1])
    case ("POST", ["decide"]): return json { try decide(body) }
    case ("POST", ["undo"]): return json { try undo() }
    case ("POST", ["gain"]): return json { try gain() }
    case (_, let path)
    where [["items"], ["decide"], ["undo"], ["gain"], [""]].contains(Array(path)):
      return .text(405, "another method is expected")
    default: return .text(404, "there is nothing at this address")
    }
  }

  /// Only the page itself, opened under its own address on this machine, is answered.
  private func refusal(of request: HTTPRequest) -> HTTPResponse? {
    let hosts = ["127.0.0.1:\(port)", "localhost:\(port)"]
    guard let host = request.headers["host"], hosts.contains(host) else {
      return .text(403, "this page is for this machine: the Host header is another one")
    }
    if let origin = request.headers["origin"], !hosts.map({ "http://\($0)" }).contains(origin) {
      return .text(403, "another site asks")
    }
    if let site = request.headers["sec-fetch-site"], !["same-origin", "none"].contains(site) {
      return .text(403, "another site asks")
    }
    let given = request.target.dropFirst().prefix { $0 != "/" }
    guard isToken(given), request.target.dropFirst(1 + given.count).hasPrefix("/") else {
      return .text(403, "the address lacks the token that thaw review printed")
    }
    if request.method == "POST" {
      guard request.headers["content-type"] == "application/json" else {
        return .text(415, "application/json is expected")
      }
    }
    return nil
  }

  /// Compares all characters, so that time tells nothing.
  private func isToken(_ given: Substring) -> Bool {
    let (one, other) = (Array(given.utf8), Array(token.utf8))
    guard one.count == other.count else { return false }
    return zip(one, other).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
  }

  private struct Wrong: Error { let reason: String }

  private func json(_ body: () throws -> some Encodable) -> HTTPResponse {
    do {
      return HTTPResponse(body: Array(try JSONText.of(body()).utf8))
    } catch let error as Wrong {
      return .text(400, error.reason)
    } catch {
      return .text(500, "\(error)")
    }
  }

  // MARK: Answers

  private struct Items: Encodable {
    let title: String
    let classes: [String]
    let items: [ReviewQueue.Item]
    let decisions: [String: Decided]
  }

  /// What is in force for a photo.
  struct Decided: Encodable, Equatable {
    let action: String
    let label: String?
  }

  private struct Changed: Encodable {
    let id: Int
    let decision: Decided?
  }

  private func items() -> Items {
    state.withLock { state in
      var decisions: [String: Decided] = [:]
      for item in queue.items {
        decisions["\(item.id)"] = state.decision(records[item.id]).map(Decided.init)
      }
      return Items(title: title, classes: classes, items: queue.items, decisions: decisions)
    }
  }

  private struct Asked: Decodable {
    let id: Int
    let action: String
    let label: String?
  }

  private func decide(_ body: [UInt8]) throws -> Changed {
    guard let asked = try? JSONDecoder().decode(Asked.self, from: Data(body)),
      records.indices.contains(asked.id),
      let action = ReviewDecision.Action(rawValue: asked.action), action != .undo
    else { throw Wrong(reason: "id, action (keep, relabel, drop) and label are expected") }
    if action == .relabel {
      guard let label = asked.label, classes.contains(label) else {
        throw Wrong(reason: "a relabelling names one of the classes")
      }
    }
    return try write(action, label: action == .relabel ? asked.label : nil, asked.id) {
      $0.history.append(asked.id)
    }
  }

  private func undo() throws -> Changed {
    guard let last = state.withLock({ $0.history.last }) else {
      throw Wrong(reason: "nothing was decided since the page was opened")
    }
    return try write(.undo, label: nil, last) { _ = $0.history.popLast() }
  }

  /// On the disk before it is answered.
  private func write(
    _ action: ReviewDecision.Action, label: String?, _ id: Int,
    then change: (inout State) -> Void
  ) throws -> Changed {
    let record = records[id]
    return try state.withLock { state in
      // A decision made about the same contents elsewhere is this photo's own from now on.
      let decision = ReviewDecision(
        action, label: label, sha256: record.sha256, path: record.path,
        time: Int(Date().timeIntervalSince1970))
      try state.writer.append(decision)
      state.decisions.add(decision)
      state.count += 1
      change(&state)
      return Changed(id: id, decision: state.decision(record).map(Decided.init))
    }
  }

  /// A photo as a JPEG of moderate size, whatever its format is.
  private func photo(_ text: String) -> HTTPResponse {
    guard let id = Int(text), records.indices.contains(id) else {
      return .text(404, "there is no such photo")
    }
    let path = records[id].path.resolved(in: root)
    let picture = decoding.withLock { _ -> [UInt8]? in
      guard let bytes = try? PhotoFiles.read(path, limit: 1 << 28) else { return nil }
      return try? Thumbnail.jpeg(of: bytes, longerSide: 640)
    }
    guard let picture else { return .text(404, "the photo cannot be read any more") }
    return HTTPResponse(
      type: "image/jpeg", body: picture, headers: [("Cache-Control", "private, max-age=3600")])
  }
}

extension ReviewSession.Decided {
  fileprivate init(_ decision: ReviewDecision) {
    self.init(action: decision.action.rawValue, label: decision.label)
  }
}

extension ReviewSession.State {
  fileprivate func decision(_ record: Manifest.Record) -> ReviewDecision? {
    decisions.decision(sha256: record.sha256, path: record.path)
  }
}
