// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawConsole
import ThawDiagnosis
import ThawRuns

/// `thaw diagnose batchnorm`
struct DiagnoseBatchNorm: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "batchnorm",
    abstract: "Is batch normalisation why a network does worse in inference than in training?",
    discussion: """
      Runs the same photos through both learning phases, compares every layer's running statistics \
      with the data and with the checkpoint it began with, switches layers one by one, rules out what \
      else it could be, and judges fixes on photos that neither they nor the network learned from.

      Best: --train-data with what it was trained on, --data with photos it has not seen. With one \
      folder it finds out whether the network knows the photos, or is told by --seen. What is said is \
      held against what the network shows, and contradicted aloud.

      The answer says what is wrong, what can be won on new photos, and what to do.
      """)

  @OptionGroup var subject: SubjectOptions
  @OptionGroup var renaming: RenamingOptions

  @Option(help: "With --data: the photos it was trained on, to repair it with; --data judges then.")
  var trainData: FilePath?

  @Option(help: "With --data alone: yes or no, whether the network was trained on these photos.")
  var seen: YesOrNo?

  @Option(help: "Photos to use, at most.")
  var photos = 500

  @Option(help: "Photos in a batch (default: what the model was trained with, or 32).")
  var batch: Int?

  @Option(help: "Write the model that the recommended fix made to this file.")
  var apply: FilePath?

  @Option(help: "With --apply: this fix instead of the recommended one.")
  var fix: String?

  @Option(help: "Write the model of every fix that is tried into this folder, by its name.")
  var writeFixes: FilePath?

  @Flag(help: "Do not switch layers one by one: half the time, the same verdict.")
  var quick = false

  @Flag(help: "Find out what is wrong; try no fixes.")
  var noFixes = false

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    guard subject.model != nil || renaming.rename.isEmpty else {
      throw ValidationError("--rename belongs to --model.")
    }
    if let batch, !(2...64).contains(batch) {
      throw ValidationError("--batch is \(batch), expected 2 to 64.")
    }
    guard (8...100_000).contains(photos) else {
      throw ValidationError("--photos is \(photos), expected 8 to 100000.")
    }
    guard trainData == nil || subject.model != nil else {
      throw ValidationError("--train-data belongs to --model and --data; a run knows its own.")
    }
    guard seen == nil || (subject.model != nil && trainData == nil) else {
      throw ValidationError(
        "--seen is for --data alone: what a run or --train-data trained on is known.")
    }
    guard writeFixes == nil || !noFixes else {
      throw ValidationError("--write-fixes and --no-fixes contradict each other.")
    }
    guard fix == nil || apply != nil else { throw ValidationError("--fix needs --apply FILE.") }
    guard apply == nil || !noFixes else {
      throw ValidationError("--apply and --no-fixes contradict each other.")
    }
  }

  func run() throws {
    let session = Session(global)
    let context = try session.context()
    let stage = DiagnoseBatchNormStage(context: context)
    var options = DiagnoseBatchNormStage.Options()
    options.photos = photos
    options.batch = batch
    options.triesFixes = !noFixes
    options.switchesLayers = !quick
    options.apply = apply
    options.fix = fix
    options.writeFixes = writeFixes
    options.trainingData = trainData
    options.isSeen = seen.map { $0 == .yes }
    options.renaming = try renaming.names()
    if let seed = global.seed { options.seed = seed }
    let result =
      switch try subject.subject() {
      case .run(let directory):
        try stage.diagnose(OpenRun(directory, context: context), options: options)
      case .model(let model, let data): try stage.diagnose(model, data: data, options: options)
      }
    try session.print(result, text: result.text)
  }
}

/// An answer on the command line.
enum YesOrNo: String, ExpressibleByArgument {
  case yes, no
}

extension BatchNormDiagnosis {
  /// The diagnosis for people.
  var text: String {
    var parts = [verdict]
    if let gain { parts.append("To be won: \(gain)") }
    parts.append("To do: \(recommendation)")
    if let code {
      parts.append(code.split(separator: "\n").map { "    \($0)" }.joined(separator: "\n"))
    }
    parts += ["", phasesTable]
    if let signature { parts.append("Signature: \(signature).\n") }
    if !layers.isEmpty { parts.append(layersText) }
    if let boundary { parts.append(boundary) }
    if !fixes.isEmpty { parts += ["", fixesTable] }
    parts.append(evidence.joined(separator: "\n"))
    return parts.joined(separator: "\n")
  }

  private var phasesTable: String {
    var table = TextTable("\(photos) photos (\(split))", ">accuracy", ">loss", ">AUC")
    func row(_ name: String, _ accuracy: Double, _ loss: Double, _ auc: Double?) {
      table.append([
        name, Format.percent(accuracy), Format.fixed(loss, 4),
        auc.map { Format.fixed($0, 3) } ?? "-",
      ])
    }
    row("inference: running statistics", inference.accuracy, inference.loss, inference.auc)
    for size in batchSizes {
      row("training: batches of \(size.batch)", size.accuracy, size.loss, size.auc)
    }
    if let heldOut {
      row(
        "inference, \(heldOutPhotos) \(split == "train" ? "unseen" : "held-out") photos",
        heldOut.accuracy, heldOut.loss, heldOut.auc)
    }
    return table.text(width: OutputSink.tableColumns)
      + (renamedClasses.isEmpty
        ? "" : "Counted by the names that the outputs answer to, not by those they have.\n")
  }

  private var layersText: String {
    let divergences = layers.map(\.divergence)
    let worst = layers.indices.sorted { divergences[$0] > divergences[$1] }.prefix(5).sorted()
    var table = TextTable(
      "layer", ">mean shift", ">variance ratio", ">divergence", ">loss, switched alone")
    for index in worst {
      let layer = layers[index]
      table.append([
        layer.path + (layer.suspect ? " *" : ""), Format.significant(layer.meanShift),
        Format.significant(layer.varianceRatio), Format.significant(layer.divergence),
        layer.lossAlone.map { Format.fixed($0, 4) } ?? "-",
      ])
    }
    return "Divergence along the depth  \(Sparkline.text(divergences))\n"
      + table.text(width: OutputSink.tableColumns)
  }

  private var fixesTable: String {
    var table = TextTable("fix", ">accuracy", ">on new photos", ">loss", ">time")
    for fix in [asItIs].compactMap(\.self) + fixes {
      let range = fix.interval.map { "\(Format.percent($0[0])) to \(Format.percent($0[1]))" } ?? "-"
      table.append([
        fix.name + (fix.name == recommendedFix ? " <" : ""), Format.percent(fix.accuracy),
        fix.bias == nil ? range : "less", Format.fixed(fix.loss, 4),
        fix.seconds > 0 ? Format.duration(seconds: fix.seconds) : "-",
      ])
    }
    let meanings = fixes.map { "\($0.name): \($0.what)\n" }.joined()
    let biases = Set(([asItIs].compactMap(\.self) + fixes).compactMap(\.bias)).sorted()
    return table.text(width: OutputSink.tableColumns) + meanings
      + biases.map { "less: \($0), so its number is better than new photos will be.\n" }.joined()
  }
}
