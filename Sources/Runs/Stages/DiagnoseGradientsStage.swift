// SPDX-License-Identifier: Apache-2.0

import ThawConsole
package import ThawDiagnosis
import ThawExecution
import ThawFiles
package import ThawInference
package import ThawNetwork
import ThawOneDNN

/// Check that a network's backward pass is right, layer by layer.
package struct DiagnoseGradientsStage {
  private let context: StageContext

  /// Works with `context`.
  package init(context: StageContext) { self.context = context }

  /// What trains while gradients are checked.
  package struct Freezing: Sendable {
    /// Layer groups before this one are frozen; 0 checks every layer.
    package var freezeTo: Int
    /// Mode of the batch norms in frozen groups.
    package var frozenBatchNorm: BatchNormMode
    /// Mode of the batch norms in groups that train.
    package var trainableBatchNorm: BatchNormMode

    /// By default everything trains.
    package init(
      freezeTo: Int = 0, frozenBatchNorm: BatchNormMode = .inference,
      trainableBatchNorm: BatchNormMode = .inference
    ) {
      self.freezeTo = freezeTo
      self.frozenBatchNorm = frozenBatchNorm
      self.trainableBatchNorm = trainableBatchNorm
    }
  }

  /// Checks the model of a run and writes `diagnosis_gradients.json`.
  ///
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)`` before training, errors of
  ///   ``ModelReference/load(context:)`` and of the check.
  package func diagnose(
    _ run: OpenRun, _ check: GradientDiagnosis, freezing: Freezing
  ) throws -> GradientReport {
    let model = run.directory.model
    try run.directory.require(model, from: "thaw train")
    let report = try diagnose(
      StoredModel(modelFile: model), named: model.displayed, check, freezing)
    try run.write(report, to: run.directory.diagnosis("gradients"))
    return report
  }

  /// Checks a model file or the pretrained network of a card.
  ///
  /// - Throws: errors of ``ModelReference/load(context:)`` and of the check.
  package func diagnose(
    _ model: ModelReference, _ check: GradientDiagnosis, freezing: Freezing
  ) throws -> GradientReport {
    try diagnose(model.read(context: context), named: model.text, check, freezing)
  }

  private func diagnose(
    _ network: StoredModel, named name: String, _ check: GradientDiagnosis, _ freezing: Freezing
  ) throws -> GradientReport {
    let groups = network.graph.groups.count
    guard (-groups..<groups).contains(freezing.freezeTo) else {
      throw PipelineError.usage(
        "--freeze-to is \(freezing.freezeTo), \(name) has \(groups) layer groups.")
    }
    let plan = FreezePlan.freezing(
      to: freezing.freezeTo, of: network.graph, frozenBatchNorm: freezing.frozenBatchNorm,
      trainableBatchNorm: freezing.trainableBatchNorm)
    let size = Extent2D(network.preprocessing.inputSize)
    let total = plan.trainableParameters(of: network.graph).count
    let progress = context.console.progress("Checking gradients", total: total, unit: "parameters")
    let report = try check.run(
      network.graph, parameters: network.parameters, freezing: plan,
      comparing: context.compiler.trainingEngine, size: size
    ) { done, _ in
      try context.checkInterruption()
      progress.update(completed: done)
    }
    progress.finish()
    return report
  }
}
