// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawGraphs
import ThawImages
import ThawInference
import ThawNetwork

/// `thaw pretrained import`
struct PretrainedImport: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Take weights from a file that is here already.",
    discussion: """
      Without --name the file must be the one the card names. With --name it may be any checkpoint of \
      a network that is known, or the folder of a model of transformers or timm: it gets a card of its \
      own. The network is recognised, or is that of the --card, and photos are prepared as the card \
      says, else as a file beside the weights does. Tensors that are missing, unexpected or of the wrong \
      shape are listed, and then nothing is taken.

      A file that brings its network with it (ONNX, a Keras model, a .pt2 of torch.export) needs no --card, \
      only a --name, and the --preprocessing it was trained with unless the file says it.
      """)
  @Argument(help: "The checkpoint.") var file: FilePath
  @Option(
    help:
      "The card it belongs to, or whose network it has; of ONNX, Keras and .pt2 whose preprocessing.",
    completion: Completions.cards)
  var card: String?
  @Option(help: "Name of a new card for weights of your own.") var name: String?
  @Option(
    name: [.customLong("classes"), .customLong("class-names")],
    help: "With --name: file with the names of its classes, one a line.")
  var classes: FilePath?
  @Option(help: "ONNX, Keras, .pt2: torch, tf, caffe, efficientnet-lite, unit or raw.")
  var preprocessing: PreprocessingFamily?
  @Option(help: "ONNX: side of the input image, when the file leaves it free.")
  var size: Int?
  @Flag(help: "ONNX: tensors may lie in other files of the same folder.")
  var externalData = false
  @Option(help: "Of several networks in the file the key or prefix of the one to take.")
  var weightsKey: String?
  @Flag(help: "Name the tensors by their order, where the shapes are those of a known network.")
  var renameTensors = false
  @Flag(help: "Draw what the file lacks at random, and say what.") var allowMissing = false
  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    guard card != nil || name != nil else {
      throw ValidationError(
        "--name, for a card of your own, or --card, whose file it is, is missing.")
    }
    guard preprocessing == nil || card == nil else {
      throw ValidationError("--preprocessing and --card say the same; give one of them.")
    }
    if let size, !(16...4096).contains(size) {
      throw ValidationError("--size is \(size), expected 16 to 4096.")
    }
    guard name != nil || classes == nil else {
      throw ValidationError("--classes belongs to a card of your own: give it a --name.")
    }
    let idle = given(forGraphs + forPixels + forWeights)
    guard name != nil || idle.isEmpty else {
      throw ValidationError(
        "\(idle) says nothing about the file that a card names: give a --name, for a card of your own."
      )
    }
  }

  func run() throws {
    let store = try PretrainedStore.locate()
    if let name, let card = try importDescribed(name, store) {
      return try Session(global).print(
        Pretrained.Entry(card, store),
        text: "\(store.weights(of: card).displayed): imported as \(card.name).\n"
          + "  photos: \(card.preprocessing)")
    }
    if let name, try isONNX {
      try refuse(forWeights, "\(file.string) brings its own network")
      return try importONNX(name, store)
    }
    try refuse(
      forPixels, "\(file.string) holds weights alone, of a network that a --card prepares for")
    try refuse(forGraphs, "\(file.string) is no ONNX file")
    var card: BackboneCard
    if let name {
      card = try importOwn(name, store)
    } else {
      card = try store.card(named: self.card ?? "")
      try store.importWeights(of: card, from: file)
    }
    try Session(global).print(
      Pretrained.Entry(card, store),
      text: "\(store.weights(of: card).displayed): imported as \(card.name).")
  }

  // MARK: Options without effect

  /// A size that the file fixes otherwise.
  private func checkSize() throws {
    guard let size else { return }
    let model = try ONNXReader.read(file, externalData: externalData ? .besideTheModel : .refused)
    guard let fixed = try ONNXNetwork(model, file: file, size: size).inputSize,
      fixed != Extent2D(size)
    else { return }
    throw PipelineError.usage(
      "--size \(size) would have no effect: the network in \(file.string) takes images of \(fixed)."
    )
  }

  private typealias Given = (option: String, isGiven: Bool)

  /// What only a graph of ONNX's may need.
  private var forGraphs: [Given] {
    [("--size", size != nil), ("--external-data", externalData)]
  }

  /// What only a file that brings its network may need.
  private var forPixels: [Given] { [("--preprocessing", preprocessing != nil)] }

  /// What is about the tensors of a file without a network.
  private var forWeights: [Given] {
    [
      ("--weights-key", weightsKey != nil), ("--rename-tensors", renameTensors),
      ("--allow-missing", allowMissing),
    ]
  }

  /// Those that were given; empty for none.
  private func given(_ options: [Given]) -> String {
    options.filter(\.isGiven).map(\.option).joined(separator: ", ")
  }

  /// An option that would have no effect is an error.
  private func refuse(_ options: [Given], _ reason: String) throws {
    let found = given(options)
    guard found.isEmpty else {
      throw PipelineError.usage("\(found) would have no effect: \(reason).")
    }
  }

  private var isONNX: Bool {
    get throws {
      try FileStatus(of: file).kind != .directory && CheckpointReader.isONNX(file)
    }
  }

  /// Takes a checkpoint in under a name of its own.
  private func importOwn(_ name: String, _ store: PretrainedStore) throws -> BackboneCard {
    let isPlain = weightsKey == nil && !renameTensors && !allowMissing
    // A name that is no card's may be an architecture's; else it is refused below.
    if let card, let like = try? store.card(named: card), isPlain,
      try FileStatus(of: file).kind != .directory
    {
      do {
        if like.architecture != Architecture.onnxName {
          return try store.importOwn(.init(file: file, name: name, classes: classes), like: like)
        }
      } catch let error as CheckpointError where error.kind == .mismatch {
        // Names of another library, a prefix, strangers beside the network: recognised below.
      }
    }
    let reference = ModelReference(
      file.string, card: card, classNames: classes, weightsKey: weightsKey,
      renamesTensors: renameTensors, allowsMissing: allowMissing)
    return try ForeignImport(reference, Session(global).context()).run(as: name)
  }

  /// Whether the file has its network, and nothing has to be known of it that only the options for ONNX
  /// say.
  private func bringsEverything() throws -> Bool {
    if try TorchExportArchive(file) != nil { return true }
    guard try CheckpointReader.isONNX(file) else {
      return try CheckpointReader.read(file).kerasModel?.configuration != nil
    }
    let isPlain = preprocessing == nil && card == nil && size == nil && !externalData
    return try isPlain && ONNXReader.read(file).metadata["thaw.format"] == nil
  }

  /// Takes a model with the network that its file describes; nil for a file of weights alone, and for
  /// the network of the named card, which is kept as its weights.
  private func importDescribed(_ name: String, _ store: PretrainedStore) throws -> BackboneCard? {
    // These options are about the weights alone.
    guard try FileStatus(of: file).kind != .directory else { return nil }
    if try TorchExportArchive(file) != nil {
      try refuse(forWeights, "\(file.string) brings its own network")
    }
    guard weightsKey == nil, !renameTensors, !allowMissing, try bringsEverything() else {
      return nil
    }
    if try !isONNX { try refuse(forGraphs, "\(file.string) is no ONNX file") }
    let reference = ModelReference(
      file.string, card: card, classNames: classes, preprocessing: preprocessing?.contract)
    let model = try reference.read(context: Session(global).context())
    if let card, model.record.outputActivation == .softmax,
      model.record.architecture != Architecture.onnxName,
      model.record.architecture == (try store.card(named: card).architecture)
    {
      return nil
    }
    return try store.importDescribed(
      PretrainedStore.DescribedNetwork(
        name: name, graph: model.graph, parameters: model.parameters,
        preprocessing: model.preprocessing, record: model.record, origin: file))
  }

  private func importONNX(_ name: String, _ store: PretrainedStore) throws {
    if preprocessing != nil || card != nil,
      try ONNXReader.read(file).metadata["thaw.format"] != nil
    {
      throw PipelineError.usage(
        "\(file.displayed) is an ONNX file of Thaw, which says itself how photos are prepared: leave"
          + " --preprocessing and --card out.")
    }
    try checkSize()
    let contract =
      try preprocessing?.contract ?? card.map { try store.card(named: $0).preprocessing }
    var classifier = PretrainedStore.ONNXClassifier(
      file: file, name: name,
      preprocessing: size.flatMap { contract?.withInputSize($0) } ?? contract,
      classes: classes, externalData: externalData ? .besideTheModel : .refused)
    classifier.classNames = ClassList.beside(file: file)?.names
    let card = try store.importONNX(classifier)
    let names = try card.classNames(in: store)
    try Session(global).print(
      Pretrained.Entry(card, store),
      text: "\(store.weights(of: card).displayed): imported as \(card.name).\n"
        + "  photos: \(card.preprocessing)\n"
        + "  classes: \(names.count), named in \(card.classesFile ?? "nothing")")
  }
}
