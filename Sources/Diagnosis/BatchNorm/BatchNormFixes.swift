// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
package import ThawExecution
import ThawFiles
package import ThawImages
package import ThawInference
package import ThawNetwork
import ThawOneDNN
package import ThawTensors
import ThawTraining

/// Tries what could put a network right, on photos that the fixes have not learned from.
package final class BatchNormFixes {
  /// A network put right.
  package struct Repaired {
    package var graph: Graph
    package var parameters: Parameters
    package var classNames: [String]
    package var preprocessing: Preprocessing
    /// Whether the head was replaced by a single layer.
    package var hasNewHead = false
  }

  package let classifier: Classifier
  package let examination: BatchNormExamination
  package let judgement: BatchNormJudgement
  package let seed: UInt64
  package let context: StageContext
  private var repaired: [String: Repaired] = [:]
  private var results: [String: PhotoResults] = [:]

  package init(
    _ classifier: Classifier, _ examination: BatchNormExamination,
    _ judgement: BatchNormJudgement,
    seed: UInt64, context: StageContext
  ) {
    self.classifier = classifier
    self.examination = examination
    self.judgement = judgement
    self.seed = seed
    self.context = context
  }

  private typealias Attempt = (name: String, what: String, make: () throws -> Repaired)

  /// The network as it is.
  package var original: Repaired {
    Repaired(
      graph: classifier.graph, parameters: classifier.parameters,
      classNames: classifier.classNames, preprocessing: classifier.preprocessing)
  }

  /// The fixes for what was found, the cheapest first.
  private var attempts: [Attempt] {
    let recalibrate: Attempt = (
      "recalibrate", "all running statistics computed anew from these photos, no gradients",
      { [self] in try recalibrated(only: nil, from: classifier.parameters) }
    )
    let head: Attempt = (
      "head", "batch norms frozen in inference mode, a new head solved on the features",
      { [self] in try withNewHead(original, photos: \.self) }
    )
    let trainable: Attempt = (
      "batchnorm", "batch norms and head trained for a few epochs, then recalibrated",
      { [self] in try withTrainedBatchNorms() }
    )
    switch judgement.kind {
    case .batchStatistics, .initialStatistics: return [recalibrate, head, trainable]
    case .corruptedStatistics:
      let paths = Set(judgement.suspects.map { examination.facts.layers[$0].path })
      let some: Attempt = (
        "recalibrate-layers",
        "running statistics of \(paths.map(\.description).sorted().joined(separator: ", "))"
          + " computed anew, no gradients",
        { [self] in try recalibrated(only: paths, from: classifier.parameters) }
      )
      return [some, recalibrate, head, trainable]
    case .preprocessing:
      guard let index = judgement.betterInput else { return [] }
      let input = examination.inputs.results[index]
      let convert: (LabelledTensors) -> LabelledTensors = { [classifier] in
        $0.converted(from: classifier.preprocessing, to: input.preprocessing)
      }
      var changed = original
      changed.preprocessing = input.preprocessing
      let network = changed
      return [
        ("contract", "photos prepared as '\(input.name)'", { network }),
        (
          "contract-and-head", "photos prepared as '\(input.name)' and a new head",
          { [self] in try withNewHead(network, photos: convert) }
        ),
      ]
    case .labelOrder:
      return [("names", "class names put in the order of the outputs", { [self] in renamed })]
    case .healthy, .overfitting, .weak, .noBatchNorm: return []
    }
  }

  /// Tries every fix and notes what came of it.
  package func tryAll(_ diagnosis: inout BatchNormDiagnosis) throws {
    let heldOut = examination.photos.heldOut
    guard heldOut.count >= 4, Set(examination.photos.fixing.labels).count >= 2 else { return }
    for attempt in attempts {
      try Interruption.check()
      context.console.say("Trying: \(attempt.what)")
      let clock = ContinuousClock.now
      let network = try attempt.make()
      let outcome = try judge(network, heldOut)
      let own = try judge(network, examination.photos.fixing)
      repaired[attempt.name] = network
      results[attempt.name] = outcome
      diagnosis.fixes.append(
        BatchNormDiagnosis.Fix(
          name: attempt.name, what: attempt.what, accuracy: outcome.accuracy, loss: outcome.loss,
          accuracyOnFixing: own.accuracy, seconds: clock.duration(to: .now) / .seconds(1),
          sufficient: false))
    }
    markSufficient(&diagnosis)
  }

  /// As good as the best: the best gets no more photos right than chance explains.
  private func markSufficient(_ diagnosis: inout BatchNormDiagnosis) {
    let best = results.values.max { ($0.accuracy, -$0.loss) < ($1.accuracy, -$1.loss) }
    guard let best else { return }
    for index in diagnosis.fixes.indices {
      guard let own = results[diagnosis.fixes[index].name] else { continue }
      let pair = PairedLosses(first: own, second: best)
      let changed = Double(pair.gained + pair.lost).squareRoot()
      diagnosis.fixes[index].sufficient =
        pair.gained - pair.lost <= max(1, Int(changed)) && pair.accuracyGain <= 0.05
    }
    diagnosis.recommendedFix = diagnosis.fixes.first(where: \.sufficient)?.name
  }

  /// The results of `network` on photos that are prepared as the original declares.
  private func judge(_ network: Repaired, _ photos: LabelledTensors) throws -> PhotoResults {
    let plan = try context.compiler.compileInference(
      network.graph, parameters: network.parameters,
      microBatch: OneDNNEngine.recommendedMicroBatch, size: size)
    let inputs = photos.converted(
      from: classifier.preprocessing, to: network.preprocessing)
    let labels = photos.labels.map { label in
      // By name: fixes may have fewer classes, or others' names.
      network.classNames.firstIndex(of: classifier.classNames[trueColumn(label)]) ?? 0
    }
    return PhotoResults(
      PhaseOutput(logits: try run(plan, inputs)), labels: labels)
  }

  /// The column of the folder's own name, where photos answer to another.
  private func trueColumn(_ label: Int) -> Int {
    examination.moved.first { $0.value == label }?.key ?? label
  }

  package var size: Extent2D { Extent2D(classifier.preprocessing.inputSize) }

  /// The results of a plan on prepared photos, [photos, …].
  package func run(_ plan: any InferencePlan, _ photos: LabelledTensors) throws -> Tensor<Float> {
    var rows: [Float] = []
    for start in stride(from: 0, to: photos.count, by: 32) {
      try Interruption.check()
      let part = photos.copy(start..<min(start + 32, photos.count))
      let count = part.count / photos.stride
      let output = try Tensor<Float>(shape: [count, plan.outputStride]) { output in
        try part.withUnsafeBufferPointer { try plan.run($0, into: output) }
      }
      rows += output.elements
    }
    return Tensor(rows, shape: [photos.count, plan.outputStride])
  }

  /// The class names in the order in which the outputs answer.
  private var renamed: Repaired {
    var result = original
    for (class_, output) in examination.moved {
      result.classNames[output] = classifier.classNames[class_]
    }
    // Outputs that took no class keep a name of their own.
    var seen: Set<String> = []
    for index in result.classNames.indices where !seen.insert(result.classNames[index]).inserted {
      result.classNames[index] += " (unused \(index))"
    }
    return result
  }

  /// Writes the network that fix `name` made.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` when there is no such fix.
  package func write(_ name: String?, to path: FilePath, _ diagnosis: BatchNormDiagnosis) throws {
    guard let name else {
      throw PipelineError.usage(
        "--apply: there is nothing to apply. \(diagnosis.verdict)")
    }
    guard let network = repaired[name], let fix = diagnosis.fixes.first(where: { $0.name == name })
    else {
      let known = diagnosis.fixes.map(\.name).joined(separator: ", ")
      throw PipelineError.usage(
        "--fix is '\(name)', expected one that was tried: \(known.isEmpty ? "none was" : known).")
    }
    var record =
      classifier.record
      ?? ModelRecord(
        thawVersion: thawVersion, architecture: network.graph.name,
        classNames: network.classNames, preprocessing: network.preprocessing.json)
    record.classNames = network.classNames
    record.preprocessing = network.preprocessing.json
    record.freezing = FreezePlan(
      trainable: record.freezing.trainableGroups, frozenBatchNorm: .inference,
      trainableBatchNorm: record.freezing.trainableBatchNorm)
    record.notes["diagnosis"] = "\(diagnosis.kind.rawValue): \(fix.what)"
    if var training = try? TrainingRecord(json: record.training) {
      training.key += " + \(name)"
      if network.hasNewHead { training.head.hidden = nil }
      record.training = try training.json()
    }
    try ModelFile.write(path, record, network.parameters.restricted(to: network.graph))
    context.console.say("Wrote \(path.displayed): \(fix.what).")
  }
}
