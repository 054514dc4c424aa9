// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawExecution
import ThawNetwork

/// The network, what of it trained, and on what photos.
extension HTMLReport {
  var modelSection: Section? {
    guard let network = content.network else { return nil }
    let count = network.graph.parameters.filter(\.role.isTrainable).reduce(0) {
      $0 + $1.shape.count
    }
    let list = [
      ("Backbone", network.card.name), ("Parameters", Format.grouped(count)),
      ("Trainable parameters", Format.grouped(network.record.outcome.trainableParameters)),
      ("Licence of the weights", network.card.license),
      ("Source", network.card.source.displayed), ("Summary", network.card.summary),
      ("Weights' hash", "\(network.card.checksum)"),
    ]
    let contract: Markup = """
      <h3>Preprocessing contract</h3><pre>\(network.preprocessing.description)</pre>

      """
    return Section(
      id: "model", title: "Model", body: facts(list + keptWeights(network)) + contract)
  }

  /// Which weights fine-tuning left, when they are not simply those of its best epoch.
  private func keptWeights(_ network: ReportedNetwork) -> [(String, String)] {
    switch network.record.outcome.interpolation {
    case nil, 1?: []
    case 0?: [("Kept", "the head's model: fine-tuning did not lower the validation loss")]
    case let share?:
      [
        (
          "Kept",
          "weights \(Format.percent(share, decimals: 0)) of the way from the head's model to the"
            + " fine-tuned one, where the validation loss is lowest"
        )
      ]
    }
  }

  var freezePlanSection: Section? {
    guard let network = content.network else { return nil }
    let columns = [
      Column("Layer group"), Column("Parameters", numeric: true), Column("Trains?"),
      Column("Batch norm"), Column("Learning rate", numeric: true),
    ]
    let rows = network.graph.groups.indices.map { row(ofGroup: $0, network) }
    let partition = Partition(network.graph, freezing: network.freezing)
    let cut = network.graph[partition.cut].path
    let note =
      partition.prefix.isEmpty
      ? "Nothing is frozen in front of what trains: every epoch began with the photos themselves."
      : "The frozen groups are compiled as for inference, up to '\(cut)'; the same code predicts."
    return Section(
      id: "freeze-plan", title: "Freeze plan",
      body: paragraph(note) + table(columns, rows, caption: "Freeze plan"))
  }

  private func row(ofGroup index: Int, _ network: ReportedNetwork) -> [Markup] {
    let nodes = network.graph.nodes.filter { $0.group == index }
    let parameters = nodes.flatMap(\.parameters).filter(\.role.isTrainable)
    let norm = nodes.first { if case .batchNormalization = $0.operation { true } else { false } }
    let isTrainable = network.freezing.trains(group: index)
    let hasRate = isTrainable && network.settings.solver != .lbfgs
    return [
      name(network.graph.groups[index].name),
      "\(Format.grouped(parameters.reduce(0) { $0 + $1.shape.count }))",
      isTrainable ? "<strong class=\"good\">trains</strong>" : "frozen",
      norm.map { name(network.freezing.batchNormMode(of: $0).rawValue) } ?? "–",
      "\(hasRate ? Format.significant(network.rates[index]) : "–")",
    ]
  }

  var augmentationSection: Section? {
    guard let network = content.network else { return nil }
    let isOn = network.isAugmented
    let operations = isOn ? network.settings.augmentation.operations : []
    let body: Markup = """
      <div class="note \(isOn ? "good" : "warn")"><p class="label">Augmentation was \
      \(isOn ? "on" : "off")</p><p>\(augmentation(of: network))</p></div>
      \(facts(operations.map { ($0.name, $0.range) }))
      """
    return Section(id: "augmentation", title: "Augmentation", body: body)
  }

  /// What was active or why nothing was.
  private func augmentation(of network: ReportedNetwork) -> String {
    guard network.isAugmented else {
      return "No augmentation: training used one view a photo (the centre crop), from the"
        + " feature cache. Augmented photos would not reach it through the cache."
    }
    return switch network.settings.views {
    case .cached(let count):
      "Each training photo was seen in \(count) augmented views, computed once; epochs took turns"
        + " with them. Validation photos were not augmented."
    case .fresh:
      "Each training photo was drawn anew in every epoch and computed through the frozen layers;"
        + " nothing of it was cached. Validation photos were not augmented."
    }
  }
}
