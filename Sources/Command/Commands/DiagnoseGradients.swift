// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawConsole
import ThawDiagnosis
import ThawInference
import ThawNetwork
import ThawRuns

/// `thaw diagnose gradients`
struct DiagnoseGradients: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gradients",
    abstract: "Check the backward pass of a network, layer by layer.",
    discussion: """
      Compares the gradients of every parameter with central differences of the loss, in Double, and \
      the engine's gradients in Float with those. A right gradient agrees to about 1e-7 (the engine's \
      to about 1e-5); 1e-3 is wrong. The first wrong layer in the direction of the backward pass is \
      named. The images are small and made of noise, so a check takes about a minute and needs no data. \
      Exit code 0 whatever the verdict; see `verdict` in the JSON document.
      """)

  @Option(name: .customLong("run"), help: "Run directory; its model is checked.")
  var directory: RunDirectory?

  @Option(help: "Model file, or the name of a pretrained backbone.", completion: Completions.models)
  var model: String?

  @Option(
    parsing: .unconditional,
    help: "Layer groups before this one are frozen while gradients are checked; 0 checks all.")
  var freezeTo = 0

  @Option(help: "Batch norms of frozen groups: a mode, or the system whose way is meant.")
  var frozenBatchNorm: FrozenBatchNorm?

  @Option(help: "Batch norms of the groups that train.")
  var trainableBatchNorm: TrainableBatchNorm?

  @Option(help: "Side of the images (default: the smallest that the network takes).")
  var size: Int?

  @Option(help: "Images.")
  var batch = 2

  @Option(help: "Single elements of each parameter to try, besides all of them together.")
  var elements = 2

  @Flag(help: "List every parameter, not the worst only.")
  var all = false

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    guard (directory == nil) != (model == nil) else { throw DiagnoseGradients.neitherOrBoth }
    guard (2...256).contains(batch) else {
      throw ValidationError("--batch is \(batch), expected 2 to 256.")
    }
    guard (0...10_000).contains(elements) else {
      throw ValidationError("--elements is \(elements), expected 0 to 10000.")
    }
    if let size, !(8...2048).contains(size) {
      throw ValidationError("--size is \(size), expected 8 to 2048.")
    }
  }

  private static let neitherOrBoth = ValidationError("Give either --run RUN or --model FILE.")

  func run() throws {
    let session = Session(global)
    let context = try session.context()
    let stage = DiagnoseGradientsStage(context: context)
    // More elements than the default are wanted whatever they cost.
    let check = GradientDiagnosis(
      batch: batch, size: size, elements: elements, effort: elements > 2 ? .infinity : 1e11,
      seed: global.seed ?? 0)
    let freezing = DiagnoseGradientsStage.Freezing(
      freezeTo: freezeTo, frozenBatchNorm: frozenBatchNorm?.mode ?? .inference,
      trainableBatchNorm: trainableBatchNorm?.mode ?? .inference)
    let report: GradientReport
    if let directory {
      report = try stage.diagnose(
        OpenRun(directory, context: context), check, freezing: freezing)
    } else if let model {
      report = try stage.diagnose(ModelReference(model), check, freezing: freezing)
    } else {
      throw DiagnoseGradients.neitherOrBoth
    }
    try session.print(report, text: report.text(all: all))
  }
}

extension GradientReport {
  /// A table of parameters and the verdict, for people.
  func text(all: Bool) -> String {
    var table = TextTable("layer", "parameter", ">elements", ">slopes", ">Double", ">engine", "")
    for layer in all ? layers : worst(12) {
      table.append([
        layer.path, layer.parameter, Format.grouped(layer.elements, separator: " "),
        layer.kinks == 0 ? "\(layer.probes)" : "\(layer.probes) (+\(layer.kinks) at kinks)",
        GradientReport.error(layer.relativeError), GradientReport.error(layer.engineError),
        layer.isWrong ? "wrong" : "",
      ])
    }
    let count = all ? "" : ", the worst of \(layers.count) parameters"
    return """
      Gradients of \(network) on \(batch) images of \(size) pixels, batch norm \(frozenBatchNorm) \
      (frozen) and \(trainableBatchNorm) (trainable)\(count):

      \(table.text(width: OutputSink.tableColumns))
      Double: backward pass against central differences, worst \
      \(GradientReport.error(worstRelativeError)); right is about 1e-7, above \
      \(GradientReport.error(GradientReport.tolerance)) is wrong.
      engine: \(engine ?? "none") against Double, worst \(GradientReport.error(worstEngineError)); \
      above \(GradientReport.error(GradientReport.engineTolerance)) is wrong.

      \(verdict.rawValue): \(recommendation)
      """
  }

  /// The wrong ones and the worst of the others, in the order of the backward pass.
  private func worst(_ count: Int) -> [Layer] {
    let order = layers.indices.sorted { layers[$0].badness > layers[$1].badness }
    return Set(order.prefix(count)).sorted().map { layers[$0] }
  }

  private static func error(_ value: Double?) -> String {
    value.map { Format.significant($0, 2) } ?? "-"
  }
}

extension GradientReport.Layer {
  /// Its worst error, as a part of what is tolerated.
  fileprivate var badness: Double {
    max(
      (relativeError ?? 0) / GradientReport.tolerance,
      (engineError ?? 0) / GradientReport.engineTolerance)
  }
}
