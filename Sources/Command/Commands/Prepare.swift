// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawConsole
import ThawFiles
import ThawRecipes
import ThawRuns

/// `thaw prepare`
struct Prepare: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Scan a folder of photos, verify every file, split into training and validation.",
    discussion: RecipeOptions.discussion)

  @Argument(
    help:
      "Folder with one sub-folder per class, or with train/valid/test above them; a zip or tar file of one."
  )
  var data: FilePath

  @OptionGroup var newRun: NewRunOptions
  @OptionGroup var recipe: RecipeOptions
  @OptionGroup(title: "Every command") var global: GlobalOptions

  func run() throws {
    let session = Session(global)
    let directory = try newRun.directory(for: data)
    let recipe = try recipe.resolved(
      run: directory, seed: global.seed, console: session.console)
    let stage = PrepareStage(directory, context: try session.context())
    let summary = try stage.prepare(
      data, recipe: recipe, requests: self.recipe.requests)
    try session.print(summary, text: summary.text)
  }
}

extension PrepareStage.Summary {
  /// A table of classes for people.
  var text: String {
    var table = TextTable("class", ">train", ">valid", ">test")
    for row in classes {
      table.append([row.name, "\(row.train)", "\(row.valid)", "\(row.test)"])
    }
    let verb = unchanged ? "unchanged since the last time" : "prepared"
    return
      "\(root): \(counted(count, "photo")), \(counted(classes.count, "class", "classes")), \(verb)\n"
      + table.text(width: OutputSink.tableColumns)
      + "\nA look at the photos: \(page)"
  }
}
