// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawRecipes

/// Photos that a finished model is judged on or diagnosed with: a folder or an archive, labelled by its
/// folders or by a table.
package struct LabelledPhotos: Sendable {
  /// Where the photos are.
  package let folder: FilePath
  private let settings: Recipe.Data

  /// - Parameters:
  ///   - labels: a table in place of class folders; nil for the folders, or for a `metadata.csv` among the photos.
  ///   - columns: of the table, as `path=A,label=B,split=C`; nil to find them.
  package init(_ folder: FilePath, labels: String? = nil, columns: String? = nil) {
    self.folder = folder
    var settings = Recipe().data
    settings.labels = labels ?? ""
    settings.tableColumns = columns ?? ""
    self.settings = settings
  }

  /// The photos as they lie there, with notes said; no class need be complete.
  ///
  /// - Throws: `DatasetError`.
  /// - Parameter console: nil to say nothing.
  func scan(_ console: Console?) throws -> FolderScan {
    var options = FolderScanner.Options()
    options.requiresTraining = false
    options.requiresAllClasses = false
    let scan = try PhotoSource(folder, settings).scan(options, console: console)
    for note in scan.notes { console?.warn(note.description) }
    return scan
  }

  /// Whether a table gives the labels, so that photos without are not asked for.
  var hasTable: Bool { !settings.labels.isEmpty }
}
