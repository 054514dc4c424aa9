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
    try self.init(StoredModel(modelFile: modelFile), source: modelFile.displayed, context: context)
  }

  /// Loads what `--model` names: a model file, a card, or a checkpoint that was trained elsewhere.
  ///
  /// - Parameter folders: class folders of the data, for the names of a checkpoint that has none.
  init(_ model: ModelReference, folders: Set<String>, context: StageContext) throws {
    try self.init(
      model.labelled(by: folders).read(context: context), source: model.text, context: context)
  }

  private init(_ stored: StoredModel, source: String, context: StageContext) throws {
    graph = stored.graph
    parameters = stored.parameters.restricted(to: graph)
    classNames = stored.record.classNames
    preprocessing = stored.preprocessing
    self.source = source
    record = stored.ownRecord
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
