// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDatasets
import ThawTraining

/// The result in one number and a few sentences, and what speaks against believing it.
extension HTMLReport {
  var headline: Markup {
    guard let words else { return "" }
    let few: Markup = words.isFew ? " few" : ""
    let lines = [
      words.basis, words.guessing, words.crossValidation, words.pictures, words.interval,
      words.smallClasses,
    ].compactMap { $0 }
    return """
      <div class="headline" id="result"><p class="figure\(few)">\(words.figure)</p>\
      <div><p class="verdict">\(words.plain)</p><p>\(words.mistakes)</p>\
      <p class="fine">\(lines.joined(separator: " "))\(augmentationLine)</p></div></div>

      """
  }

  /// Says next to the result whether photos were varied, because few read as far as the section.
  private var augmentationLine: Markup {
    optional(content.network) {
      let state: Markup = $0.isAugmented ? "on" : "off"
      return " <a href=\"#augmentation\">Augmentation was <strong>\(state)</strong>.</a>"
    }
  }

  var warnings: Markup {
    let warnings = doubts
    guard !warnings.isEmpty else { return "" }
    let items = warnings.map { "<li>\($0)</li>" as Markup }
    return """
      <div class="note warn" id="warnings"><p class="label">Before you trust this</p><ul>\
      \(Markup.joined(items))</ul></div>

      """
  }

  /// What is odd about the photos, without what a scan rightly passes over.
  private var doubts: [String] {
    guard let manifest = content.manifest else { return [] }
    let passedOver = Set(manifest.notes.filter(\.isHarmless).map(\.description))
    return manifest.warnings.filter { !passedOver.contains($0) }
  }

  /// What the scan passed over, for the section about the photos.
  var passedOver: Markup {
    let notes = content.manifest?.notes.filter(\.isHarmless) ?? []
    guard !notes.isEmpty else { return "" }
    let items = notes.map { "<li>\($0.description)</li>" as Markup }
    return folded("Passed over", "<ul>\(Markup.joined(items))</ul>")
  }
}

extension ScanNote {
  /// Whether it says nothing about the photos: no image was left out and no label is in doubt.
  fileprivate var isHarmless: Bool {
    switch kind {
    case .ignored, .otherFile, .otherFolder, .emptyFolder, .notRegular, .linkLoop, .outerFolder,
      .droppedInReview:
      true
    case .unsupportedFormat, .looseImage, .leftOutFolder, .unlabelledFolder, .linkOutside,
      .nearDuplicate, .lookAlike, .unlisted, .labelSpelling, .ungrouped, .contradictingLabel:
      false
    }
  }
}
