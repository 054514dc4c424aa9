// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawBackbones
package import ThawCheckpoints
import ThawConsole
import ThawFiles

/// A checkpoint that another program wrote, with the small files that libraries put beside one.
///
/// A folder is a model, too: of Hugging Face transformers or of timm, with its weights in
/// `model.safetensors` or `pytorch_model.bin`, perhaps in several shards with an index.
package struct ForeignFile {
  /// The weights.
  package let checkpoint: Checkpoint
  /// `config.json`, which names architecture and classes; nil when there is none.
  package let configuration: JSONValue?
  /// `preprocessor_config.json`, how transformers prepares photos.
  package let processor: JSONValue?
  /// A list of class names beside the weights.
  package let labels: ClassList?
  /// What was found beside the weights and not used, as sentences.
  package let remarks: [String]
  /// Names of files beside the weights that are there and cannot be read.
  let unreadable: [String]

  /// Opens a file or a folder.
  ///
  /// - Parameter key: of several networks the one that is wanted; see ``CheckpointReader/read(_:key:)``.
  /// - Throws: `CheckpointError`; ``PipelineError/data(_:)`` for a folder without weights.
  package init(_ path: FilePath, key: String? = nil) throws {
    let isFolder = try FileStatus(of: path).kind == .directory
    let folder = isFolder ? path : path.removingLastComponent()
    let names = isFolder ? try FileSystem.list(path).map(\.string) : nil
    var remarks: [String] = []
    checkpoint =
      if let names {
        try ForeignFile.read(folder: path, names, key, &remarks)
      } else {
        try CheckpointReader.read(path, key: key)
      }
    let place = folder.isEmpty ? FilePath(".") : folder
    configuration = try ForeignFile.json(place, "config.json", &remarks)
    processor = try ForeignFile.json(place, "preprocessor_config.json", &remarks)
    labels = ClassList.beside(place)
    self.remarks = remarks
    unreadable = ForeignFile.unreadable(remarks)
  }

  /// A checkpoint that is read already, with nothing beside it.
  package init(_ checkpoint: Checkpoint) {
    self.checkpoint = checkpoint
    (configuration, processor, labels, remarks, unreadable) = (nil, nil, nil, [], [])
  }

  /// A graph that is read already, with the small files beside it.
  ///
  /// - Throws: `FileError`.
  package init(beside checkpoint: Checkpoint) throws {
    self.checkpoint = checkpoint
    let folder = checkpoint.path.removingLastComponent()
    let place = folder.isEmpty ? FilePath(".") : folder
    var remarks: [String] = []
    configuration = try ForeignFile.json(place, "config.json", &remarks)
    processor = try ForeignFile.json(place, "preprocessor_config.json", &remarks)
    labels = ClassList.beside(file: checkpoint.path)
    self.remarks = remarks
    unreadable = ForeignFile.unreadable(remarks)
  }

  /// The weights that a folder holds, by their usual names; nil when none is there.
  package static func weights(in folder: FilePath) throws -> FilePath? {
    let names = try FileSystem.list(folder).map(\.string)
    return weights(among: names).first.map { folder.appending($0) }
  }

  private static func weights(among names: [String]) -> [String] {
    let usual = [
      "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
      "pytorch_model.bin.index.json",
    ]
    let known = usual.filter(names.contains)
    if !known.isEmpty { return known }
    return names.sorted().filter { name in
      [".safetensors", ".bin", ".pth", ".pt", ".ckpt"].contains { name.hasSuffix($0) }
        && !name.hasPrefix(".")
    }
  }

  private static func read(
    folder: FilePath, _ names: [String], _ key: String?, _ remarks: inout [String]
  ) throws -> Checkpoint {
    let found = weights(among: names)
    guard let first = found.first else {
      if names.contains("recipe.yml") {
        throw PipelineError.data(
          "\(folder.displayed): a run without a model yet. Run: thaw train --run \(folder.quoted)")
      }
      throw PipelineError.data(
        "\(folder.displayed): a folder without weights. A model's folder has model.safetensors or"
          + " pytorch_model.bin, and for how photos are prepared config.json.")
    }
    let isUsual = first.hasPrefix("model.") || first.hasPrefix("pytorch_model.")
    guard isUsual || found.count == 1 else {
      throw PipelineError.data(
        "\(folder.displayed): holds \(found.count) files of weights:"
          + " \(found.prefix(5).joined(separator: ", ")). Give one of them.")
    }
    let others = found.dropFirst().filter { !$0.hasSuffix(".index.json") }
    if !others.isEmpty {
      remarks.append("read is \(first); \(others.joined(separator: ", ")) beside it is not")
    }
    guard first.hasSuffix(".index.json") else {
      return try CheckpointReader.read(folder.appending(first), key: key)
    }
    return try shards(folder, index: first)
  }

  /// Several files of one network, listed in an index.
  private static func shards(_ folder: FilePath, index: String) throws -> Checkpoint {
    let path = folder.appending(index)
    let text = String(decoding: try FileSystem.read(path, limit: 1 << 25), as: UTF8.self)
    guard let json = try? JSONValue(parsing: text), case .object(let members)? = json["weight_map"]
    else {
      throw PipelineError.data("\(path.displayed): is no index of weights (weight_map is missing).")
    }
    var files: [String] = []
    for name in members.compactMap(\.value.text) where !files.contains(name) {
      guard !name.contains("/"), files.count < 1000 else {
        throw PipelineError.data("\(path.displayed): a shard lies outside of the folder.")
      }
      files.append(name)
    }
    let parts = try files.map { try CheckpointReader.read(folder.appending($0)) }
    guard let first = parts.first else {
      throw PipelineError.data("\(path.displayed): names no file of weights.")
    }
    let all = parts.flatMap(\.tensors)
    guard Set(all.map(\.name)).count == all.count else {
      throw PipelineError.data("\(path.displayed): two of its files hold the same tensor.")
    }
    return Checkpoint(
      tensors: all, metadata: first.metadata, format: first.format, path: folder)
  }

  private static func json(
    _ folder: FilePath, _ name: String, _ remarks: inout [String]
  ) throws -> JSONValue? {
    let path = folder.appending(name)
    guard FileSystem.exists(path), let bytes = try? FileSystem.read(path, limit: 1 << 24) else {
      return nil
    }
    let json = try? JSONValue(parsing: String(decoding: bytes, as: UTF8.self))
    if json == nil { remarks.append(name + unreadableRemark) }
    return json
  }

  private static let unreadableRemark = " beside it is not JSON that can be read"

  private static func unreadable(_ remarks: [String]) -> [String] {
    remarks.filter { $0.hasSuffix(unreadableRemark) }.map {
      String($0.dropLast(unreadableRemark.count))
    }
  }

  /// The library that wrote it, as far as that shows; nil otherwise.
  package var writer: String? {
    if let configuration {
      if let version = configuration["transformers_version"]?.text {
        return "Hugging Face transformers \(version)"
      }
      if configuration["pretrained_cfg"] != nil { return "timm" }
    }
    return checkpoint.surroundings?.writer
  }

  /// The architecture that `config.json` or the checkpoint names, in the library's words.
  package var statedArchitecture: String? {
    let data = checkpoint.surroundings?.data
    let stated =
      configuration?["architecture"]?.text ?? data?["arch"]?.text
      ?? data?["args"]?["arch"]?.text ?? data?["args"]?["model"]?.text
      ?? data?["hyper_parameters"]?["arch"]?.text
    return stated.map(TimmNames.network)
  }

  /// Whether it says that its network is `architecture`.
  func statesNetwork(_ architecture: String) -> Bool { statedArchitecture == architecture }
}
