// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDatasets
import ThawRecipes

extension PrepareStage {
  /// What somebody asked for now, in place of what a recipe has anyway.
  package struct Requests: OptionSet, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }
    /// The share of validation photos.
    package static let valid = Requests(rawValue: 1)
    /// The share of test photos.
    package static let test = Requests(rawValue: 2)
    /// To stop when the validation loss stays as it is.
    package static let patience = Requests(rawValue: 4)
    /// To read every file again, however unchanged its time and inode are.
    package static let verifyContents = Requests(rawValue: 8)
  }
}

extension PrepareStage.Requests {
  /// - Throws: ``PipelineError/usage(_:)`` for one that the photos leave without effect.
  func requireEffect(_ scan: FolderScan, _ recipe: Recipe) throws(PipelineError) {
    let folders = Set(scan.files.compactMap(\.split))
    if contains(.valid), folders.contains(.valid) {
      throw .withoutEffect("--valid", "\(scan.root.displayed) has validation photos of its own")
    }
    if contains(.test), let own = [Split.test, .valid].first(where: folders.contains) {
      throw .withoutEffect(
        "--test", "\(scan.root.displayed) has \(own.photos) of its own, so the split is given")
    }
    if contains(.patience), recipe.data.valid == 0, !folders.contains(.valid) {
      throw .patienceWithoutValidation
    }
  }
}

extension PipelineError {
  static let patienceWithoutValidation = withoutEffect(
    "--patience", "there are no validation photos")

  fileprivate static func withoutEffect(_ option: String, _ reason: String) -> PipelineError {
    .usage("\(option) has no effect: \(reason).")
  }
}

extension Split {
  /// For people.
  fileprivate var photos: String {
    switch self {
    case .train: "training photos"
    case .valid: "validation photos"
    case .test: "test photos"
    }
  }
}
