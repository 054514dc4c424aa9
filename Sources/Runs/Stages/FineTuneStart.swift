// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawConsole
import ThawDatasets
import ThawInference
import ThawNetwork
import ThawRecipes
import ThawTraining

/// What fine-tuning starts from: the model that head training left, and the phases to come.
struct FineTuneStart {
  /// With the freeze plan of the last phase.
  let network: TransferNetwork
  /// Of the head's training.
  let record: TrainingRecord
  let schedule: FreezeSchedule

  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)`` before head training;
  ///   ``PipelineError/data(_:)`` when the head is that of another dataset or preprocessing;
  ///   ``PipelineError/usage(_:)``, `NetworkError` for a plan that does not fit the network.
  init(_ run: OpenRun) throws {
    let (directory, recipe, manifest) = (run.directory, run.recipe, run.manifest)
    try directory.require(directory.headModel, from: "thaw train")
    let model = try ModelFile.read(directory.headModel)
    try run.requireContract(of: model.record, in: directory.headModel)
    let network = try TransferNetwork(
      recipe, trained: model.parameters, classes: manifest.classes, context: run.context)
    guard model.record.preprocessing == network.preprocessing.json else {
      throw PipelineError.data(
        "\(directory.headModel.displayed): was trained by another preprocessing than the run has now."
          + " Run: thaw train --run \(directory.path.quoted)")
    }
    record = try TrainingRecord(of: model.record, file: directory.headModel)
    guard try TrainStage(run).headKnowsPhotos(record) else {
      throw PipelineError.data(
        "\(directory.headModel.displayed): was trained on other photos than the run has now. Run:"
          + " thaw train --run \(directory.path.quoted)")
    }
    schedule = try recipe.fineTune.schedule(
      of: network.graph, size: network.preprocessing.inputSize,
      headAccuracy: record.accuracyInterval)
    self.network = network.during(
      schedule.phases[schedule.phases.count - 1], parameters: model.parameters)
  }

  /// The phases, for people.
  var phases: [PhaseTable] {
    schedule.phases.enumerated().map { index, phase in
      let epochs = schedule.epochs(ofPhase: index)
      let network = network.during(phase, parameters: network.parameters)
      return PhaseTable(
        phase: index + 1, firstEpoch: epochs.lowerBound + 1, lastEpoch: epochs.upperBound,
        size: network.preprocessing.inputSize,
        schedule: phase.schedule?.kind.rawValue ?? ScheduleKind.cosine.rawValue,
        cut: network.graph[network.partition.cut].path.description,
        groups: network.graph.groups.indices.map { group($0, of: index + 1, phase) })
    }
  }

  private func group(_ index: Int, of number: Int, _ phase: FreezePhase) -> GroupRow {
    let nodes = network.graph.nodes.filter { $0.group == index }
    let parameters = nodes.flatMap(\.parameters).filter(\.role.isTrainable)
    let trainable = nodes.flatMap { node in
      node.parameters.filter { phase.plan.trains($0, of: node) }
    }
    let norm = nodes.first { if case .batchNormalization = $0.operation { true } else { false } }
    return GroupRow(
      phase: number, group: network.graph.groups[index].name,
      parameters: parameters.reduce(0) { $0 + $1.shape.count },
      trainable: trainable.reduce(0) { $0 + $1.shape.count },
      batchNorm: norm.map { phase.plan.batchNormMode(of: $0).rawValue },
      learningRate: trainable.isEmpty
        ? nil : phase.rates[phase.rates.count == 1 ? 0 : index])
  }
}
