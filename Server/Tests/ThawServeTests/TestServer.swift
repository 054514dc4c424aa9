// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
import Testing

/// The built server with models, on a port of its own, until it is stopped or this goes.
final class TestServer {
  let port: Int
  let process: Process
  private let log: URL

  /// - Parameters:
  ///   - arguments: options and models.
  ///   - throughCommand: whether `thaw serve` starts it.
  init(
    _ arguments: [String], environment: [String: String] = [:], throughCommand: Bool = false
  ) throws {
    process = Process()
    log = FileManager.default.temporaryDirectory.appendingPathComponent("serve-\(UUID()).log")
    _ = FileManager.default.createFile(atPath: log.path, contents: nil)
    process.executableURL = throughCommand ? Built.thaw : Built.server
    process.arguments = (throughCommand ? ["serve"] : []) + ["--port", "0", "--json"] + arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let output = Pipe()
    process.standardOutput = output
    process.standardError = try FileHandle(forWritingTo: log)
    try process.run()
    var line = Data()
    while let byte = try output.fileHandleForReading.read(upToCount: 1), !byte.isEmpty,
      byte[0] != 10
    {
      line += byte
    }
    struct Document: Decodable { let address: String }
    guard let document = try? JSONDecoder().decode(Document.self, from: line),
      let port = URL(string: document.address)?.port
    else {
      process.waitUntilExit()
      throw Socket.Failure(
        text: "\(process.terminationStatus): "
          + ((try? String(contentsOf: log, encoding: .utf8)) ?? ""))
    }
    self.port = port
  }

  deinit {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    try? FileManager.default.removeItem(at: log)
  }

  /// What it wrote to stderr.
  var logged: String { (try? String(contentsOf: log, encoding: .utf8)) ?? "" }

  /// Sends a signal and waits for the end.
  func stop(_ signal: Int32 = SIGTERM) -> Int32 {
    kill(process.processIdentifier, signal)
    process.waitUntilExit()
    return process.terminationStatus
  }

  /// Memory in use, in bytes.
  var residentBytes: Int {
    let text =
      (try? String(contentsOfFile: "/proc/\(process.processIdentifier)/statm", encoding: .utf8))
    return (text?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096
  }

  /// A request on a connection of its own.
  func ask(
    _ method: String = "GET", _ path: String, headers: [(String, String)] = [], body: [UInt8] = []
  ) throws -> Answer {
    try ask(Socket(port: port), method, path, headers: headers, body: body)
  }

  /// A request on a connection.
  func ask(
    _ socket: Socket, _ method: String = "GET", _ path: String, headers: [(String, String)] = [],
    body: [UInt8] = []
  ) throws -> Answer {
    var head = "\(method) \(path) HTTP/1.1\r\n"
    if !headers.contains(where: { $0.0 == "Host" }) { head += "Host: 127.0.0.1:\(port)\r\n" }
    for (name, value) in headers { head += "\(name): \(value)\r\n" }
    if !body.isEmpty || method == "POST" { head += "Content-Length: \(body.count)\r\n" }
    socket.send(Array("\(head)\r\n".utf8) + body)
    return try Answer(from: socket, isHead: method == "HEAD")
  }

  /// Bytes as they are, and what comes back: the status of the first answer, or nil for none.
  func status(ofRaw bytes: String) throws -> Int? {
    let socket = try Socket(port: port)
    socket.send(bytes)
    socket.finishSending()
    let text = String(decoding: try socket.receiveAll(), as: UTF8.self)
    return text.split(separator: " ").dropFirst().first.flatMap { Int($0) }
  }

  /// The value of a sample of /metrics.
  func metric(_ sample: String) throws -> Double? {
    let text = try ask("/metrics").text
    return text.split(separator: "\n").first { $0.hasPrefix(sample + " ") }
      .flatMap { Double($0.dropFirst(sample.count + 1)) }
  }
}

extension TestServer {
  /// `/metrics` and the like, without naming the method.
  func ask(_ path: String) throws -> Answer { try ask("GET", path) }
}

/// The programs under test.
enum Built {
  private static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  static let server = package.appendingPathComponent(".build/release/thaw-serve")
  private static let main = package.deletingLastPathComponent().appendingPathComponent(
    ".build/release")
  static let thaw = main.appendingPathComponent("thaw")
  static let tool = main.appendingPathComponent("thaw-test-tool")

  /// Runs a program to its end.
  static func run(
    _ program: URL, _ arguments: [String], environment: [String: String] = [:]
  ) throws -> (status: Int32, stdout: Data, stderr: String) {
    let process = Process()
    process.executableURL = program
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let folder = FileManager.default.temporaryDirectory
    let (out, err) = (
      folder.appendingPathComponent("\(UUID())"), folder.appendingPathComponent("\(UUID())")
    )
    for file in [out, err] { _ = FileManager.default.createFile(atPath: file.path, contents: nil) }
    defer { for file in [out, err] { try? FileManager.default.removeItem(at: file) } }
    process.standardOutput = try FileHandle(forWritingTo: out)
    process.standardError = try FileHandle(forWritingTo: err)
    process.standardInput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    return (
      process.terminationStatus, try Data(contentsOf: out),
      try String(contentsOf: err, encoding: .utf8)
    )
  }
}

/// Photos and models trained on them, made once a test run by the built programs.
final class Trained: Sendable {
  let folder: URL
  var model: String { folder.appendingPathComponent("run/model.safetensors").path }
  /// Another model of the same classes.
  var other: String { folder.appendingPathComponent("other/model.safetensors").path }

  private init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("serve-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let prepared = try Built.run(Built.tool, ["prepare", folder.path])
    guard prepared.status == 0 else { throw Socket.Failure(text: prepared.stderr) }
    for (run, seed) in [("run", "1"), ("other", "2")] {
      let fitted = try Built.run(
        Built.thaw,
        [
          "fit", folder.appendingPathComponent("photos").path, "--run",
          folder.appendingPathComponent(run).path, "--backbone", "tiny", "--no-fine-tune", "--seed",
          seed,
          "--quiet",
        ], environment: ["THAW_PRETRAINED": folder.appendingPathComponent("cards").path])
      guard fitted.status == 0 else { throw Socket.Failure(text: fitted.stderr) }
    }
  }

  private static let making = Mutex<Result<Trained, any Error>?>(nil)

  static var shared: Trained {
    get throws {
      try making.withLock { made in
        let result = made ?? Result { try Trained() }
        made = result
        return try result.get()
      }
    }
  }

  /// The bytes of a photo.
  func photo(_ label: String, _ number: Int) throws -> [UInt8] {
    Array(try Data(contentsOf: url(label, number)))
  }

  func url(_ label: String, _ number: Int) -> URL {
    folder.appendingPathComponent("photos/\(label)/\(number).jpg")
  }

  /// A copy of a model that may be overwritten.
  func copy(of model: String) throws -> URL {
    let own = folder.appendingPathComponent("copy-\(UUID())")
    try FileManager.default.createDirectory(at: own, withIntermediateDirectories: true)
    let file = own.appendingPathComponent("mine.safetensors")
    try FileManager.default.copyItem(atPath: model, toPath: file.path)
    return file
  }
}
