// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawAnswers
import ThawConsole
import ThawFiles

/// `thaw explain`
struct Explain: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show where in photos a model found what speaks for a class.",
    discussion: """
      Writes into --output a picture of each photo with the places that spoke for the class in warm \
      colours, sheet.jpg of the first hundred, and explanations.json. A map shows what the network used, \
      not whether that is right: compare photos of one class, and look for dates, borders and backgrounds.
      """)

  @Option(
    help: "Model file, checkpoint, or the name of a pretrained backbone.",
    completion: Completions.models)
  var model: String

  @OptionGroup var foreign: ForeignModelOptions

  @Argument(help: "Photos, or folders and zip or tar files that are searched for photos.")
  var images: [FilePath]

  @Option(help: "The folder to write into.")
  var output: FilePath

  @Option(
    name: .customLong("class"),
    help: "The class that is explained (default: the most probable one of each photo).")
  var className: String?

  @Option(
    help: """
      hirescam, gradcam, occlusion, which covers one place after the other, or rollout, which follows a \
      transformer's attention and is the same for every class (default: hirescam where the network has an image \
      in front of its head, else occlusion).
      """)
  var method = ExplainStage.Method.auto

  @Flag(help: "Compare each map with that of occlusion; some two hundred passes a photo.")
  var check = false

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    guard !check || method != .occlusion else {
      throw ValidationError("--check compares a map with that of occlusion; --method is occlusion.")
    }
  }

  func run() throws {
    // Of a photo the folder that it is in.
    let places = images.map {
      (try? FileStatus(of: $0))?.kind == .directory ? $0 : $0.removingLastComponent()
    }
    try OutputCheck.check(folder: output, isApartFrom: places.filter { !$0.isEmpty })
    for image in images where image.removingLastComponent().isEmpty {
      guard output.canonical != FilePath(".").canonical else {
        throw ValidationError("--output is where \(image.string) is. Give another folder.")
      }
    }
    let session = Session(global)
    var options = ExplainStage.Options()
    (options.method, options.className, options.checksByOcclusion) = (method, className, check)
    let result = try ExplainStage(context: try session.context()).explain(
      images, model: foreign.reference(model), to: output, options: options)
    let kind = result.exact ? "exact class activation" : result.method.rawValue
    var lines = [
      "\(result.sheet): \(counted(result.explanations.count, "photo")), \(kind)"
        + (result.layer.map { " at \($0)" } ?? "")
    ]
    for one in result.explanations.prefix(20) {
      lines.append(
        "  \(VisibleText.escape(one.path))  \(VisibleText.escape(one.label)) \(Format.percent(Double(one.probability), separator: " ")), heat at"
          + " (\(Int(one.peakInPhoto.x)), \(Int(one.peakInPhoto.y)))"
          + (one.occlusionCorrelation.map { ", occlusion \(Format.fixed($0, 2))" } ?? ""))
    }
    try session.print(result, text: lines.joined(separator: "\n"))
    try failures(result.failures)
  }
}

extension ExplainStage.Method: ExpressibleByArgument {}
