// SPDX-License-Identifier: Apache-2.0

import Backbones
import Checkpoints
import Datasets
import Execution
import Files
import Images
import Network
import Synchronization
import SystemPackage
import Tensors

/// A network under diagnosis: one of ours, a card's, or a checkpoint that was trained elsewhere.
struct DiagnosedNetwork {
  let graph: Graph
  let parameters: Parameters
  /// In the order of the outputs.
  let classNames: [String]
  let preprocessing: Preprocessing
  /// The card or file it came from, for messages.
  let source: String
  /// What its file says about it; nil when the file is not one of ours.
  let record: ModelRecord?
  /// The plan that prediction would use.
  let plan: any InferencePlan
  private let threads: Int

  /// Loads a model file that Thaw wrote.
  init(modelFile: FilePath, context: StageContext) throws {
    try self.init(try CheckpointReader.read(modelFile), modelFile, context: context)
  }

  private init(_ checkpoint: Checkpoint, _ file: FilePath, context: StageContext) throws {
    let (record, parameters) = try ModelFile.read(checkpoint)
    guard let contract = try? Preprocessing(json: record.preprocessing) else {
      throw PipelineError.data(
        "\(file.displayed): the preprocessing contract in it is not understood.")
    }
    let training = try? TrainingRecord(json: record.training)
    let head = Head(
      classes: record.classNames.count, hidden: training?.head.hidden,
      dropout: training?.head.dropout ?? 0)
    try self.init(
      try Architecture(named: record.architecture).graph(head), parameters,
      classNames: record.classNames, preprocessing: contract, source: file.displayed,
      record: record, context: context)
  }

  /// Loads what `--model` names: a model file, a card, or with a card any checkpoint in whose layout
  /// the card's architecture is known.
  ///
  /// - Parameters:
  ///   - card: for a checkpoint that says nothing about itself: its architecture and preprocessing.
  ///   - folders: class folders of the data, for the names of a checkpoint that has none.
  init(
    _ text: String, card: String?, folders: Set<String>, context: StageContext
  ) throws {
    let path = FilePath(text)
    guard FileSystem.exists(path) else {
      guard !text.contains("/") else {
        throw PipelineError.data(
          "\(path.displayed): no such file. Give a model file, or the name of a card (thaw"
            + " pretrained list).")
      }
      let card = try context.pretrained.card(named: text)
      let backbone = try PretrainedBackbone(card, from: context.pretrained)
      try self.init(
        backbone.graph, backbone.parameters, classNames: backbone.classNames,
        preprocessing: card.preprocessing, source: card.name, context: context)
      return
    }
    let checkpoint = try CheckpointReader.read(path)
    if ModelFile.isModelFile(checkpoint) {
      try self.init(checkpoint, path, context: context)
      return
    }
    guard let card else {
      throw PipelineError.usage(
        "\(path.displayed) does not say what network it holds. Name the card it was trained from:"
          + " --card NAME (thaw pretrained list).")
    }
    let foreign = try ForeignNetwork(
      checkpoint, path, card: try context.pretrained.card(named: card), folders: folders,
      context: context)
    try self.init(
      foreign.graph, foreign.parameters, classNames: foreign.classNames,
      preprocessing: foreign.preprocessing, source: path.displayed, context: context)
  }

  private init(
    _ graph: Graph, _ parameters: Parameters, classNames: [String], preprocessing: Preprocessing,
    source: String, record: ModelRecord? = nil, context: StageContext
  ) throws {
    try parameters.validate(for: graph)
    self.graph = graph
    self.parameters = parameters.restricted(to: graph)
    self.classNames = classNames
    self.preprocessing = preprocessing
    self.source = source
    self.record = record
    threads = context.threads
    plan = try context.compiler.compileInference(
      graph, parameters: parameters, microBatch: OneDNNEngine.recommendedMicroBatch,
      size: Extent2D(preprocessing.inputSize))
  }

  /// Reads and prepares photos in parallel; for each the reason why it cannot be used, or nil.
  func prepare(_ paths: [FilePath], into pixels: AlignedStorage<Float>) throws -> [String?] {
    let perPhoto = preprocessing.elementCount
    let reasons = Mutex([String?](repeating: nil, count: paths.count))
    let preprocessing = preprocessing
    try forEachIndex(below: paths.count, threads: threads) { index in
      let target = UnsafeMutableBufferPointer(
        rebasing: pixels.elements[(index * perPhoto)..<((index + 1) * perPhoto)])
      do {
        let bytes = try FileSystem.read(paths[index], limit: 1 << 30)
        try bytes.withUnsafeBytes { _ = try preprocessing.prepare($0, into: target) }
      } catch {
        reasons.withLock { $0[index] = "\(error)" }
      }
    }
    return reasons.withLock { $0 }
  }

  /// The output for each class folder, matched by name.
  ///
  /// - Throws: ``PipelineError/data(_:)`` naming classes the model does not know.
  func columns(
    of folders: Set<String>, renaming: [String: String], data: FilePath
  ) throws -> [String: Int] {
    var indices: [String: Int] = [:]
    for (index, name) in classNames.enumerated() { indices[name] = index }
    var columns: [String: Int] = [:]
    for folder in folders { columns[folder] = indices[renaming[folder] ?? folder] }
    let unknown = folders.filter { columns[$0] == nil }.sorted()
    guard unknown.isEmpty else {
      let shown = classNames.prefix(10).joined(separator: ", ")
      throw PipelineError.data(
        "\(data.displayed): the model \(source) does not know"
          + " \(unknown.map { "'\($0)'" }.joined(separator: ", ")). It knows \(shown)"
          + (classNames.count > 10 ? ", …" : "")
          + ". Rename the folders, or pass --rename FOLDER=CLASS.")
    }
    return columns
  }
}

/// A checkpoint of another system, read with the help of a card.
private struct ForeignNetwork {
  let graph: Graph
  let parameters: Parameters
  let classNames: [String]
  let preprocessing: Preprocessing

  init(
    _ checkpoint: Checkpoint, _ path: FilePath, card: BackboneCard, folders: Set<String>,
    context: StageContext
  ) throws {
    let architecture = try Architecture(named: card.architecture)
    let output = architecture.graph(Head(classes: 2)).output.path.appending("weight")
    let namings = [card.naming] + Architecture.Naming.allCases.filter { $0 != card.naming }
    let found = namings.lazy.compactMap { naming in
      checkpoint.tensors.first { architecture.path(of: $0.name, naming: naming) == output }
        .map { (naming, $0.shape[0]) }
    }.first
    guard let (naming, classes) = found else {
      throw PipelineError.data(
        "\(path.displayed): has no tensor for the classifier '\(output)' of \(card.architecture)."
          + " Is it a checkpoint of that network? Name another card with --card.")
    }
    graph = architecture.graph(Head(classes: classes))
    parameters = try checkpoint.parameters(
      renaming: { architecture.path(of: $0, naming: naming) }, for: graph)
    preprocessing = card.preprocessing
    if folders.count == classes {
      classNames = folders.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
      context.console.say(
        "\(path.displayed) has no class names; its \(classes) outputs are taken to be the folders in"
          + " alphabetical order, as Keras and PyTorch number them.")
      return
    }
    let names = try PretrainedBackbone(card, from: context.pretrained).classNames
    guard names.count == classes else {
      throw PipelineError.data(
        "\(path.displayed): has \(classes) outputs and no class names, and the data has"
          + " \(folders.count) class folders. Give data with one folder for each output.")
    }
    classNames = names
  }
}
