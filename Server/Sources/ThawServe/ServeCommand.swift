// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Logging
import Thaw

/// `thaw-serve`, which `thaw serve` starts.
@main
struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "thaw-serve",
    abstract:
      "Answer photos over HTTP; started by 'thaw serve', whose --help says what the options mean.")

  @Argument(help: "Models: a file, or NAME=FILE.") var models: [String]
  @Option(help: "Address to listen on.") var host = Settings().host
  @Option(help: "Port; 0 for a free one.") var port = Settings().port
  @Option(help: "File with the bearer token.") var tokenFile: String?
  @Option(help: "Further host name of this server.") var allowHost: [String] = []
  @Option(help: "Bytes of a body.") var maxBody = Settings().maximumBody
  @Option(help: "Pixels of a photo.") var maxPixels = Settings().maximumPixels
  @Option(help: "Milliseconds that a photo waits for others.") var latencyMs = Settings()
    .latencyMilliseconds
  @Option(help: "Photos computed at once.") var batch = Settings().batch
  @Option(help: "Photos that may wait.") var queue = Settings().queue
  @Option(help: "Compute threads.") var threads: Int?
  @Option(help: "Seconds for a request to arrive, and to be answered.") var timeout = Settings()
    .timeoutSeconds
  @Option(help: "Connections at once.") var connections = Settings().connections
  @Option(help: "Folder of photos to compare with.") var similar: String?
  @Flag(help: "One JSON document on stdout once it listens.") var json = false
  @Flag(help: "Log warnings and errors only.") var quiet = false

  func validate() throws {
    guard !models.isEmpty else { throw ValidationError("Give at least one model.") }
    func check<Number: Comparable>(_ name: String, _ value: Number, _ range: ClosedRange<Number>)
      throws
    {
      guard range.contains(value) else {
        throw ValidationError(
          "\(name) is \(value), expected \(range.lowerBound) to \(range.upperBound).")
      }
    }
    try check("--port", port, 0...65535)
    try check("--max-body", maxBody, 1024...(1 << 31))
    try check("--max-pixels", maxPixels, 1...(1 << 31))
    try check("--latency-ms", latencyMs, 0...1000)
    try check("--batch", batch, 1...256)
    try check("--queue", queue, 1...100_000)
    try check("--timeout", timeout, 1...3600)
    try check("--connections", connections, 1...100_000)
    if let threads { try check("--threads", threads, 1...1024) }
    guard latencyMs == 0 || batch > 1 else {
      throw ValidationError(
        "--latency-ms has no effect with --batch 1: a photo waits for no other.")
    }
  }

  func run() async throws {
    // A client that hangs up is no reason to end.
    signal(SIGPIPE, SIG_IGN)
    var settings = Settings()
    settings.models = try references()
    (settings.host, settings.port, settings.allowedHosts) = (host, port, allowHost)
    settings.token = try token()
    (settings.maximumBody, settings.maximumPixels) = (maxBody, maxPixels)
    (settings.latencyMilliseconds, settings.batch, settings.queue) = (latencyMs, batch, queue)
    settings.threads = threads ?? ImageClassifier.Configuration().workers
    (settings.timeoutSeconds, settings.connections) = (timeout, connections)
    settings.similar = similar
    let level: Logger.Level = quiet ? .warning : .info
    LoggingSystem.bootstrap { JSONLog(label: $0, level: level) }
    do { try await PredictionServer(settings, printsJSON: json).run() } catch {
      Failure.exit(error)
    }
  }

  private func references() throws -> [ModelShelf.Reference] {
    var references: [ModelShelf.Reference] = []
    for model in models {
      guard let reference = ModelShelf.Reference(model) else {
        throw ValidationError(
          "'\(model)' gives no name that can stand in an address: letters, digits and ._- only. Give one,"
            + " as in name=\(model).")
      }
      guard !references.contains(where: { $0.name == reference.name }) else {
        throw ValidationError(
          "Two models are called '\(reference.name)'. Name one of them, as in other=\(model).")
      }
      references.append(reference)
    }
    return references
  }

  /// From the file, or the environment: a token among the options could be read in the list of processes.
  private func token() throws -> String? {
    let text: String
    let place: String
    if let tokenFile {
      guard let contents = try? String(contentsOfFile: tokenFile, encoding: .utf8) else {
        throw ValidationError("--token-file: '\(tokenFile)' cannot be read.")
      }
      (text, place) = (contents, tokenFile)
    } else if let variable = ProcessInfo.processInfo.environment["THAW_SERVE_TOKEN"] {
      (text, place) = (variable, "THAW_SERVE_TOKEN")
    } else {
      return nil
    }
    let token = text.trimmingCharacters(in: .whitespacesAndNewlines)
    guard token.utf8.count >= 16, token.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
      throw ValidationError(
        "\(place): a token has at least 16 characters, no blanks and nothing beyond ASCII. Make one with"
          + " 'openssl rand -hex 32'.")
    }
    return token
  }
}

/// How a server that could not go on ends.
enum Failure {
  /// One `error:` line, and 65 for a model that cannot be used, 74 for an address that cannot be listened on.
  static func exit(_ error: any Error) -> Never {
    let isModel = error is ImageClassifierError || error is FolderError
    FileHandle.standardError.write(Data("error: \(error)\n".utf8))
    Foundation.exit(isModel ? 65 : 74)
  }
}
