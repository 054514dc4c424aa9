// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
package import ThawImages

/// What `--model` names: a model file, a checkpoint that another program trained, or a card's
/// untouched pretrained network.
package struct ModelReference: Sendable {
  package let text: String
  private let snapshots: Bool
  /// The card whose architecture and preprocessing a foreign checkpoint has; nil to recognise it.
  package let card: String?
  /// A file with the class names of a foreign checkpoint, one a line.
  package let classNames: FilePath?
  /// How photos were prepared for a model that brings its own network; nil for what its file, its card
  /// or its family says.
  package let preprocessing: Preprocessing?
  /// Class folders of the data at hand, sorted; they name the classes when nothing else does.
  package private(set) var folders: [String] = []

  /// Takes the options' texts.
  ///
  /// - Parameters:
  ///   - snapshots: in place of the model the snapshots of its training, which are in `checkpoints`
  ///     beside it.
  ///   - card: for a checkpoint trained elsewhere, whose architecture and preprocessing it has.
  ///   - classNames: for a checkpoint trained elsewhere, a file of names in the outputs' order.
  ///   - preprocessing: for a model trained elsewhere, what was done to its photos.
  package init(
    _ text: String, snapshots: Bool = false, card: String? = nil, classNames: FilePath? = nil,
    preprocessing: Preprocessing? = nil
  ) {
    self.text = text
    self.snapshots = snapshots
    self.card = card
    self.classNames = classNames
    self.preprocessing = preprocessing
  }

  /// The file it names, if it names one.
  package var path: FilePath { FilePath(text) }

  /// The same with the class folders of the data that it will be judged on.
  package func labelled(by folders: some Sequence<String>) -> ModelReference {
    var copy = self
    copy.folders = Set(folders).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    return copy
  }

  /// Loads and compiles it, and says what of the file could not be read. A file of that name comes
  /// first, then a card.
  ///
  /// - Throws: errors of ``Classifier``; ``PipelineError/data(_:)`` for a checkpoint that is not
  ///   recognised; `BackboneError.unknownCard` when it is neither file nor card.
  package func load(context: StageContext) throws -> Classifier {
    let classifier = try compile(context)
    if let note = classifier.note { context.console.warn(note) }
    return classifier
  }

  private func compile(_ context: StageContext) throws -> Classifier {
    let path = FilePath(text)
    switch try kind() {
    case .model:
      return try Classifier(
        ensemble: snapshots ? SnapshotModels.members(of: path) : [path],
        compiler: context.compiler, threads: context.threads)
    case .card:
      try refuseSnapshots("a pretrained network")
      let card = try context.pretrained.card(named: text)
      return try Classifier(
        card: card, store: context.pretrained, compiler: context.compiler,
        threads: context.threads)
    case .onnx, .foreign:
      try refuseSnapshots("a checkpoint trained elsewhere")
      return try Classifier(
        [read(context: context)], source: path.displayed, compiler: context.compiler,
        threads: context.threads)
    }
  }

  /// Reads it without compiling it.
  ///
  /// - Throws: errors of ``StoredModel``; the same as ``load(context:)``.
  package func read(context: StageContext) throws -> StoredModel {
    let path = FilePath(text)
    switch try kind() {
    case .model: return try StoredModel(modelFile: path)
    case .onnx(let model):
      guard model.metadata["thaw.format"] == nil else { return try StoredModel(onnx: path) }
      let checkpoint = Checkpoint(
        tensors: model.graph.initializers, metadata: model.metadata, format: .onnx, path: path)
      return try ForeignModel(checkpoint, self, context).read(model)
    case .foreign(let checkpoint): return try ForeignModel(checkpoint, self, context).read()
    case .card:
      return try StoredModel(
        card: try context.pretrained.card(named: text), store: context.pretrained)
    }
  }

  private enum Kind {
    case model, card
    /// A graph of ONNX's operations: of an ONNX file, or translated from a program of PyTorch's.
    case onnx(ONNXModel)
    case foreign(Checkpoint)
  }

  private func kind() throws -> Kind {
    let path = FilePath(text)
    guard FileSystem.exists(path) else {
      guard !text.contains("/"), !text.hasSuffix(".safetensors") else {
        throw PipelineError.data(
          "\(path.displayed): no such model file. Give the model.safetensors of a run, a"
            + " checkpoint, or the name of a card (thaw pretrained list).")
      }
      try refuseForeignOptions("\(text) is a card")
      return .card
    }
    if try CheckpointReader.isONNX(path) {
      let model = try ONNXReader.read(path, externalData: .refused)
      if model.metadata["thaw.format"] != nil {
        try refuseForeignOptions("\(path.displayed) is an ONNX file of Thaw, which says it itself")
      }
      return .onnx(model)
    }
    if let program = try TorchExportArchive(path) {
      return .onnx(try ATenTranslator.model(program))
    }
    let checkpoint = try CheckpointReader.read(path)
    guard ModelFile.isModelFile(checkpoint) else { return .foreign(checkpoint) }
    try refuseForeignOptions("\(path.displayed) is a model file of Thaw")
    return .model
  }

  /// An option that has no effect is an error, not ignored.
  private func refuseForeignOptions(_ reason: String) throws(PipelineError) {
    guard card == nil, classNames == nil, preprocessing == nil else {
      throw .usage(
        "--card, --class-names and --preprocessing are for checkpoints trained elsewhere; \(reason)."
      )
    }
  }

  private func refuseSnapshots(_ what: String) throws(PipelineError) {
    guard !snapshots else { throw .usage("\(what) has no snapshots; give a model file.") }
  }
}
