// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawExecution
import ThawNetwork

/// The network, what of it trained, and on what photos.
extension HTMLReport {
  var modelPart: Part? {
    guard let network = content.network else { return nil }
    let count = network.graph.parameters.filter(\.role.isTrainable).reduce(0) {
      $0 + $1.shape.count
    }
    let list = [
      ("Backbone", network.card.name), ("Parameters", Format.grouped(count)),
      ("Trained parameters", Format.grouped(network.record.outcome.trainableParameters)),
      ("Licence of the weights", network.card.license),
      ("Source", network.card.source.displayed), ("Summary", network.card.summary),
      ("Hash of the weights", "\(network.card.checksum)"),
      ("Hash of the training", network.record.key),
    ].filter { !$0.1.isEmpty }
    let contract: Markup = """
      <h4>How photos are prepared</h4>
      <p>The preprocessing contract belongs to the weights; every program that uses the model must \
      follow it, as thaw does.</p><pre>\(network.preprocessing.description)</pre>

      """
    return Part(
      id: "model", title: "Network and weights",
      body: facts(list + keptWeights(network)) + contract)
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

  var freezePlanPart: Part? {
    guard let network = content.network else { return nil }
    let columns = [
      Column("Layer group"), Column("Parameters", numeric: true), Column("Trains?"),
      Column("Batch norm"), Column("Learning rate", numeric: true),
    ]
    let rows = network.graph.groups.indices.map { row(ofGroup: $0, network) }
    let cut = network.graph[Partition(network.graph, freezing: network.freezing).cut].path
    var notes = [
      network.hasFrozenFront
        ? "Everything up to '\(cut)' is frozen and compiled as for inference; the same code predicts."
        : "The training began at the first layer, so every epoch computed the photos themselves."
    ]
    if network.keepsHead {
      notes.append("This is the plan of fine-tuning, whose weights were set aside.")
    }
    return Part(
      id: "freeze-plan", title: "Freeze plan",
      body: paragraph(notes.joined(separator: " "))
        + table(columns, rows, caption: "Freeze plan", stacks: true))
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
    let operations = isOn ? network.keptSettings.augmentation.operations : []
    let body: Markup = """
      <div class="note \(isOn ? "good" : "warn")"><p class="label">Augmentation was \
      \(isOn ? "on" : "off")</p><p>\(augmentation(of: network))</p></div>
      \(isOn ? augmentedPhotos : "")\(facts(operations.map { ($0.name, $0.range) }))
      """
    return Section(id: "augmentation", title: "What augmentation does", body: body)
  }

  /// What was active or why nothing was.
  private func augmentation(of network: ReportedNetwork) -> String {
    guard network.isAugmented else { return withoutAugmentation(network) }
    return switch network.keptSettings.views {
    case .cached(let count):
      "Each training photo was seen in \(counted(count, "varied view")); epochs took turns with"
        + " them. Validation and test photos were not varied."
    case .fresh:
      "Each training photo was varied anew in every epoch, so that the network never saw quite the"
        + " same twice. Validation and test photos were not varied."
    }
  }

  private func withoutAugmentation(_ network: ReportedNetwork) -> String {
    if network.keepsHead, network.settings.augmentation.isActive {
      return "Fine-tuning varied the photos, but its weights were set aside. Those that were kept"
        + " come from training the head on one view of each photo, its centre."
    }
    if network.keptSettings.augmentation.isActive {
      return "The recipe asks for augmentation, but the solver lbfgs learns from one view of each"
        + " photo, its centre."
    }
    return "Training saw one view of each photo, its centre, in every epoch."
  }

  /// A row a photo: as it is, then as epochs of training saw it.
  private var augmentedPhotos: Markup {
    let photos = content.augmented.filter { !$0.draws.isEmpty }
    guard !photos.isEmpty else { return "" }
    let rows = photos.map { photo -> Markup in
      let draws = photo.draws.enumerated().map { index, bytes in
        picture(bytes, "The same photo as epoch \(index + 1) varied it")
      }
      return """
        <figure class="augmented"><div>\(picture(photo.plain, "A photo labelled \(photo.truth), not varied"))\
        \(Markup.joined(draws))</div><figcaption class="fine">\(name(photo.truth)), \
        \(path(shortened(photo.path)))</figcaption></figure>

        """
    }
    return """
      <p>The first picture of each row is a training photo as it is; the others are what the first \
      epochs made of it. They should still look like photos that may come.</p>
      \(Markup.joined(rows))
      """
  }
}
