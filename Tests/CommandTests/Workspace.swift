// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles
import ThawTestSupport
import ThawTinyBackbone

/// A directory to run commands in, with generated photos in `photos/CLASS`.
final class Workspace: Sendable {
  private let directory: TemporaryDirectory
  var path: FilePath { directory.path }
  /// Added to the environment of every command. A folder `cards` here replaces the common ones.
  private var environment: [String: String] {
    let own = file("cards")
    let cards = FileSystem.exists(own) ? own : TinyBackbone.directory
    return ["THAW_PRETRAINED": cards.string]
  }

  /// - Parameters:
  ///   - classes: names of the classes; their photos look different.
  ///   - count: photos of each.
  init(classes: [String] = ["blue", "red"], count: Int = 12) throws {
    directory = try TemporaryDirectory()
    for (index, name) in classes.enumerated() {
      for number in 0..<count { try addPhoto(name, kind: index, number: number) }
    }
  }

  /// The path of a file of the workspace.
  func file(_ name: String) -> FilePath { path.pushing(FilePath(name)) }

  /// Writes `photos/CLASS/NUMBER.png`, an image that looks like its `kind` and is unlike any other.
  @discardableResult
  func addPhoto(_ className: String, kind: Int, number: Int, named name: String? = nil) throws
    -> FilePath
  {
    let folder = file("photos").appending(className)
    try FileSystem.createDirectory(folder)
    let photo = folder.appending(name ?? "\(number).png")
    try AtomicFile.write(photo, bytes: try Workspace.photo(kind: kind, number: number))
    return photo
  }

  /// A PNG: colour and stripes tell the kind, noise the number.
  static func photo(kind: Int, number: Int) throws -> [UInt8] {
    try TinyPhotos.png(kind: kind, number: number)
  }

  /// Starts the command in the workspace.
  func start(_ arguments: [String], shell: String? = nil) throws -> ThawProcess {
    // What it writes among the cards is seen by no other test.
    if arguments.starts(with: ["pretrained", "import"]), !FileSystem.exists(file("cards")) {
      try TinyBackbone.write(to: file("cards"))
    }
    return try ThawProcess(arguments, in: path, environment: environment, shell: shell)
  }

  /// Runs the command to its end.
  func thaw(_ arguments: String..., shell: String? = nil) throws -> Outcome {
    try start(arguments, shell: shell).wait()
  }

  /// `fit photos --run run` with the tests' backbone and few epochs.
  func fit(_ more: String...) throws -> Outcome {
    try start(["fit", "photos", "--run", "run"] + Workspace.recipe + more).wait()
  }

  /// `prepare photos --run run` with the tests' backbone.
  func prepare(_ more: String...) throws -> Outcome {
    try start(["prepare", "photos", "--run", "run"] + Workspace.recipe + more).wait()
  }

  static let recipe = ["--backbone", TinyBackbone.name, "--epochs", "30", "--no-fine-tune"]

  /// The bytes of a file of the workspace.
  func read(_ name: String) throws -> [UInt8] { try FileSystem.read(file(name)) }

  /// The text of a file of the workspace.
  func text(_ name: String) throws -> String { String(decoding: try read(name), as: UTF8.self) }

  /// A workspace with a finished run, shared by tests that change nothing in it.
  static let fitted = Result { () throws -> FittedWorkspace in
    let workspace = try Workspace(classes: ["blue", "red", "green stripes 🌿"])
    let outcome = try workspace.fit("--json", "--test", "0.2")
    // Here because it writes in the run, which only one process may do at a time.
    let evaluation = try workspace.thaw("evaluate", "--run", "run", "--json")
    return FittedWorkspace(workspace: workspace, outcome: outcome, evaluation: evaluation)
  }
}

/// A finished run and what was said about it.
struct FittedWorkspace: Sendable {
  let workspace: Workspace
  /// What `thaw fit --json` said.
  let outcome: Outcome
  /// What `thaw evaluate --json` said.
  let evaluation: Outcome
}
