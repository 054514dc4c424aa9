// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
import Testing

/// From the start over changed files to the end.
struct LifeTests {
  @Test func aChangedFileIsTakenWithoutDroppingARequest() async throws {
    let trained = try Trained.shared
    let file = try trained.copy(of: trained.model)
    let server = try TestServer([file.path])
    let photo = try trained.photo("blue", 0)
    func version() throws -> String? {
      (try server.ask("/v2/models/mine").json()["versions"] as? [String])?.first
    }
    let first = try #require(try version())
    let port = server.port
    let isOver = Mutex(false)
    let load = Task {
      try await onThread {
        var versions: [String] = []
        let socket = try Socket(port: port)
        while !isOver.withLock({ $0 }) {
          socket.send(
            Array(
              "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(photo.count)\r\n\r\n"
                .utf8)
              + photo)
          let answer = try Answer(from: socket)
          #expect(answer.status == 200, "\(answer.text)")
          versions.append(try answer.json()["model_version"] as? String ?? "")
        }
        return versions
      }
    }
    // In the place of the old one, as it should be done; then broken, written over; then whole again.
    let next = file.deletingLastPathComponent().appendingPathComponent("next")
    try FileManager.default.copyItem(atPath: trained.other, toPath: next.path)
    #expect(rename(next.path, file.path) == 0)
    try await until { try version() != first }
    let second = try #require(try version())
    try Data("broken".utf8).write(to: file)
    try await until { try server.metric("thaw_model_stale{model=\"mine\"}") == 1 }
    #expect(try version() == second)
    #expect(try server.metric("thaw_model_reload_failures_total{model=\"mine\"}") == 1)
    let models = try JSONSerialization.jsonObject(with: Data(try server.ask("/models").body))
    let problem = (models as? [[String: Any]])?.first?["problem"] as? String
    #expect(problem?.contains("mine.safetensors") == true, "\(problem ?? "none")")
    #expect(server.logged.contains("the model from before goes on answering"))
    try FileManager.default.removeItem(at: file)
    try await until { server.logged.contains("the file is gone") }
    try FileManager.default.copyItem(atPath: trained.model, toPath: file.path)
    try await until { try version() == first }
    #expect(try server.metric("thaw_model_stale{model=\"mine\"}") == 0)
    isOver.withLock { $0 = true }
    let versions = try await load.value
    #expect(Set(versions) == [first, second] && versions.count > 20)
  }

  /// Waits until something is so, for half a minute.
  private func until(_ isSo: () throws -> Bool) async throws {
    for _ in 0..<300 {
      if try isSo() { return }
      try await Task.sleep(for: .milliseconds(100))
    }
    Issue.record("It did not become so.")
  }

  @Test(arguments: [SIGTERM, SIGINT])
  func whatWasAcceptedIsAnsweredBeforeTheEnd(_ signal: Int32) async throws {
    let trained = try Trained.shared
    let server = try TestServer(["--threads", "1", trained.model])
    let idle = try Socket(port: server.port)
    let slow = Bitmap.bytes([UInt8](repeating: 90, count: 1500 * 1500 * 3), 1500, 1500)
    let sockets = try (0..<6).map { _ in try Socket(port: server.port) }
    for socket in sockets {
      socket.send(
        Array(
          "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(slow.count)\r\n\r\n".utf8)
          + slow)
    }
    // All are on their way when the server is told to stop.
    for _ in 0..<100 where try server.metric("thaw_http_requests_in_flight") ?? 0 < 7 {
      try await Task.sleep(for: .milliseconds(5))
    }
    #expect(server.stop(signal) == 0, "\(server.logged)")
    for socket in sockets { #expect(try Answer(from: socket).status == 200) }
    #expect(try idle.receive() == nil)
    #expect(throws: Socket.Failure.self) { _ = try Socket(port: server.port) }
    #expect(server.logged.contains("\"stopped\""))
  }

  @Test func theCommandBecomesTheServer() throws {
    let trained = try Trained.shared
    let server = try TestServer(
      ["--threads", "1", "a=\(trained.model)", "b=\(trained.other)"], throughCommand: true)
    let models = try JSONSerialization.jsonObject(with: Data(try server.ask("/models").body))
    #expect((models as? [[String: Any]])?.map { $0["name"] as? String } == ["a", "b"])
    let photo = try trained.photo("red", 0)
    #expect(try server.ask("POST", "/predict", body: photo).status == 400)
    let (a, b) = (
      try server.ask("POST", "/predict/a", body: photo).json(),
      try server.ask("POST", "/predict/b", body: photo).json()
    )
    #expect(a["model"] as? String == "a" && b["model"] as? String == "b")
    #expect(a["model_version"] as? String != b["model_version"] as? String)
    #expect(server.stop() == 0)
  }

  @Test func whatCannotBeServedIsSaidBeforeItListens() throws {
    let trained = try Trained.shared
    func outcome(_ arguments: [String]) throws -> (Int32, String) {
      let run = try Built.run(Built.thaw, ["serve"] + arguments)
      #expect(run.stdout.isEmpty)
      return (run.status, run.stderr)
    }
    let broken = trained.folder.appendingPathComponent("broken.safetensors")
    try Data("no model".utf8).write(to: broken)
    #expect(try outcome([broken.path]).0 == 65)
    #expect(
      try outcome([trained.folder.appendingPathComponent("missing.safetensors").path]).0 == 65)
    let unnameable = trained.folder.appendingPathComponent("my photos/model.safetensors")
    try FileManager.default.createDirectory(
      at: unnameable.deletingLastPathComponent(), withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: trained.model, toPath: unnameable.path)
    for (arguments, text) in [
      ([], "model"), ([trained.model, trained.model], "Two models are called 'run'"),
      ([unnameable.path], "gives no name"),
      ([trained.model, "--port", "70000"], "--port"),
      ([trained.model, "--latency-ms", "5", "--batch", "1"], "no effect"),
      ([trained.model, "--seed", "1"], "no effect"), ([trained.model, "--queue", "0"], "--queue"),
      ([trained.model, "--max-body", "12"], "--max-body"),
      ([trained.model, "--timeout", "0"], "--timeout"),
    ] as [([String], String)] {
      let (status, message) = try outcome(arguments)
      #expect(status == 64 && message.contains(text), "\(arguments): \(status) \(message)")
    }
    // An equals sign may belong to a folder.
    let equal = trained.folder.appendingPathComponent("lr=0.1/model.safetensors")
    try FileManager.default.createDirectory(
      at: equal.deletingLastPathComponent(), withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: trained.model, toPath: equal.path)
    #expect(try outcome([equal.path]).1.contains("gives no name"))
    let named = try TestServer(["rate=\(equal.path)"])
    #expect(try named.ask("/v2/models/rate").status == 200)
    let server = try TestServer([trained.model])
    let (status, message) = try outcome([trained.model, "--port", "\(server.port)"])
    #expect(status == 74 && message.contains("cannot listen"), "\(status) \(message)")
  }

  @Test func aMissingServerIsSaidWithTheWayToBuildIt() throws {
    let trained = try Trained.shared
    let alone = trained.folder.appendingPathComponent("alone")
    try FileManager.default.createDirectory(at: alone, withIntermediateDirectories: true)
    let thaw = alone.appendingPathComponent("thaw")
    try FileManager.default.copyItem(at: Built.thaw, to: thaw)
    let without = try Built.run(thaw, ["serve", trained.model], environment: ["PATH": "/nowhere"])
    #expect(without.status == 64 && without.stderr.contains("make server"), "\(without.stderr)")
    // Beside the command, as an installation has it.
    try FileManager.default.copyItem(
      at: Built.server, to: alone.appendingPathComponent("thaw-serve"))
    let with = try Built.run(
      thaw, ["serve", "/nowhere.safetensors"], environment: ["PATH": "/nowhere"])
    #expect(with.status == 65 && with.stderr.contains("nowhere.safetensors"), "\(with.stderr)")
  }
}
