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
      Runs the same photos through both learning phases, compares every layer's running statistics
      with the data, switches layers one by one, rules out what else it could be, and tries the fixes
      on photos they have not learned from.
      """)

  @OptionGroup var subject: SubjectOptions
  @OptionGroup var renaming: RenamingOptions

  @Option(help: "Photos to use, at most.")
  var photos = 500

  @Option(help: "Photos in a batch (default: what the model was trained with, or 32).")
  var batch: Int?

  @Option(help: "Write the model that the recommended fix made to this file.")
  var apply: FilePath?

  @Option(help: "With --apply: this fix instead of the recommended one.")
  var fix: String?

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

extension BatchNormDiagnosis {
  /// The diagnosis for people.
  var text: String {
    var parts = [verdict, recommendation, "", phasesTable]
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
    return table.text()
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
    return "Divergence along the depth  \(Sparkline.text(divergences))\n" + table.text()
  }

  private var fixesTable: String {
    var table = TextTable("fix", ">accuracy", ">loss", ">time", "what")
    if let heldOut {
      table.append([
        "as it is", Format.percent(heldOut.accuracy), Format.fixed(heldOut.loss, 4), "-", "",
      ])
    }
    for fix in fixes {
      table.append([
        fix.name + (fix.name == recommendedFix ? " <" : ""), Format.percent(fix.accuracy),
        Format.fixed(fix.loss, 4), Format.duration(seconds: fix.seconds), fix.what,
      ])
    }
    return table.text()
  }
}
