// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawAnswers
import ThawConsole
import ThawFiles

/// `thaw similar`
struct Similar: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Find the photos that a network sees as most like others.",
    discussion: """
      --in is a folder of photos, or vectors that thaw embed wrote as .npy with the same model and layer; \
      every one is compared, none is skipped by an index. A photo is not its own answer. Similarity is the \
      cosine between two vectors: 1 is the same direction.
      """)

  @Argument(help: "Photos whose like is wanted, or folders of them.")
  var images: [FilePath]

  @Option(
    help: "Model file, checkpoint, or the name of a pretrained backbone.",
    completion: Completions.models)
  var model: String

  @OptionGroup var foreign: ForeignModelOptions

  @Option(name: .customLong("in"), help: "Folder of photos, or a .npy file of vectors.")
  var collection: FilePath

  @Option(help: "How many are given for each photo.")
  var top = 5

  @Option(help: "The layer that photos are compared by (default: what the head takes).")
  var layer: String?

  @Option(help: "Also write a contact sheet, .jpg or .png: a row a photo, it first.")
  var sheet: FilePath?

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    guard top >= 1 else { throw ValidationError("--top is \(top), expected at least 1.") }
    if let sheet, !["jpg", "jpeg", "png"].contains(sheet.extension?.lowercased() ?? "") {
      throw ValidationError(
        "--sheet is '\(sheet.string)', expected a name that ends in .jpg or .png.")
    }
  }

  func run() throws {
    if let sheet {
      try OutputCheck.check(sheet, inputs: images + [collection, FilePath(model)])
      try OutputCheck.check(folder: sheet.removingLastComponent(), isApartFrom: [collection])
    }
    let session = Session(global)
    let found = try SimilarStage(context: try session.context()).similar(
      to: images, in: collection, model: foreign.reference(model), count: top, layer: layer,
      sheet: sheet)
    let lines = found.answers.flatMap { answer in
      ["\(VisibleText.escape(answer.path))  (of \(counted(found.searched, "photo")))"]
        + answer.matches.map {
          "  \(Format.fixed(Double($0.similarity), 4))  \(VisibleText.escape($0.path))"
        }
    }
    try session.print(found, text: lines.joined(separator: "\n"))
    try failures(found.failures)
  }
}
