// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawBackbones
import ThawConsole
import ThawExports
import ThawGraphs

/// `thaw export`
struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a model for other programs: ONNX, safetensors or arrays for Keras.",
    discussion: """
      ONNX (operation set 17, free batch) runs in ONNX Runtime without Thaw. safetensors has the \
      names that timm and torchvision use and loads there with strict=True. With --like the tensors \
      have the names and axes of the file that the weights once came from, for the program that wrote \
      it: safetensors for PyTorch, npz for Keras. What was written is read back and compared. Beside it go a \
      README that says how photos become answers, with a test vector, and of ONNX programs in Python and JavaScript.
      """)

  @Option(
    help: "Model file, checkpoint, or the name of a pretrained backbone.",
    completion: Completions.models)
  var model: String

  @OptionGroup var foreign: ForeignWeightsOptions

  @Option(help: "onnx, safetensors or npz (default: by the ending of the output's name).")
  var to: ExportStage.Format?

  @Option(help: "The file to write.")
  var output: FilePath

  @Flag(
    help:
      "ONNX: the graph takes bytes, uint8 [N, H, W, 3] in R, G, B of the network's size, and normalises them itself."
  )
  var preprocessing = false

  @Flag(help: "ONNX: make batch norms part of the convolutions before them.")
  var foldBatchNorm = false

  @Option(help: "ONNX: what comes out, both (probabilities, logits), probabilities or logits.")
  var results = ONNXExporter.Results.both

  @Option(
    help: "safetensors: whose names the tensors have where libraries differ, torchvision or timm.")
  var names = ExportStage.Names.torchvision

  @Option(
    help: "safetensors, npz: the file that the weights once came from; theirs are the names then.")
  var like: FilePath?

  @Option(
    help: ArgumentHelp(
      "ONNX: have ONNX Runtime of this Python answer a test photo as well, and compare.",
      valueName: "python"))
  var check: String?

  @Flag(help: "Write the file alone, without the README and the programs beside it.")
  var noReadme = false

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    guard let format = to ?? ExportStage.Format(rawValue: output.extension ?? "") else {
      throw ValidationError(
        "--to is missing, and '\(output.string)' ends in none of .onnx, .safetensors and .npz.")
    }
    if let named = ExportStage.Format(rawValue: output.extension ?? ""), named != format {
      throw ValidationError(
        "--to is \(format.rawValue), but '\(output.string)' ends in .\(named.rawValue).")
    }
    guard format == .onnx || (!preprocessing && !foldBatchNorm && results == .both) else {
      throw ValidationError("--preprocessing, --fold-batch-norm and --results are for ONNX.")
    }
    guard format == .onnx || check == nil else {
      throw ValidationError("--check is for ONNX, which ONNX Runtime computes.")
    }
    guard format == .safetensors || names == .torchvision else {
      throw ValidationError("--names is for safetensors.")
    }
    guard format != .onnx || like == nil else {
      throw ValidationError("--like is for safetensors and npz.")
    }
    guard format != .npz || like != nil else {
      throw ValidationError("npz needs --like: the file of Keras whose names the arrays have.")
    }
    guard like == nil || names == .torchvision else {
      throw ValidationError("--names and --like contradict each other.")
    }
  }

  func run() throws {
    let session = Session(global)
    var options = ONNXExporter.Options()
    options.includesPreprocessing = preprocessing
    options.foldsBatchNormalization = foldBatchNorm
    options.results = results
    var extras = ExportStage.Extras()
    extras.writesReadme = !noReadme
    extras.python = check
    let format = to ?? ExportStage.Format(rawValue: output.extension ?? "") ?? .onnx
    let exported = try ExportStage(context: try session.context()).export(
      foreign.reference(model), to: format, output: output, options: options,
      names: names, like: like, extras: extras)
    try session.print(exported, text: text(exported))
  }

  private func text(_ exported: ExportStage.Exported) -> String {
    let size = Format.bytes(exported.bytes)
    var lines = [
      "\(exported.path): \(exported.architecture), \(exported.tensors) tensors, \(size)."
    ]
    for (label, values) in [("takes", exported.inputs), ("gives", exported.outputs)] {
      for value in values ?? [] {
        lines.append(
          "  \(label) \(value.name), \(value.type) [\(value.shape.joined(separator: ", "))]")
      }
    }
    lines.append("  photos: \(exported.preprocessing)")
    let outputs =
      exported.outputActivation == .softmax ? "" : ", \(exported.outputActivation.summary)"
    lines.append("  classes: \(exported.classNames.count)\(outputs)")
    if let temperature = exported.temperature {
      lines.append(
        "  calibrated: probabilities are those of the logits divided by"
          + " \(Format.fixed(temperature, 3)), in the graph where it gives probabilities")
    }
    lines += exported.checks.map { "  \($0.text)" }
    if let readme = exported.beside.first {
      lines.append("  how to use it: \(readme)")
    }
    return lines.joined(separator: "\n")
  }
}

extension ExportStage.Format: ExpressibleByArgument {}
extension ExportStage.Names: ExpressibleByArgument {}
extension ONNXExporter.Results: ExpressibleByArgument {}
