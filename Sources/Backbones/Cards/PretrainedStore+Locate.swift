// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
package import ThawFiles

extension PretrainedStore {
  /// The name of the folder of cards wherever it is.
  private static let name = "Pretrained"

  /// Finds the cards and the place for weights. The first folder of cards that is there is taken:
  ///
  /// 1. the one that `THAW_PRETRAINED` names in the environment; it must be there;
  /// 2. `Pretrained` in the working directory;
  /// 3. `Pretrained` in a directory above the program (a checkout's root);
  /// 4. `PREFIX/share/thaw/Pretrained` of a program installed as `PREFIX/bin/thaw`.
  ///
  /// In the first three cases weights are put beside their cards. In the fourth, and where that folder
  /// cannot be written to, they are put in `XDG_CACHE_HOME/thaw`, or `~/.cache/thaw`, which is created
  /// once something is put there. A folder of the working directory or above the program counts only
  /// if there is a card in it.
  ///
  /// - Throws: ``BackboneError/badCard(file:reason:)`` when there is none.
  package static func locate(
    _ folders: ProgramFolders = .current
  ) throws(BackboneError) -> PretrainedStore {
    if let named = folders.environment["THAW_PRETRAINED"] {
      guard FileSystem.exists(FilePath(named)) else {
        throw .badCard(
          file: named, reason: "no such folder. Set THAW_PRETRAINED to the folder of cards.")
      }
      return PretrainedStore(besideCards: FilePath(named), otherwise: folders.cache)
    }
    let candidates = [FilePath(name)] + folders.aboveProgram.map { $0.appending(name) }
    if let found = candidates.first(where: hasCards) {
      return PretrainedStore(besideCards: found, otherwise: folders.cache)
    }
    if let shared = folders.shared?.appending(name), hasCards(shared) {
      return PretrainedStore(cards: shared, own: folders.cache)
    }
    throw .badCard(
      file: name,
      reason: "no such folder of cards here, above the program or installed with it."
        + " Set THAW_PRETRAINED to the folder of cards.")
  }

  private init(besideCards cards: FilePath, otherwise other: FilePath?) {
    let isWritable = cards.withPlatformString { access($0, W_OK) == 0 }
    self.init(cards: cards, own: isWritable ? cards : other)
  }

  private static func hasCards(_ folder: FilePath) -> Bool {
    guard let names = try? FileSystem.list(folder) else { return false }
    return names.contains { $0.string.hasSuffix(".yml") }
  }
}
