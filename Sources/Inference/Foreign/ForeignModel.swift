// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawGraphs
import ThawImages
import ThawNetwork

/// A checkpoint that another program trained, made a model.
///
/// The architecture is recognised by the tensors. Preprocessing and class names come from the user, from
/// the file or a file beside it, from a card or the class folders, in that order; what was taken from
/// where is said.
package struct ForeignModel {
  let file: ForeignFile
  let reference: ModelReference
  let context: StageContext
  var checkpoint: Checkpoint { file.checkpoint }

  package init(_ file: ForeignFile, _ reference: ModelReference, _ context: StageContext) {
    self.file = file
    self.reference = reference
    self.context = context
  }

  /// Reads it, and says aloud what was taken for granted.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when the network is not certain, has no classifier or its
  ///   classes have other names; `CheckpointError`; `BackboneError`.
  package func read() throws -> StoredModel {
    if let described = try readDescribed() { return described }
    let found = try readNetwork()
    guard let classes = found.classes else { throw headless(found.fit) }
    // A network that no name builds carries its structure with it.
    let isBuilt = found.graph.name != Architecture.onnxName
    return StoredModel(
      graph: found.graph, parameters: found.parameters, preprocessing: found.preprocessing,
      record: ModelRecord(
        thawVersion: thawVersion,
        architecture: isBuilt ? found.fit.architecture : Architecture.onnxName,
        classNames: classes.names, outputActivation: found.activation,
        preprocessing: found.preprocessing.json,
        structure: isBuilt
          ? nil
          : try ONNXStructure.text(
            of: found.graph, found.parameters, preprocessing: found.preprocessing),
        notes: classes.notes))
  }

  /// The model that a Keras file's configuration describes; nil for weights alone, or when they alone
  /// are asked for.
  private func readDescribed() throws -> StoredModel? {
    guard !reference.isAboutWeights else {
      if checkpoint.kerasModel?.configuration != nil {
        context.console.say(
          "\(checkpoint.path.displayed): only its weights are read, as the options say; what its"
            + " configuration says of the network is not used.")
      }
      return nil
    }
    let (named, _) = try named()
    guard let network = try KerasNetwork(checkpoint, freeSide: named?.preprocessing.inputSize)
    else { return nil }
    // It has its network; of a card only the preprocessing is wanted.
    if named == nil, let card = reference.card { _ = try context.pretrained.card(named: card) }
    return try read(network, named, named.map { [$0] } ?? knownCards())
  }

  /// What a checkpoint is, with its weights.
  struct Network {
    let fit: WeightFit
    let graph: Graph
    let parameters: Parameters
    let preprocessing: Preprocessing
    /// Names of the classes; nil when the weights end with the features.
    let classes: ForeignClasses.Found?
    /// What makes probabilities of the outputs.
    let activation: OutputActivation
  }

  /// The same for weights that may end with the features.
  func readNetwork() throws -> Network {
    let path = file.checkpoint.path.displayed
    let (named, asked) = try named()
    let cards = named.map { [$0] } ?? knownCards()
    guard reference.preprocessing == nil else {
      throw PipelineError.usage(
        "--preprocessing is for models that bring their own network; of \(path) the weights alone"
          + " are read. Name a card with --card.")
    }
    if let named, named.architecture == Architecture.onnxName {
      throw PipelineError.usage(
        "the network of the card \(named.name) is in its own file, so \(path) cannot be weights of it."
          + " Leave --card out to have the network recognised, or name a card of a known one.")
    }
    let recognised = try recognise(cards: cards, asked: asked)
    let (fit, checkpoint) = (recognised.fit, recognised.checkpoint)
    let pickled = checkpoint.surroundings?.normalization
    let stated =
      try named == nil
      ? StatedContract(file) ?? StatedContract(pickled, usual: recognised.preprocessing)
        ?? StatedContract(buffersOf: checkpoint, fit, usual: recognised.preprocessing) : nil
    let contract = named?.preprocessing ?? stated?.preprocessing ?? recognised.preprocessing
    guard let preprocessing = contract else {
      throw PipelineError.data("\(path): its preprocessing is not known. Name a card with --card.")
    }
    let reason =
      named.map { "as the card \($0.name) says" } ?? stated?.reason ?? recognised.reason
    try checkModules(fit)
    try checkConfiguration(fit)
    let matched = fit.missing.isEmpty ? "all \(fit.matched)" : "\(fit.matched) of \(fit.needed)"
    let own = ForeignHeads.found(checkpoint, fit)
    let count = fit.head?.classes ?? own?.classes
    context.console.say(
      "\(path): \(fit.architecture) (\(matched) tensors fit \(fit.naming))"
        + (own.map { " with \($0.label)" } ?? "")
        + ", \(count.map { "\($0) classes" } ?? "no classifier"). Photos as"
        + " \(preprocessing.description), \(reason).")
    for name in fit.ignored where ForeignSummary.isTemperature(name) {
      context.console.warn(
        "\(path): '\(name)' in the file is taken for a temperature or a scale of the outputs, by which"
          + " they are not divided or multiplied here: the order of the classes stays, the"
          + " probabilities may differ.")
    }
    for line in ForeignSummary(file, fit, recognised.otherParts, head: own).lines {
      context.console.say("\(path): \(line).")
    }
    let isKeras = [.kerasArchive, .kerasWeights].contains(checkpoint.format)
    if isKeras, checkpoint.kerasModel?.configuration == nil {
      context.console.say(
        "\(path): the file has weights alone. What is done with pixels before the first layer, how is"
          + " pooled and which activation comes last is not in it; assumed is what is usual, and a"
          + (count == 1 ? " sigmoid" : " softmax")
          + ". The whole model says it: model.save(\"model.keras\").")
    }
    // Two classes that the file has one output for are said so already.
    let outputs =
      isKeras || fit.splitsOutput
      ? nil : try count.map { try foundActivation(fit, outputs: $0) }
    if let outputs { context.console.say("\(path): \(outputs.reason).") }
    let activation = outputs?.activation ?? (count == 1 ? .singleSigmoid : .softmax)
    let classes = try count.map {
      try ForeignClasses(file, reference, context)
        .names(
          activation.classes(outputs: $0), architecture: fit.architecture, cards: cards)
    }
    var parameters = try weights(fit, checkpoint)
    var graph = try fit.graph()
    if let own { (graph, parameters) = try own.network(fit, parameters) }
    parameters = try usable(parameters, for: graph)
    return Network(
      fit: fit, graph: graph, parameters: parameters, preprocessing: preprocessing,
      classes: classes, activation: activation)
  }

  /// The parameters of a network that can be computed; where that is asked for with running statistics that are
  /// lost replaced.
  ///
  /// - Throws: ``PipelineError/data(_:)`` naming the file and the tensor.
  func usable(_ parameters: Parameters, for graph: Graph) throws -> Parameters {
    var parameters = parameters
    let path = file.checkpoint.path.displayed
    if reference.replacesLostStatistics {
      let lost = parameters.replaceLostStatistics(of: graph)
      if !lost.isEmpty {
        context.console.warn(
          "\(path): the running statistics of \(lost.count) batch norms (\(lost[0]) first) are NaN, infinite"
            + " or negative variances. They are taken for lost: 0 and 1 stand in their place.")
      }
    }
    do { try parameters.validate(for: graph) } catch let error as NetworkError {
      throw PipelineError.data("\(path): \(error)")
    }
    return parameters
  }

  /// Refuses a whole pickled module whose layers say that it computes something else.
  private func checkModules(_ fit: WeightFit) throws {
    guard let found = try ModuleSettings(modules, fit).summary else { return }
    throw PipelineError.data(
      "\(file.checkpoint.path.displayed): its tensors are \(fit.architecture)'s, but the pickled module"
        + " computes something else with them: \(found). \(ForeignSummary.exportAdvice).")
  }

  /// Refuses weights whose config.json says that the network computes something else, or no classes.
  private func checkConfiguration(_ fit: WeightFit) throws {
    guard let configuration = file.configuration else { return }
    let path = file.checkpoint.path.displayed
    if fit.head != nil, ForeignActivation.isRegression(configuration) {
      throw PipelineError.data(
        "\(path): its config.json says problem_type 'regression': the outputs are numbers, not classes,"
          + " and no probabilities can be made of them.")
    }
    let found = try StatedArithmetic(configuration, fit).contradictions
    guard !found.isEmpty else { return }
    throw PipelineError.data(
      "\(path): its tensors are \(fit.architecture)'s, but config.json beside it says that the network"
        + " computes something else with them: \(found.prefix(4).joined(separator: "; "))."
        + " \(ForeignSummary.exportAdvice).")
  }

  private var modules: [PickledModule] { file.checkpoint.surroundings?.modules ?? [] }

  private func weights(_ fit: WeightFit, _ checkpoint: Checkpoint) throws -> Parameters {
    guard !fit.missing.isEmpty else { return try fit.parameters(of: checkpoint) }
    let fate =
      ForeignProblem.lacksStatisticsAlone(fit)
      ? "become 0 (means) and 1 (variances)" : "are drawn at random"
    context.console.warn(
      "\(checkpoint.path.displayed): \(fit.missing.count) parameters are not in the file and \(fate)"
        + " (--allow-missing): \(fit.missing.prefix(10).joined(separator: ", "))"
        + (fit.missing.count > 10 ? ", …" : "") + ".")
    return try fit.parameters(of: checkpoint, drawingMissing: 0)
  }

  /// What makes probabilities of the outputs.
  private func foundActivation(
    _ fit: WeightFit, outputs: Int
  ) throws -> ForeignActivation {
    ForeignActivation(
      file, outputs: outputs, endsWithSigmoid: try ModuleSettings(modules, fit).endsWithSigmoid)
  }

  // MARK: Recognition

  private struct Recognised {
    let fit: WeightFit
    let checkpoint: Checkpoint
    let preprocessing: Preprocessing?
    let reason: String
    let otherParts: [String]
  }

  /// What --card names: a card and its architecture, or an architecture that no card is called like.
  private func named() throws -> (card: BackboneCard?, architecture: String?) {
    guard let name = reference.card else { return (nil, nil) }
    do {
      let card = try context.pretrained.card(named: name)
      return (card, card.architecture)
    } catch BackboneError.unknownCard where (try? Architecture(named: name)) != nil {
      return (nil, name)
    }
  }

  /// The network, when it is certain.
  ///
  /// - Parameter asked: the architecture that it is said to be.
  private func recognise(cards: [BackboneCard], asked: String?) throws -> Recognised {
    let (checkpoint, order) = try renamed()
    let path = checkpoint.path.displayed
    func identity(_ architecture: String?) throws -> CheckpointIdentity {
      try CheckpointIdentity(
        checkpoint, cards: cards, architecture: architecture, stated: file.statedArchitecture,
        key: reference.weightsKey, configuration: file.configuration)
    }
    var found = try identity(asked ?? order)
    // What the file says of itself decides between networks that its tensors cannot tell apart.
    var stated = file.statedArchitecture
    if found.certainty == .likely, !modules.isEmpty {
      let fitting = try ([found.best?.architecture].compactMap(\.self) + found.rivals).filter {
        guard let fit = try identity($0).best else { return false }
        return try ModuleSettings(modules, fit).contradictions.isEmpty
      }
      if fitting.count == 1 { stated = fitting[0] }
    }
    if found.certainty == .likely, let stated, found.rivals.contains(stated) {
      found = try identity(stated)
    }
    let isStated = asked != nil || found.best?.architecture == stated
    guard let fit = found.best, fit.isComplete || mayDraw(fit) else {
      let problem = ForeignProblem(file, nearest: found.nearest, card: reference.card)
      throw PipelineError.data("\(path): \(problem.text)")
    }
    if asked == nil, let twin = file.statedArchitecture.flatMap(ForeignSummary.twin(named:)) {
      throw PipelineError.data(
        "\(path): its tensors are \(fit.architecture)'s, but the network is \(twin)."
          + " \(ForeignSummary.exportAdvice).")
    }
    if let question = fit.openQuestion, asked == nil {
      throw PipelineError.data(
        "\(path): its tensors are \(fit.architecture)'s by \(fit.naming), but \(question). If it is"
          + " this network all the same, say whose preprocessing it has with --card NAME.")
    }
    guard found.certainty != .likely || isStated else {
      let others = ([fit.architecture] + found.rivals).joined(separator: ", ")
      throw PipelineError.data(
        "\(path): its tensors fit \(others) alike, which compute different things. Say which with"
          + " --card NAME (thaw pretrained list).")
    }
    return Recognised(
      fit: fit, checkpoint: checkpoint, preprocessing: found.preprocessing,
      reason: found.preprocessingReason, otherParts: found.otherParts)
  }

  private func mayDraw(_ fit: WeightFit) -> Bool {
    reference.allowsMissing && fit.unexpected.isEmpty && fit.unfitting.isEmpty
  }

  /// The checkpoint, with --rename-tensors under the names that the order of its tensors gives.
  private func renamed() throws -> (Checkpoint, architecture: String?) {
    let checkpoint = file.checkpoint
    guard reference.renamesTensors else { return (checkpoint, nil) }
    let path = checkpoint.path.displayed
    let found = TensorOrder.all(checkpoint)
    guard let order = found.first else {
      throw PipelineError.data(
        "\(path): the shapes of its tensors, in order, are no architecture's, so --rename-tensors can"
          + " do nothing.")
    }
    guard found.count == 1 || reference.card != nil else {
      throw PipelineError.data(
        "\(path): the shapes of its tensors, in order, are those of"
          + " \(found.map(\.architecture).joined(separator: ", ")). Say which with --card NAME.")
    }
    let few = order.names.prefix(3).map { "'\($0.stored)' as '\($0.own)'" }
    context.console.warn(
      "\(path): \(order.names.count) tensors are renamed by their order, as you asked:"
        + " \(few.joined(separator: ", ")), …. Nothing but their shapes supports it.")
    return (order.renamed(checkpoint), order.architecture)
  }

  private func headless(_ fit: WeightFit) -> PipelineError {
    let path = file.checkpoint.path.displayed
    let found =
      fit.otherHead.isEmpty
      ? "they have no classifier"
      : "what follows is no classifier that Thaw can compute"
        + " (\(fit.otherHead.prefix(4).joined(separator: ", ")))"
    return .data(
      "\(path): these weights of \(fit.architecture) end with the features; \(found). Train one on"
        + " them: thaw pretrained import \(path) --name NAME, then thaw fit DATA --backbone NAME")
  }

  /// Every card; when they cannot be read, none, and that is said.
  private func knownCards() -> [BackboneCard] {
    guard FileSystem.exists(context.pretrained.cardFolder) else { return [] }
    do { return try context.pretrained.cards() } catch {
      context.console.warn(
        "\(error) \(file.checkpoint.path.displayed) is recognised without cards.")
      return []
    }
  }
}

extension StoredModel {
  /// Key of a record's notes: the order of the class names was assumed, and how.
  package static let assumedOrder = "assumed_class_order"
  /// Key of a record's notes: the program that wrote the file, as the file says.
  package static let writer = "writer"
}
