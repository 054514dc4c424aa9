// SPDX-License-Identifier: Apache-2.0

import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawGraphs
import ThawImages
import ThawNetwork

extension ForeignModel {
  /// A model whose file says what it computes.
  ///
  /// Where that is exactly a network known by name, it is that network, with its layer groups;
  /// otherwise the file's own graph. Either way the file's words about activation and pixels hold.
  func read(
    _ network: KerasNetwork, _ named: BackboneCard?, _ cards: [BackboneCard]
  ) throws -> StoredModel {
    let path = checkpoint.path.displayed
    let identity = try CheckpointIdentity(checkpoint, cards: cards)
    let (preprocessing, reason) = try preprocessing(network, named, identity)
    guard let activation = network.outputActivation else {
      throw PipelineError.data(
        "\(path): this model ends with \(network.outputCount) features, it has no classifier."
          + " \(DescribedNetwork.headlessAdvice)")
    }
    let known = identity.known(network, side: preprocessing.inputSize)
    let classCount = activation.classes(outputs: network.outputCount)
    let what =
      known.map { "\($0.architecture), layer by layer as its configuration says" }
      ?? "a network of its own, \(network.graph.nodes.count - 1) layers, as its configuration says"
    context.console.say(
      "\(path): \(what); \(classCount) classes, \(activation.summary). Photos as"
        + " \(preprocessing.description), \(reason).")
    for note in network.notes { context.console.say("\(path): \(note).") }
    if let named, named.architecture != known?.architecture {
      context.console.say(
        "\(path): the file's own network is used; of the card \(named.name) only the preprocessing."
      )
    }
    let classes = try ForeignClasses(file, reference, context)
      .names(classCount, architecture: known?.architecture ?? Architecture.onnxName, cards: cards)
    if let known, activation != .singleSigmoid {
      return try stored(
        try known.graph(), try known.parameters(of: checkpoint), preprocessing,
        ModelRecord(
          thawVersion: thawVersion, architecture: known.architecture, classNames: classes.names,
          outputActivation: activation, preprocessing: preprocessing.json, notes: classes.notes))
    }
    let parameters = try network.parameters()
    return try stored(
      network.graph, parameters, preprocessing,
      ModelRecord(
        thawVersion: thawVersion, architecture: Architecture.onnxName, classNames: classes.names,
        outputActivation: activation, preprocessing: preprocessing.json,
        structure: try ONNXStructure.text(
          of: network.graph, parameters, preprocessing: preprocessing), notes: classes.notes))
  }

  private func stored(
    _ graph: Graph, _ parameters: Parameters, _ preprocessing: Preprocessing, _ record: ModelRecord
  ) throws -> StoredModel {
    return StoredModel(
      graph: graph, parameters: try usable(parameters, for: graph), preprocessing: preprocessing,
      record: record)
  }

  /// How photos are prepared: the file's arithmetic, behind what the user says was done before it;
  /// where it has none the card's, or what is usual for its layers.
  private func preprocessing(
    _ network: KerasNetwork, _ named: BackboneCard?, _ identity: CheckpointIdentity
  ) throws -> (Preprocessing, String) {
    let path = checkpoint.path.displayed
    if let given = reference.preprocessing {
      let before = (named?.preprocessing ?? .kerasGeometry(given.inputSize)).withValues(of: given)
      guard let contract = network.preprocessing(before, isBefore: true) else {
        throw PipelineError.data(
          "\(path): the model's own arithmetic and the given preprocessing are no contract together."
        )
      }
      return (contract, "as given" + (network.statement.map { ", then \($0)" } ?? ""))
    }
    let stated = try named == nil ? StatedContract(file) : nil
    let usual =
      named?.preprocessing ?? stated?.preprocessing ?? network.usualPreprocessing(identity)
    guard let usual = usual ?? (network.statesArithmetic ? .kerasGeometry(224) : nil) else {
      throw PipelineError.data(
        "\(path): the file does not say how its photos were prepared. Give what it was trained with:"
          + " --preprocessing unit (0 to 1), tf (-1 to 1), torch, caffe or raw (0 to 255), or a"
          + " --card that has the same. For an export, where --preprocessing is another thing, import it"
          + " first: thaw pretrained import \(checkpoint.path.quoted) --preprocessing unit --name NAME."
      )
    }
    guard let contract = network.preprocessing(usual) else {
      throw PipelineError.data("\(path): the model's own arithmetic with pixels is no contract.")
    }
    let source =
      named.map { "as the card \($0.name) says" }
      ?? stated?.reason ?? network.family.map { "usual for \($0.name)" }
      ?? "usual for these weights"
    guard let statement = network.statement else {
      return (contract, stated == nil ? "\(source); the file does not say it" : source)
    }
    return (
      contract,
      network.statesArithmetic
        ? "from \(statement); how photos are resized before it the file does not say"
        : "\(source), with \(statement)"
    )
  }
}
