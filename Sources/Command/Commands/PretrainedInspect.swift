// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawGraphs
import ThawInference

/// `thaw pretrained inspect`
struct PretrainedInspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "What a checkpoint holds, and which network it seems to be; nothing is executed.",
    discussion: """
      PyTorch .pth and .pt2, safetensors, Keras .h5 and .keras, NumPy .npz, ONNX, and the folder of a model \
      of transformers or timm.
      """)
  @Argument(
    help: "A file or folder of weights, or the name of a card.", completion: Completions.models)
  var file: String
  @Flag(help: "List every tensor behind the verdict.") var tensors = false
  @Option(help: "Of several networks in the file the key or prefix of the one to look at.")
  var weightsKey: String?
  @OptionGroup(title: "Every command") var global: GlobalOptions

  func run() throws {
    let session = Session(global)
    let store = try? session.pretrained()
    var path = FilePath(file)
    if !FileSystem.exists(path), !file.contains("/") {
      let store = try session.pretrained()
      let card = try store.card(named: file)
      try store.provide(card)
      path = store.weights(of: card)
    }
    let program = try TorchExportArchive(path).map { archive in
      (
        Array(archive.tensors.sorted { $0.key < $1.key }.map(\.value)),
        try ATenTranslator.model(archive)
      )
    }
    let found =
      try program.map {
        try ForeignFile(
          beside: Checkpoint(tensors: $0.0, metadata: [:], format: .torchZip, path: path))
      } ?? ForeignFile(path, key: weightsKey)
    let checkpoint = found.checkpoint
    let cards = (try? store?.cards()) ?? []
    let described =
      try program.map { DescribedNetwork($0.1, path: path, beside: try StatedContract(found)) }
      ?? (checkpoint.format == .onnx
        ? DescribedNetwork(try ONNXReader.read(path), path: path, beside: try StatedContract(found))
        : weightsKey == nil ? DescribedNetwork(keras: checkpoint, cards: cards) : nil)
    let contents =
      try described.map { InspectedFile(found, $0) }
      ?? (ModelFile.isModelFile(checkpoint)
        ? try InspectedFile(model: checkpoint)
        : try InspectedFile(
          found, path,
          CheckpointIdentity(
            checkpoint, cards: cards, stated: found.statedArchitecture, key: weightsKey,
            configuration: found.configuration)))
    try session.print(contents, text: contents.summary + (tensors ? "\n" + table(checkpoint) : ""))
  }

  private func table(_ checkpoint: Checkpoint) -> String {
    var table = TextTable("tensor", "type", "shape")
    for tensor in checkpoint.tensors {
      table.append([tensor.name, tensor.elementType.rawValue, tensor.shape.description])
    }
    return table.text(width: OutputSink.tableColumns)
  }
}
