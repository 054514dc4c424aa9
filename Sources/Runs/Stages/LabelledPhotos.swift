// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import ThawConsole
package import ThawDatasets
import ThawFiles
package import ThawRecipes

/// Photos that a finished model is judged on or diagnosed with: a folder or an archive, labelled by its
/// folders or by a table.
package struct LabelledPhotos: Sendable {
  /// Where the photos are.
  package let folder: FilePath
  private let settings: Recipe.Data

  /// - Parameter labels: where the labels are; by itself the folders, or a `metadata.csv` among the photos.
  package init(_ folder: FilePath, labels: Recipe.Data = Recipe.Data()) {
    self.folder = folder
    settings = labels
  }

  /// The photos as they lie there, with notes said; no class need be complete.
  ///
  /// - Throws: `DatasetError`.
  /// - Parameter console: nil to say nothing.
  func scan(_ console: Console?) throws -> FolderScan {
    var options = FolderScanner.Options()
    options.requiresTraining = false
    options.requiresAllClasses = false
    options.layout = settings.layout.given
    let scan = try PhotoSource(folder, settings).scan(options, console: console)
    for note in scan.notes { console?.warn(note.description) }
    return scan
  }

  /// As ``scan(_:)``, for what can do with nothing but one label a photo.
  ///
  /// - Throws: `DatasetError`; ``PipelineError/data(_:)`` for a table that gives several.
  package func scanOfSingleLabels(_ console: Console?) throws -> FolderScan {
    let scan = try scan(console)
    guard !scan.severalLabels else {
      throw PipelineError.data(
        "\(folder.displayed): the table gives several labels a photo; a diagnosis needs one. If each photo"
          + " has exactly one, say --several-labels no.")
    }
    return scan
  }

  /// Whether a table gives the labels, so that photos without are not asked for.
  var hasTable: Bool { !settings.labels.isEmpty }
}
