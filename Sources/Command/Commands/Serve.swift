// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import SystemPackage
import ThawConsole
import ThawFiles
import ThawInference

/// `thaw serve`
///
/// The server is a program of its own, `thaw-serve`, so that whoever does not serve builds no HTTP. This
/// process becomes it: signals reach it, and its exit code is the command's.
struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Answer photos over HTTP: a page, JSON, and the Open Inference Protocol.",
    discussion: """
      Listens on this machine alone unless --host says otherwise, and answers
        curl --data-binary @photo.jpg http://127.0.0.1:8080/predict
      with the bits that 'thaw predict' gives. A page to try it is at /, what programs can ask at \
      /openapi.json, what happened at /metrics. A model file that is replaced is taken within seconds; \
      one that cannot be used leaves the model from before. SIGTERM and SIGINT let what was accepted be \
      answered. Logs go to stderr, a JSON document a line; with --json one document on stdout says where it \
      listens.
      """)

  @Argument(
    help: ArgumentHelp(
      "Model files, or NAME=FILE: the name is what its address says (default: the run's folder).",
      valueName: "model"),
    completion: Completions.models)
  var models: [String]

  @Option(help: "Address to listen on; 0.0.0.0 for every network of this machine.")
  var host = "127.0.0.1"

  @Option(help: "Port; 0 for one that is free.")
  var port = 8080

  @Option(
    help: ArgumentHelp(
      "File with a token that clients must send as 'Authorization: Bearer TOKEN' (default: the variable"
        + " THAW_SERVE_TOKEN, or none).", valueName: "file"),
    completion: .file())
  var tokenFile: String?

  @Option(
    help: ArgumentHelp(
      "Also answer requests for this host name, such as a proxy's; may be repeated.",
      valueName: "name"))
  var allowHost: [String] = []

  @Option(help: "Largest body, in bytes.")
  var maxBody = 32 << 20

  @Option(help: "Largest photo, in pixels; decided before memory is taken.")
  var maxPixels = 89_478_485

  @Option(help: "How long a photo may wait for others to be computed with, in milliseconds.")
  var latencyMs = 0.0

  @Option(help: "Photos that a thread computes at once.")
  var batch = 8

  @Option(help: "Photos that may wait; further ones are answered by 429.")
  var queue = 64

  @Option(help: "Seconds that a request may take to arrive, and again to be answered.")
  var timeout = 30

  @Option(help: "Connections at once; further ones wait.")
  var connections = 2048

  @Option(
    help: ArgumentHelp(
      "Photos, such as those of the training, among which the page shows the most similar ones.",
      valueName: "folder"),
    completion: .directory)
  var similar: String?

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    guard global.seed == nil else {
      throw ValidationError("--seed has no effect on serve: answers draw nothing at random.")
    }
    guard global.engine == .oneDNN else {
      throw ValidationError("--engine has no effect on serve: it computes with onednn.")
    }
  }

  func run() throws {
    guard let program = Self.program() else {
      // What is wrong with a model, a server that is built later would say as well.
      try requireModels()
      throw PipelineError.usage(
        "the server is a program of its own, thaw-serve, and is neither beside thaw nor in the PATH. Build it"
          + " with 'make server' in Thaw's source folder.")
    }
    var pointers: [UnsafeMutablePointer<CChar>?] = arguments(program).map { strdup($0) }
    pointers.append(nil)
    execv(program.string, pointers)
    let error = FileError(program, "start", .system(errno))
    for pointer in pointers { free(pointer) }
    throw error
  }

  /// - Throws: what reading the first model that cannot be read throws. Where there is no folder of cards, no
  ///   model is read, and nothing can be said of any.
  private func requireModels() throws {
    guard let context = try? Session(global).context() else { return }
    for argument in models {
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let isNamed = parts.count == 2 && !FileSystem.exists(FilePath(argument))
      _ = try ModelReference(isNamed ? String(parts[1]) : argument).read(context: context)
    }
  }

  /// What the server is told; it checks the values.
  private func arguments(_ program: FilePath) -> [String] {
    var list = [
      program.string, "--host", host, "--port", "\(port)", "--max-body", "\(maxBody)",
      "--max-pixels", "\(maxPixels)", "--latency-ms", "\(latencyMs)", "--batch", "\(batch)",
      "--queue",
      "\(queue)", "--timeout", "\(timeout)", "--connections", "\(connections)",
    ]
    if let tokenFile { list += ["--token-file", tokenFile] }
    if let similar { list += ["--similar", similar] }
    for name in allowHost { list += ["--allow-host", name] }
    if let threads = global.threads { list += ["--threads", "\(threads)"] }
    if global.json { list.append("--json") }
    if global.quiet { list.append("--quiet") }
    return list + ["--"] + models
  }

  /// Beside this program, in the package below the source folder it was built in, or on the PATH.
  private static func program() -> FilePath? {
    let folders = ProgramFolders.current
    let above = folders.aboveProgram
    var places = above.prefix(1).map { $0.appending("thaw-serve") }
    places += above.map { $0.appending("Server/.build/release/thaw-serve") }
    for folder in (folders.environment["PATH"] ?? "").split(separator: ":") {
      places.append(FilePath(String(folder)).appending("thaw-serve"))
    }
    return places.first { place in
      (try? FileStatus(of: place).kind) == .regular && access(place.string, X_OK) == 0
    }
  }
}
