// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawBackbones
package import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawImages
import ThawNetwork

/// A checkpoint that another program trained, made a model: the architecture is recognised by the
/// tensors, the preprocessing comes from a card, the class names from the user or the folders.
package struct ForeignModel {
  let checkpoint: Checkpoint
  let reference: ModelReference
  let context: StageContext

  package init(_ checkpoint: Checkpoint, _ reference: ModelReference, _ context: StageContext) {
    self.checkpoint = checkpoint
    self.reference = reference
    self.context = context
  }

  /// Reads it, and says aloud what was taken for granted.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when the network is not certain, has no classifier or its
  ///   classes have other names; `CheckpointError`; `BackboneError`.
  package func read() throws -> StoredModel {
    let path = checkpoint.path.displayed
    let named = try reference.card.map { try context.pretrained.card(named: $0) }
    let cards = named.map { [$0] } ?? knownCards()
    if let network = try KerasNetwork(checkpoint, freeSide: named?.preprocessing.inputSize) {
      return try read(network, named, cards)
    }
    guard reference.preprocessing == nil else {
      throw PipelineError.usage(
        "--preprocessing is for models that bring their own network; \(path) has weights alone."
          + " Name a card with --card.")
    }
    let identity = try CheckpointIdentity(
      checkpoint, cards: cards, architecture: named?.architecture)
    guard let fit = identity.best else {
      throw PipelineError.data(
        "\(path): its \(checkpoint.count) tensors fit no architecture. See what is in it:"
          + " thaw pretrained inspect \(path)")
    }
    if let complaint = fit.complaint {
      throw PipelineError.data(
        "\(path): \(complaint). Name a card of its architecture with --card, or see: thaw"
          + " pretrained inspect \(path)")
    }
    guard identity.certainty == .sure || named != nil else {
      let others = ([fit.architecture] + identity.rivals).joined(separator: ", ")
      throw PipelineError.data(
        "\(path): its tensors fit \(others) alike, which compute different things. Say which with"
          + " --card NAME (thaw pretrained list).")
    }
    guard let head = fit.head else {
      throw PipelineError.data(
        "\(path): these weights of \(fit.architecture) end with the features, they have no"
          + " classifier. Train one: thaw fit DATA")
    }
    let contract = named?.preprocessing ?? identity.preprocessing
    guard let preprocessing = contract else {
      throw PipelineError.data("\(path): its preprocessing is not known. Name a card with --card.")
    }
    let classNames = try classNames(head.classes, cards)
    let reason = named.map { "as the card \($0.name) says" } ?? identity.preprocessingReason
    context.console.say(
      "\(path): \(fit.architecture) (all \(fit.matched) tensors fit \(fit.naming)),"
        + " \(head.classes) classes. Photos as \(preprocessing.description), \(reason).")
    for note in fit.notes { context.console.say("\(path): \(note).") }
    if [.kerasArchive, .kerasWeights].contains(checkpoint.format) {
      context.console.say(
        "\(path): the file has weights alone. What is done with pixels before the first layer, how is"
          + " pooled and which activation comes last is not in it; assumed is what is usual, and a"
          + " softmax. The whole model says it: model.save(\"model.keras\").")
    }
    let graph = try fit.graph()
    let parameters = try fit.parameters(of: checkpoint)
    try parameters.validate(for: graph)
    return StoredModel(
      graph: graph, parameters: parameters, preprocessing: preprocessing,
      record: ModelRecord(
        thawVersion: thawVersion, architecture: fit.architecture, classNames: classNames,
        preprocessing: preprocessing.json))
  }

  /// Every card; when they cannot be read, none, and that is said.
  private func knownCards() -> [BackboneCard] {
    guard FileSystem.exists(context.pretrained.cardFolder) else { return [] }
    do { return try context.pretrained.cards() } catch {
      context.console.warn("\(error) \(checkpoint.path.displayed) is recognised without cards.")
      return []
    }
  }

  /// ImageNet's class names, from the first card that has them at hand.
  private func imageNet(_ cards: [BackboneCard]) -> [String]? {
    for card in cards {
      do {
        let names = try card.classNames(in: context.pretrained)
        if names.count == 1000 { return names }
      } catch { context.console.warn("\(error)") }
    }
    return nil
  }

  /// Names for `count` outputs: the user's file, the class folders at hand, ImageNet's, or numbers.
  func classNames(
    _ count: Int, _ cards: [BackboneCard]
  ) throws -> [String] {
    let path = checkpoint.path.displayed
    if let file = reference.classNames {
      let text = String(decoding: try FileSystem.read(file, limit: 1 << 20), as: UTF8.self)
      let names = text.split(whereSeparator: \.isNewline).map(String.init).filter {
        !$0.hasPrefix("#")
      }
      guard names.count == count, Set(names).count == count else {
        throw PipelineError.data(
          "\(file.displayed): \(names.count) class names, \(Set(names).count) different ones;"
            + " \(path) has \(count) classes. Give one name a line, in the order of the outputs.")
      }
      return names
    }
    if reference.folders.count == count {
      context.console.say(
        "\(path): the \(count) outputs are taken for the class folders in sorted order:"
          + " \(reference.folders.prefix(10).joined(separator: ", "))\(count > 10 ? ", …" : "")."
          + " If the order was another one, give --class-names FILE.")
      return reference.folders
    }
    if count == 1000, let published = imageNet(cards) {
      context.console.say("\(path): the 1000 outputs are taken for ImageNet's classes.")
      return published
    }
    guard reference.folders.isEmpty else {
      throw PipelineError.data(
        "\(path) has \(count) classes, the data \(reference.folders.count) class folders. Name the"
          + " classes with --class-names FILE, one a line in the order of the outputs.")
    }
    context.console.say(
      "\(path): the file does not name its \(count) classes; they are numbered. Give"
        + " --class-names FILE to name them.")
    return (0..<count).map { "class \($0)" }
  }
}
