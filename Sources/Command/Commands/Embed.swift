// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawAnswers
import ThawConsole
import ThawFiles

/// `thaw embed`
struct Embed: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write what a network makes of photos as vectors, for searching and comparing.",
    discussion: """
      A vector is what the network hands to its head, or with --layer the result of another layer, an \
      image's channels averaged over its pixels. As .npy it is an array of Float32, a row a photo, and \
      beside it lies NAME.jsonl with the path and the SHA-256 of each photo; .csv and .jsonl hold both. \
      A photo that cannot be read is named on stderr; the exit code is then 65.
      """)

  @Option(
    help: "Model file, checkpoint, or the name of a pretrained backbone.",
    completion: Completions.models)
  var model: String

  @OptionGroup var foreign: ForeignModelOptions

  @Argument(help: "Photos, or folders and zip or tar files that are searched for photos.")
  var images: [FilePath]

  @Option(help: "The file to write; it ends in .npy, .csv or .jsonl.")
  var output: FilePath

  @Option(help: "The layer whose result is written (default: what the head takes).")
  var layer: String?

  @OptionGroup(title: "Every command") var global: GlobalOptions

  private var format: VectorFile.Format? {
    VectorFile.Format(rawValue: output.extension ?? "")
  }

  func validate() throws {
    guard format != nil else {
      throw ValidationError("'\(output.string)' ends in none of .npy, .csv and .jsonl.")
    }
  }

  func run() throws {
    try OutputCheck.check(output, inputs: images + [FilePath(model)])
    let session = Session(global)
    let result = try EmbedStage(context: try session.context()).embed(
      images, model: foreign.reference(model), layer: layer, to: output, format ?? .npy)
    try session.print(
      result,
      text:
        "\(result.path): \(counted(result.count, "photo")), \(result.length) numbers each, of the"
        + " layer \(result.layer).")
    try failures(result.failures)
  }
}

/// Names photos that have no answer, and ends with the code for bad data if there are any.
func failures(_ failures: [FoundPhotos.Failure]) throws {
  for failure in failures {
    OutputSink.standardError.write(message: "\(failure.path): \(failure.reason)", label: "error: ")
  }
  if !failures.isEmpty { throw ExitCode(65) }
}
