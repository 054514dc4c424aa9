// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawConsole
import ThawQuantization
import ThawRuns

/// `thaw quantize`
struct Quantize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Bring a trained model to eight bits: a quarter of the file, faster answers.",
    discussion: """
      Folds batch norm, measures on training photos what the bytes between layers are to stand for, tries \
      every layer alone, leaves those in float32 that hurt, and judges the result on photos that chose \
      nothing. A model that loses more than --at-most-points is not written. Documentation/quantization.md.
      """)

  @OptionGroup var subject: SubjectOptions

  @Option(help: "The file to write (default with --run: model-int8.safetensors beside the model).")
  var output: FilePath?

  @Option(help: "Points of accuracy that may be lost at most, on the photos that judge.")
  var atMostPoints = 0.5

  @Option(help: "Training photos to measure on, at most.")
  var photos = 128

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    guard (0...100).contains(atMostPoints) else {
      throw ValidationError("--at-most-points is \(atMostPoints), expected 0 to 100.")
    }
    guard (2...10_000).contains(photos) else {
      throw ValidationError("--photos is \(photos), expected 2 to 10000.")
    }
    guard subject.model == nil || output != nil else {
      throw ValidationError("--model needs --output FILE: where the new model goes.")
    }
    guard global.seed == nil else {
      throw ValidationError("--seed has no effect here: nothing is drawn at random.")
    }
  }

  func run() throws {
    let session = Session(global)
    let context = try session.context()
    let stage = QuantizeStage(context: context)
    var options = QuantizeStage.Options()
    options.atMostPoints = atMostPoints
    options.photos = photos
    options.output = output
    let result: QuantizationResult
    switch try subject.subject() {
    case .run(let directory):
      if let output { try OutputCheck.check(output, inputs: [directory.model]) }
      result = try stage.quantize(OpenRun(directory, context: context), options: options)
    case .model(let model, let data):
      if let output { try OutputCheck.check(output, inputs: [model.path, data.folder]) }
      result = try stage.quantize(model, data: data, options: options)
    }
    try session.print(result, text: result.text)
  }
}

extension QuantizationResult {
  /// The result for people.
  var text: String {
    func share(_ accuracy: Accuracy) -> String {
      "\(Format.percent(accuracy.accuracy)) (\(Format.percent(accuracy.interval[0])) to"
        + " \(Format.percent(accuracy.interval[1])))"
    }
    var lines = [
      "\(output): \(sizeText)",
      "Measured on \(calibratedOn.count) photos (\(calibratedOn.split)), judged on \(judgedOn.count)"
        + " (\(judgedOn.split)).",
      "Accuracy before \(share(before)), after \(share(after)): \(Format.fixed(lostPoints, 2)) points lost"
        + " (95 % interval \(Format.fixed(lostInterval[0], 2)) to \(Format.fixed(lostInterval[1], 2))),"
        + " at most \(Format.fixed(atMostPoints, 2)) are allowed. \(changedAnswers) answers changed.",
      floats.isEmpty
        ? "All \(layers.count) layers with weights are in eight bits."
        : "\(floats.count) of \(layers.count) layers with weights stay in float32: "
          + floats.map(\.path).joined(separator: ", ") + ".",
      "",
    ]
    var classes = TextTable("Class", ">Photos", ">Found before", ">After")
    for item in perClass {
      classes.append([
        item.name, "\(item.count)", Format.percent(item.before), Format.percent(item.after),
      ])
    }
    lines.append(classes.text(width: OutputSink.tableColumns))
    var moved = TextTable("Largest changes", "Label", "Before", "After", ">P before", ">P after")
    for change in changes.prefix(5) {
      moved.append([
        change.path, change.label, change.before, change.after,
        Format.fixed(change.probabilityBefore, 3), Format.fixed(change.probabilityAfter, 3),
      ])
    }
    lines.append(moved.text(width: OutputSink.tableColumns))
    var table = TextTable(
      "Layers that disturb most", ">Noise alone", "Input's range", "Computed in")
    let worst = layers.sorted { ($1.noise ?? 0) < ($0.noise ?? 0) }.prefix(8)
    for layer in worst {
      table.append([
        layer.path, layer.noise.map { Format.significant($0) } ?? "-", layer.range ?? "-",
        layer.precision,
      ])
    }
    lines.append(table.text(width: OutputSink.tableColumns))
    return lines.joined(separator: "\n")
  }

  private var sizeText: String {
    guard let bytesBefore, bytesBefore > 0 else { return "\(Format.bytes(bytesAfter))" }
    return
      "\(Format.bytes(bytesAfter)), \(Format.percent(Double(bytesAfter) / Double(bytesBefore)))"
      + " of the \(Format.bytes(bytesBefore)) before"
  }
}
