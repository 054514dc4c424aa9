// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Backbones
import Checkpoints
import Files
import Pipeline
import Reports
import SystemPackage

/// `thaw pretrained inspect`
struct PretrainedInspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "The tensors in a checkpoint or model file; nothing in it is executed.")
  @Argument(help: "A .pth or .safetensors file, or the name of a card.") var file: String
  @OptionGroup(title: "Every command") var global: GlobalOptions

  /// One tensor.
  struct Row: Encodable {
    let name: String
    let type: String
    let shape: [Int]
  }

  /// A file.
  struct Contents: Encodable {
    let path: String
    let format: String
    let metadata: [String: String]
    let tensors: [Row]
  }

  func run() throws {
    var path = FilePath(file)
    if !FileSystem.exists(path), !file.contains("/") {
      let store = try PretrainedStore.locate()
      let card = try store.card(named: file)
      try store.verify(card)
      path = store.weights(of: card)
    }
    let checkpoint = try CheckpointReader.read(path)
    let rows = checkpoint.tensors.map {
      Row(name: $0.name, type: $0.elementType.rawValue, shape: $0.shape.extents)
    }
    var table = TextTable("tensor", "type", "shape")
    for tensor in checkpoint.tensors {
      table.append([tensor.name, tensor.elementType.rawValue, tensor.shape.description])
    }
    let contents = Contents(
      path: path.displayed, format: "\(checkpoint.format)", metadata: checkpoint.metadata,
      tensors: rows)
    try Session(global).print(contents, text: table.text(width: 120))
  }
}
