// SPDX-License-Identifier: Apache-2.0

import SystemPackage
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
}
