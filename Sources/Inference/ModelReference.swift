// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawGraphs
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
  /// Of several networks in a foreign checkpoint the one that is wanted: a key or a prefix.
  package let weightsKey: String?
  /// Whether a foreign checkpoint's tensors are named by their order.
  package let renamesTensors: Bool
  /// Whether parameters that a foreign checkpoint lacks are drawn at random.
  package let allowsMissing: Bool
  /// Whether running statistics of a foreign checkpoint that nothing can be computed with are taken for lost
  /// rather than refused.
  package var replacesLostStatistics = false
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
  ///   - weightsKey: of several networks in it the one under this key or prefix.
  ///   - renamesTensors: names its tensors by their order.
  ///   - allowsMissing: draws what it lacks at random.
  package init(
    _ text: String, snapshots: Bool = false, card: String? = nil, classNames: FilePath? = nil,
    preprocessing: Preprocessing? = nil, weightsKey: String? = nil, renamesTensors: Bool = false,
    allowsMissing: Bool = false
  ) {
    self.weightsKey = weightsKey
    self.renamesTensors = renamesTensors
    self.allowsMissing = allowsMissing
    self.text = text
    self.snapshots = snapshots
    self.card = card
    self.classNames = classNames
    self.preprocessing = preprocessing
  }

  /// Whether an option asks for the tensors of a foreign checkpoint, whatever else its file says.
  var isAboutWeights: Bool { weightsKey != nil || renamesTensors || allowsMissing }

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
    switch try kind() {
    case .model(let path):
      return try Classifier(
        ensemble: snapshots ? SnapshotModels.members(of: path) : [path],
        of: snapshots ? path : nil, compiler: context.compiler, threads: context.threads)
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
    switch try kind() {
    case .model(let path): return try StoredModel(modelFile: path)
    case .onnx(let model):
      guard model.metadata["thaw.format"] == nil else { return try StoredModel(onnx: path) }
      let checkpoint = Checkpoint(
        tensors: model.graph.initializers, metadata: model.metadata, format: .onnx, path: path)
      return try ForeignModel(try ForeignFile(beside: checkpoint), self, context).read(model)
    case .foreign(let file): return try ForeignModel(file, self, context).read()
    case .card:
      return try StoredModel(
        card: try context.pretrained.card(named: text), store: context.pretrained)
    }
  }

  private enum Kind {
    case model(FilePath)
    case card
    /// A graph of ONNX's operations: of an ONNX file, or translated from a program of PyTorch's.
    case onnx(ONNXModel)
    case foreign(ForeignFile)
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
    if try FileStatus(of: path).kind == .directory { return try kind(ofFolder: path) }
    if try CheckpointReader.isONNX(path) {
      let model = try ONNXReader.read(path, externalData: .refused)
      if model.metadata["thaw.format"] != nil {
        try refuseForeignOptions("\(path.displayed) is an ONNX file of Thaw, which says it itself")
      }
      try refuseWeightOptions("\(path.displayed) brings its own network")
      return .onnx(model)
    }
    if let program = try TorchExportArchive(path) {
      try refuseWeightOptions("\(path.displayed) brings its own network")
      return .onnx(try ATenTranslator.model(program))
    }
    let file = try ForeignFile(path, key: weightsKey)
    guard ModelFile.isModelFile(file.checkpoint) else { return .foreign(file) }
    try refuseForeignOptions("\(path.displayed) is a model file of Thaw")
    return .model(path)
  }

  /// A run's folder is its model, any other one what another library wrote.
  private func kind(ofFolder folder: FilePath) throws -> Kind {
    let file = try ForeignFile(folder, key: weightsKey)
    guard ModelFile.isModelFile(file.checkpoint) else { return .foreign(file) }
    try refuseForeignOptions("\(folder.displayed) holds a model file of Thaw")
    return .model(file.checkpoint.path)
  }

  /// An option that has no effect is an error, not ignored.
  private func refuseForeignOptions(_ reason: String) throws(PipelineError) {
    guard card == nil, classNames == nil, preprocessing == nil else {
      throw .usage(
        "--card, --class-names and --preprocessing are for checkpoints trained elsewhere; \(reason)."
      )
    }
    try refuseWeightOptions(reason)
  }

  /// The same for the options about a checkpoint's tensors.
  private func refuseWeightOptions(_ reason: String) throws(PipelineError) {
    guard !isAboutWeights else {
      throw .usage(
        "--weights-key, --rename-tensors and --allow-missing are for checkpoints trained elsewhere;"
          + " \(reason).")
    }
  }

  private func refuseSnapshots(_ what: String) throws(PipelineError) {
    guard !snapshots else { throw .usage("\(what) has no snapshots; give a model file.") }
  }
}
