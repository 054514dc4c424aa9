// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawImages
import ThawInference

/// `thaw pretrained import`
struct PretrainedImport: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Take weights from a file that is here already.",
    discussion: """
      Without --name the file must be the one the card names. With --name it may be any checkpoint
      of the same network: it gets a card of its own, with the other's preprocessing. Tensors that
      are missing, unexpected or of the wrong shape are listed, and then nothing is taken.

      An ONNX classifier brings its network with it and needs no --card, only a --name, and the
      --preprocessing it was trained with unless Thaw wrote it.
      """)
  @Argument(help: "The checkpoint.") var file: FilePath
  @Option(help: "The card it belongs to, or whose network it has (ONNX: preprocessing).")
  var card: String?
  @Option(help: "Name of a new card for weights of your own.") var name: String?
  @Option(help: "With --name: file with the names of its classes, one a line.")
  var classes: FilePath?
  @Option(help: "ONNX: torch, tf, caffe, efficientnet-lite, unit or raw.")
  var preprocessing: PreprocessingFamily?
  @Option(help: "ONNX: side of the input image, when the file leaves it free.")
  var size: Int?
  @Flag(help: "ONNX: tensors may lie in other files of the same folder.")
  var externalData = false
  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    guard card != nil || name != nil else {
      throw ValidationError("--card, or for an ONNX classifier --name, is missing.")
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
  }

  func run() throws {
    let store = try PretrainedStore.locate()
    if let name, let card = try importDescribed(name, store) {
      return try Session(global).print(
        Pretrained.Entry(card, store),
        text: "\(store.weights(of: card).displayed): imported as \(card.name).\n"
          + "  photos: \(card.preprocessing)")
    }
    if let name, try CheckpointReader.isONNX(file) { return try importONNX(name, store) }
    guard let named = self.card, preprocessing == nil, !externalData, size == nil else {
      throw ValidationError(
        "\(file.string) is no ONNX file: give the --card whose network it has.")
    }
    var card = try store.card(named: named)
    if let name {
      card = try store.importOwn(.init(file: file, name: name, classes: classes), like: card)
    } else {
      try store.importWeights(of: card, from: file)
    }
    try Session(global).print(
      Pretrained.Entry(card, store),
      text: "\(store.weights(of: card).displayed): imported as \(card.name).")
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
    guard try bringsEverything() else { return nil }
    let reference = ModelReference(
      file.string, card: card, classNames: classes, preprocessing: preprocessing?.contract)
    let model = try reference.read(context: Session(global).context())
    if let card, model.record.outputActivation == .softmax,
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
    let contract =
      try preprocessing?.contract ?? card.map { try store.card(named: $0).preprocessing }
    let card = try store.importONNX(
      PretrainedStore.ONNXClassifier(
        file: file, name: name,
        preprocessing: size.flatMap { contract?.withInputSize($0) } ?? contract,
        classes: classes, externalData: externalData ? .besideTheModel : .refused))
    let names = try card.classNames(in: store)
    try Session(global).print(
      Pretrained.Entry(card, store),
      text: "\(store.weights(of: card).displayed): imported as \(card.name).\n"
        + "  photos: \(card.preprocessing)\n"
        + "  classes: \(names.count), named in \(card.classesFile ?? "nothing")")
  }
}
