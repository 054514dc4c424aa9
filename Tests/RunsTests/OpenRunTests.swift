// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawBackbones
import ThawConfiguration
import ThawConsole
import ThawFiles
import ThawInference
import ThawRecipes
import ThawRuns
import ThawTestSupport

/// A run directory under its lock.
struct OpenRunTests {
  private let temporary: TemporaryDirectory
  private let directory: RunDirectory

  init() throws {
    temporary = try TemporaryDirectory()
    directory = RunDirectory(temporary.path.appending("run"))
  }

  /// The least that `thaw prepare` leaves.
  private func prepare(_ recipe: String = Recipe().yaml) throws {
    try FileSystem.createDirectory(directory.path)
    try AtomicFile.write(directory.recipe, text: recipe)
    let manifest =
      #"{"version":1,"root":"/photos","layout":"classes","classes":["a","b"],"records":[],"#
      + #""bad":[],"notes":[],"duplicates":[],"seed":1}"#
    try AtomicFile.write(directory.manifest, text: manifest)
  }

  private func open() throws -> OpenRun {
    try OpenRun(
      directory,
      context: StageContext(
        console: Console(isQuiet: true), threads: 1,
        pretrained: PretrainedStore(directory: temporary.path)))
  }

  @Test func aDirectoryThatWasNeverPreparedIsNotMade() {
    #expect(throws: PipelineError.self) { try open() }
    #expect(!FileSystem.exists(directory.path))
  }

  @Test func nothingIsReadBeforeTheLockIsHeld() throws {
    try prepare("backbone: [")
    let held = try directory.lock()
    let error = #expect(throws: FileError.self) { try open() }
    #expect(error?.reason == .inUse(process: getpid()))
    withExtendedLifetime(held) {}
  }

  @Test func theLockLastsAsLongAsACopyOfTheRun() throws {
    try prepare()
    do {
      let run = try open().with(Recipe())
      #expect(throws: FileError.self) { try open() }
      withExtendedLifetime(run) {}
    }
    #expect(throws: Never.self) { try open() }
  }

  @Test func anotherRecipeIsInForceOnceItIsSaved() throws {
    try prepare()
    var recipe = Recipe()
    recipe.train.epochs = 5
    let run = try open().with(recipe)
    #expect(run.recipe == recipe)
    #expect(try directory.loadRecipe() == Recipe(), "trying a recipe changes nothing")
    try run.saveRecipe()
    #expect(try directory.loadRecipe() == recipe)
  }
}
