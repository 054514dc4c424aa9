// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawConfiguration
import ThawConsole
import ThawFiles

extension FilePath {
  /// The recipe that `--recipe` means: this file, or one of those that came with the program, by the
  /// name of its file (`hymenoptera`) or as a checkout names it (`Pipelines/hymenoptera.yml`).
  ///
  /// They are looked for in `Pipelines` above the program (a checkout) and in
  /// `PREFIX/share/thaw/Pipelines`. This file itself when there is none, so that it is what an error
  /// names.
  func recipeFile(_ folders: ProgramFolders = .current) -> FilePath {
    guard isRelative, !FileSystem.exists(self) else { return self }
    let name =
      components.count == 1 ? FilePath("Pipelines").pushing(FilePath(string + ".yml")) : self
    let places = (folders.aboveProgram + [folders.shared].compactMap { $0 })
      .map { $0.pushing(name) }
    return places.first(where: FileSystem.exists) ?? self
  }

  /// The same; a file that is there.
  ///
  /// - Throws: `PipelineError.usage` with the names of the recipes that came with the program.
  func foundRecipeFile() throws(PipelineError) -> FilePath {
    let file = recipeFile()
    guard !FileSystem.exists(file) else { return file }
    let known = FilePath.recipeNames
    let near = Suggestions.question(stem ?? string, among: known)
    let came = known.isEmpty ? "none" : known.joined(separator: ", ")
    throw .usage(
      "--recipe: there is no file \(displayed), and none of that name came with thaw."
        + (near.map { " \($0)" } ?? " Those that came: \(came)."))
  }

  /// The names of the recipes that came with the program.
  static var recipeNames: [String] {
    let folder = FilePath("Pipelines/stamps.yml").recipeFile().removingLastComponent()
    let files = (try? FileSystem.list(folder)) ?? []
    return files.filter { $0.extension == "yml" }.map(\.stem).sorted()
  }
}
