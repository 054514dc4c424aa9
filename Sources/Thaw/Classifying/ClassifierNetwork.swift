// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization
import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawDatasets
import ThawExecution
import ThawImages
import ThawInference
import ThawNetwork
import ThawOneDNN
import ThawRecipes
import ThawReference

/// A model that was read, and how photos are put to it.
struct ClassifierNetwork: Sendable {
  let record: ModelRecord
  var classNames: [String] { record.classNames }
  let preprocessing: Preprocessing
  let looks: TestTimeAugmentation
  /// What makes its probabilities say how often answers are right; nil when it has none.
  let calibration: ModelCalibration.Fitted?
  /// From which probability on a photo is given each class.
  let thresholds: ModelThresholds
  /// What tells photos that are unlike its training photos; nil when it has none.
  let unknown: UnknownScore?
  /// Whether what is drawn follows from a photo's contents.
  let drawsAugmentation: Bool
  private let graph: Graph
  private let parameters: Parameters
  /// The value at the head's input; nil when nothing comes before the head.
  private let cut: NodeID?

  /// Reads the model at `path`.
  ///
  /// - Throws: errors of `StoredModel`; ``ImageClassifierError/unusableModel(_:)``.
  init(_ path: FilePath, _ configuration: ImageClassifier.Configuration) throws {
    let store = try configuration.pretrained.map(PretrainedStore.init) ?? .locateIfAny()
    let context = StageContext(
      readingWith: Console(logger: configuration.logger), pretrained: store)
    let model = try ModelReference(
      path.string, card: configuration.card, classNames: configuration.classNames
    ).read(context: context)
    guard !model.record.classNames.isEmpty else {
      throw ImageClassifierError.unusableModel(
        "\(path): these weights end with the features, they have no classifier. Train one.")
    }
    record = model.record
    var reading = model.preprocessing.reading
    reading.maximumPixels = min(reading.maximumPixels, configuration.maximumPixels)
    preprocessing = model.preprocessing.with(reading)
    (graph, parameters) = (model.graph, model.parameters)
    cut = graph.headInput
    drawsAugmentation = configuration.views.drawsAugmentation
    looks = try configuration.views.looks(of: model, path)
    calibration = try ModelCalibration(of: record, source: path.string)?
      .fitted(for: ModelCalibration.Look(looks, snapshots: false))?.fitted
    thresholds = try ModelThresholds(of: record, source: path.string)
    let unknown = try UnknownScore(of: record, source: path.string)
    self.unknown = cut == nil ? nil : unknown
  }

  /// The same as a model, with the limits of its photos.
  var model: StoredModel {
    StoredModel(
      graph: graph, parameters: parameters, preprocessing: preprocessing, record: record)
  }

  /// How many numbers the head gets; nil when nothing comes before it.
  var embeddingLength: Int? {
    guard let cut, let shapes = try? graph.shapes(batch: 1, size: size) else { return nil }
    return shapes[cut.index].count
  }

  private var size: Extent2D { Extent2D(preprocessing.inputSize) }

  /// The network compiled for one thread, from pixels to the head's input and from there to logits.
  ///
  /// Convolutions run photo by photo, and dense layers over a whole micro-batch of one fixed size
  /// that is padded: what is computed for a photo does not depend on its neighbours.
  private func compiled() throws -> (backbone: (any InferencePlan)?, head: any InferencePlan) {
    var engine = OneDNNEngine(training: ReferenceEngine<Float>())
    engine.threads = 1
    let compiler = Compiler(inference: engine, training: engine)
    let microBatch = OneDNNEngine.recommendedMicroBatch
    let backbone = try cut.map {
      try compiler.compileInference(
        graph, parameters: parameters, to: $0, microBatch: microBatch, size: size)
    }
    let head = try compiler.compileInference(
      graph, parameters: parameters, from: cut, microBatch: microBatch, size: size)
    return (backbone, head)
  }

  /// The network compiled once, with working memory for each of `count` threads.
  ///
  /// - Throws: `NetworkError`, `ExecutionError` naming a layer that no kernel exists for.
  func lanes(_ count: Int, maximumBatch: Int) throws -> [ClassifierLane] {
    let lanes = Mutex<[ClassifierLane]>([])
    // On a thread of its own: compiling sets how many threads kernels of the calling one use.
    try forEachIndex(below: 1, threads: 1) { _ in
      let (backbone, head) = try compiled()
      for _ in 0..<count {
        let lane = ClassifierLane(
          self, backbone: try backbone?.makeWorker(threads: count),
          head: try head.makeWorker(threads: count), maximumBatch: maximumBatch)
        lanes.withLock { $0.append(lane) }
      }
    }
    return lanes.withLock { $0 }
  }
}

extension Views {
  /// The looks at a photo and their weights.
  fileprivate func looks(of model: StoredModel, _ path: FilePath) throws -> TestTimeAugmentation {
    let training = TrainingSettings(of: model.record)
    if let problem = training.problem, drawsAugmentation {
      throw ImageClassifierError.unusableModel(
        "\(path): \(problem), and these views are drawn as in its training. Use .center or .crops.")
    }
    return look.views(of: training.augmentation, seed: training.seed)
  }
}

extension PretrainedStore {
  /// Where the command looks for cards; a model file needs none, so that there may be none.
  fileprivate static func locateIfAny() throws -> PretrainedStore {
    do { return try locate() } catch { return PretrainedStore(directory: "Pretrained") }
  }
}
