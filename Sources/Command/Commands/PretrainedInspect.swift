// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawImages
import ThawInference

/// `thaw pretrained inspect`
struct PretrainedInspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "What a checkpoint holds, and which network it seems to be; nothing is executed.",
    discussion: """
      PyTorch .pth and .pt2, safetensors, Keras .h5 and .keras, NumPy .npz, ONNX.
      """)
  @Argument(help: "A file of weights, or the name of a card.", completion: Completions.models)
  var file: String
  @Flag(help: "List every tensor behind the verdict.") var tensors = false
  @OptionGroup(title: "Every command") var global: GlobalOptions

  /// One tensor.
  struct Row: Encodable {
    let name: String
    let type: String
    let shape: [Int]
  }

  /// A file, and what it seems to be.
  struct Contents: Encodable {
    let path: String
    let format: String
    let metadata: [String: String]
    let tensors: [Row]
    let parameters: Int
    /// `sure`, `likely`, `partial` or `unknown`.
    let certainty: String
    let architecture: String?
    let naming: String?
    let reason: String
    let rivals: [String]
    let matched: Int
    let needed: Int
    let missing: [String]
    let unexpected: [String]
    let unfitting: [String]
    let notes: [String]
    let classes: Int?
    let classNames: [String]?
    let preprocessing: String?
    let preprocessingReason: String?
    let card: String?
    /// The library that wrote it, as far as it shows.
    var writer: String?
    /// What can be done with it.
    var next: [String] = []
  }

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
    let checkpoint =
      try program.map {
        Checkpoint(tensors: $0.0, metadata: [:], format: .torchZip, path: path)
      } ?? CheckpointReader.read(path)
    let cards = (try? store?.cards()) ?? []
    let described =
      try program.map { DescribedNetwork($0.1, path: path) }
      ?? (checkpoint.format == .onnx
        ? DescribedNetwork(try ONNXReader.read(path), path: path)
        : DescribedNetwork(keras: checkpoint, cards: cards))
    let contents =
      try described.map { Contents(checkpoint, $0) }
      ?? (ModelFile.isModelFile(checkpoint)
        ? try Contents(model: checkpoint)
        : Contents(
          checkpoint, try CheckpointIdentity(checkpoint, cards: cards)))
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

extension PretrainedInspect.Contents {
  /// A checkpoint of unknown origin.
  init(_ checkpoint: Checkpoint, _ identity: CheckpointIdentity) {
    let fit = identity.best
    self.init(
      checkpoint, certainty: identity.certainty.rawValue, fit: fit,
      reason: PretrainedInspect.reason(identity), rivals: identity.rivals,
      preprocessing: identity.preprocessing?.description,
      preprocessingReason: fit == nil ? nil : identity.preprocessingReason,
      card: identity.card?.name)
  }

  private init(
    _ checkpoint: Checkpoint, certainty: String, fit: WeightFit?, reason: String,
    rivals: [String], preprocessing: String?, preprocessingReason: String?, card: String?
  ) {
    path = checkpoint.path.displayed
    format = "\(checkpoint.format)"
    metadata = checkpoint.metadata
    tensors = PretrainedInspect.rows(checkpoint)
    parameters = checkpoint.tensors.reduce(0) { $0 + $1.shape.count }
    self.certainty = certainty
    architecture = fit?.architecture
    naming = fit?.naming
    self.reason = reason
    self.rivals = rivals
    matched = fit?.matched ?? 0
    needed = fit?.needed ?? 0
    missing = fit?.missing ?? []
    unexpected = fit?.unexpected ?? []
    unfitting = fit?.unfitting ?? []
    notes = fit?.notes ?? []
    classes = fit?.head?.classes
    classNames = nil
    self.preprocessing = preprocessing
    self.preprocessingReason = preprocessingReason
    self.card = card
  }

  /// A model file of ours, which says everything itself.
  init(model checkpoint: Checkpoint) throws {
    let record = try ModelFile.read(checkpoint).record
    path = checkpoint.path.displayed
    format = "\(checkpoint.format)"
    metadata = checkpoint.metadata
    tensors = PretrainedInspect.rows(checkpoint)
    parameters = checkpoint.tensors.reduce(0) { $0 + $1.shape.count }
    certainty = CheckpointIdentity.Certainty.sure.rawValue
    architecture = record.architecture
    naming = "Thaw's names"
    reason = "the file is a model of Thaw \(record.thawVersion) and says so"
    (rivals, missing, unexpected, unfitting, notes) = ([], [], [], [], [])
    matched = checkpoint.count
    needed = checkpoint.count
    classes = record.classNames.count
    classNames = record.classNames
    preprocessing = (try? Preprocessing(json: record.preprocessing))?.description
    preprocessingReason = "the file says it"
    card = nil
  }

  /// A file that brings its network with it.
  init(_ checkpoint: Checkpoint, _ described: DescribedNetwork) {
    path = checkpoint.path.displayed
    format = "\(checkpoint.format)"
    metadata = checkpoint.metadata
    tensors = PretrainedInspect.rows(checkpoint)
    parameters = checkpoint.tensors.reduce(0) { $0 + $1.shape.count }
    (rivals, missing, unexpected, unfitting, card) = ([], [], [], [], nil)
    let isKnown = described.architecture != nil
    architecture = described.architecture
    naming = isKnown ? "the file's names" : nil
    certainty =
      (isKnown ? CheckpointIdentity.Certainty.sure : CheckpointIdentity.Certainty.unknown).rawValue
    matched = isKnown ? checkpoint.count : 0
    needed = matched
    reason = described.reason
    notes = described.notes
    classes = described.classCount
    classNames = described.classNames
    preprocessing = described.preprocessing
    preprocessingReason = described.preprocessingReason
    writer = described.writer
    next = described.next
  }

  /// The verdict for people.
  var summary: String {
    var lines = [
      "\(path): \(format), \(counted(tensors.count, "tensor")), \(counted(parameters, "number"))"
    ]
    if let writer, !writer.isEmpty { lines.append("written by: \(writer)") }
    lines.append(
      "architecture: " + (architecture.map { "\($0), \(certainty): " } ?? "") + reason)
    for (label, names) in [
      ("missing", missing), ("unexpected", unexpected), ("unfitting", unfitting),
    ] where !names.isEmpty {
      let shown = names.prefix(10).joined(separator: ", ") + (names.count > 10 ? ", …" : "")
      lines.append("\(label): \(names.count): \(shown)")
    }
    lines += notes.map { "note: \($0)" }
    if architecture != nil {
      lines.append(
        "classes: " + (classes.map(String.init) ?? "none, the weights end with the features")
          + (classNames.map { ": " + $0.prefix(10).joined(separator: ", ") } ?? "")
          + (classNames.map { $0.count > 10 ? ", …" : "" } ?? ""))
    }
    if let preprocessing {
      lines.append("preprocessing: \(preprocessing) (\(preprocessingReason ?? ""))")
    }
    lines += next.map { "next: \($0)" }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension PretrainedInspect {
  fileprivate static func rows(_ checkpoint: Checkpoint) -> [Row] {
    checkpoint.tensors.map {
      Row(name: $0.name, type: $0.elementType.rawValue, shape: $0.shape.extents)
    }
  }

  /// Why the identity is as sure as it is.
  fileprivate static func reason(_ identity: CheckpointIdentity) -> String {
    guard let fit = identity.best else {
      return "unknown: no architecture has half of these tensors"
    }
    let share = "\(fit.matched) of \(fit.needed) parameters have their tensor, by \(fit.naming)"
    return switch identity.certainty {
    case .sure: "\(share), nothing is left over, and no other architecture fits"
    case .likely:
      "\(share), nothing is left over; the same tensors fit"
        + " \(identity.rivals.joined(separator: ", ")), which no file of weights tells apart"
    default: share
    }
  }
}
