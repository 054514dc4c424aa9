// SPDX-License-Identifier: Apache-2.0

import Synchronization
package import SystemPackage
package import ThawBackbones
package import ThawCheckpoints
import ThawConsole
import ThawDatasets
package import ThawExecution
import ThawFiles
package import ThawImages
package import ThawNetwork
import ThawOneDNN
package import ThawRecipes
package import ThawTensors
import ThawTraining

/// A trained network ready to predict: everything it needs is in one model file.
///
/// ```swift
/// let classifier = try Classifier(modelFile: "model.safetensors", compiler: compiler, threads: 2)
/// let outcome = try classifier.classify([FilePath("new.jpg")], views: [.center])
/// ```
/// Photos are prepared as the contract in the model says; nothing about that can be changed from
/// outside. One caller at a time.
package final class Classifier {
  /// Class names in the order of the logits.
  package let classNames: [String]
  /// What makes probabilities of the logits.
  package var outputActivation: OutputActivation { model.record.outputActivation }
  /// From which probability on a photo is given each class.
  package let thresholds: ModelThresholds
  /// How photos become tensors.
  package let preprocessing: Preprocessing
  /// The card or file it came from, for messages.
  package let source: String
  /// What is known of its training.
  package let training: TrainingSettings
  /// The network itself, for diagnosis; of several models the first.
  package let model: StoredModel
  /// What makes its probabilities say how often answers are right; nil when it has none.
  package let calibration: ModelCalibration?
  /// What tells photos that are unlike its training photos; nil when it has none, and of several models.
  package let unknown: UnknownScore?
  /// That it is computed in other numbers here than it was trained with; nil when it is not.
  private let precisionNote: String?
  /// One for each model that takes part.
  private let plans: [SplitPlan]
  private let threads: Int

  /// What became of one photo.
  package enum Outcome: Sendable {
    /// One logit a class for each view, [views, classes]; of several models one after the other,
    /// [models * views, classes].
    case logits(Tensor<Float>)
    /// It could not be read or decoded, and why.
    case unusable(String)
  }

  /// Loads a model file that `thaw train` wrote.
  ///
  /// - Throws: `CheckpointError`, `NetworkError`, `BackboneError` when it is not one or is damaged.
  package convenience init(modelFile: FilePath, compiler: Compiler, threads: Int) throws {
    try self.init(ensemble: [modelFile], compiler: compiler, threads: threads)
  }

  /// Loads the models of one training, which answer together: snapshots.
  ///
  /// - Parameters:
  ///   - files: at least one.
  ///   - whole: the model of the training, whose file says how to calibrate them together; nil for the
  ///     first.
  /// - Throws: as for one; ``PipelineError/data(_:)`` when their classes or preprocessing differ.
  package convenience init(
    ensemble files: [FilePath], of whole: FilePath? = nil, compiler: Compiler, threads: Int
  ) throws {
    precondition(!files.isEmpty, "A classifier needs a model file.")
    let models = try files.map { try StoredModel(modelFile: $0) }
    let first = models[0]
    for (file, other) in zip(files, models)
    where other.record.classNames != first.record.classNames
      || other.preprocessing != first.preprocessing
      || other.record.outputActivation != first.record.outputActivation
    {
      throw PipelineError.data(
        "\(file.displayed): has other classes or another preprocessing than"
          + " \(files[0].displayed). Only models of one training answer together.")
    }
    let calibrating = try whole.map { try ModelFile.read($0).record }
    try self.init(
      models, source: files[0].displayed, calibratedBy: calibrating, compiler: compiler,
      threads: threads)
  }

  /// The untouched pretrained network of a card, with its own classes.
  package convenience init(
    card: BackboneCard, store: PretrainedStore, compiler: Compiler, threads: Int
  ) throws {
    let model = try StoredModel(card: card, store: store)
    guard !model.record.classNames.isEmpty else {
      throw PipelineError.data(
        "\(card.name): these weights end with the features, they have no classifier of their own."
          + " Train one: thaw fit DATA --backbone \(card.name)")
    }
    try self.init([model], source: card.name, compiler: compiler, threads: threads)
  }

  /// Compiles models that were read and answer together; at least one.
  ///
  /// - Parameter calibrating: the record that says how to calibrate them; nil for the first's.
  /// - Throws: `NetworkError`, `ExecutionError`; ``PipelineError/data(_:)`` for a damaged calibration.
  package init(
    _ models: [StoredModel], source: String, calibratedBy calibrating: ModelRecord? = nil,
    compiler: Compiler, threads: Int
  ) throws {
    model = models[0]
    calibration = try ModelCalibration(of: calibrating ?? model.record, source: source)
    thresholds = try ModelThresholds(of: calibrating ?? model.record, source: source)
    unknown = models.count == 1 ? try UnknownScore(of: model.record, source: source) : nil
    classNames = model.record.classNames
    preprocessing = model.preprocessing
    training = TrainingSettings(of: model.record)
    self.source = source
    plans = try models.map { try SplitPlan($0, compiler: compiler) }
    self.threads = threads
    if let unknown, unknown.featureCount != plans[0].featureCount {
      throw PipelineError.data(
        "\(source): its table of unknown photos is for \(unknown.featureCount) features, the head gets"
          + " \(plans[0].featureCount ?? 0). The file is damaged; train again.")
    }
    let computed = compiler.inferenceEngine.computed(model.graph.precision)
    precisionNote =
      computed == model.graph.precision
      ? nil
      : "its network is made for \(model.graph.precision), which \(compiler.inferenceEngine.name) does"
        + " not compute on this processor; \(computed) is computed instead, which moves probabilities"
        + " by about as much as rounding did"
  }

  /// See ``StoredModel/ownRecord``.
  package var record: ModelRecord? { model.ownRecord }

  /// How many numbers the head gets of a photo; nil when nothing comes before it.
  package var featureCount: Int? { plans[0].featureCount }

  /// How many models answer together.
  package var memberCount: Int { plans.count }

  /// What could not be read of its file, as a sentence for people; nil for nothing.
  package var note: String? {
    let notes = [training.problem ?? training.note, precisionNote].compactMap(\.self)
    return notes.isEmpty ? nil : "\(source): \(notes.joined(separator: "; "))."
  }

  /// The views of `look` and their weights, drawn as in the model's training.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when that training is not known and the views depend on it.
  package func views(of look: Recipe.TestTime) throws -> TestTimeAugmentation {
    if let problem = training.problem, look.drawsAsInTraining {
      throw PipelineError.data(
        "\(source): \(problem), so photos cannot be varied as in its training. Use --tta-mode"
          + " crops, which needs none of it, or the version of Thaw that wrote the file"
          + " (\(model.record.thawVersion)).")
    }
    return look.views(of: training.augmentation, seed: training.seed)
  }

  /// The logits of photos under each of `views`, in order.
  ///
  /// A photo that cannot be used does not stop the others.
  ///
  /// - Parameters:
  ///   - onFeatures: called for each photo that can be used with its position and the features of its
  ///     first view at the head's input, by the first model.
  ///   - progress: called with the number of photos done so far.
  /// - Throws: ``PipelineError/interrupted``, `ExecutionError`.
  package func classify(
    _ paths: [FilePath], views: [TestTimeView] = [.plain(.center)],
    onFeatures: ((Int, UnsafeBufferPointer<Float>) throws -> Void)? = nil,
    progress: (Int) -> Void = { _ in }
  ) throws -> [Outcome] {
    let perPhoto = views.count * preprocessing.elementCount
    let chunk = max(OneDNNEngine.recommendedMicroBatch / views.count, threads)
    let pixels = AlignedStorage<Float>(count: min(chunk, paths.count) * perPhoto)
    var outcomes: [Outcome] = []
    for start in stride(from: 0, to: paths.count, by: chunk) {
      try Interruption.check()
      let part = Array(paths[start..<min(start + chunk, paths.count)])
      let reasons = try prepare(part, views: views, into: pixels)
      let input = UnsafeBufferPointer(rebasing: pixels.elements[..<(part.count * perPhoto)])
      let logits = try plans.map { try run($0, on: input, rows: part.count * views.count) }
      for (index, reason) in reasons.enumerated() where reason == nil {
        try plans[0].withFeatures(ofRow: index * views.count) {
          try onFeatures?(start + index, $0)
        }
      }
      for (index, reason) in reasons.enumerated() {
        outcomes.append(
          reason.map(Outcome.unusable) ?? outcome(of: rows(index, views.count, logits)))
      }
      progress(outcomes.count)
    }
    return outcomes
  }

  /// Numbers that are none, or endless, say nothing about a photo.
  private func outcome(of logits: Tensor<Float>) -> Outcome {
    guard !logits.withUnsafeElements({ $0.allSatisfy(\.isFinite) }) else { return .logits(logits) }
    return .unusable(
      "the network's logits for it are not finite: \(source) has damaged weights or statistics, or its"
        + " numbers overflow. See its batch norms: thaw diagnose batchnorm")
  }

  /// The logits of photos that are prepared already.
  ///
  /// Shapes: `pixels` n photos of ``Preprocessing/elementCount`` elements; result [n, classes].
  package func logits(_ pixels: UnsafeBufferPointer<Float>) throws -> Tensor<Float> {
    try run(plans[0], on: pixels, rows: pixels.count / preprocessing.elementCount)
  }

  /// One logit a class, [rows, classes].
  private func run(
    _ plan: SplitPlan, on pixels: UnsafeBufferPointer<Float>, rows: Int
  ) throws -> Tensor<Float> {
    let outputs = outputActivation.outputs(classes: classNames.count)
    let logits = try Tensor<Float>(shape: [rows, outputs]) { try plan.run(pixels, into: $0) }
    return Probabilities.logitsOfClasses(logits, by: outputActivation)
  }

  /// Reads and prepares photos in parallel; for each the reason why it cannot be used, or nil.
  package func prepare(
    _ paths: [FilePath], views: [TestTimeView] = [.plain(.center)],
    into pixels: AlignedStorage<Float>
  ) throws -> [String?] {
    try Classifier.prepare(
      paths, by: preprocessing, views: views, threads: threads, into: pixels)
  }

  /// See ``prepare(_:views:into:)``.
  ///
  /// - Parameter onContents: called with a photo's position and the bytes of its file, by several threads at
  ///   once, before they are decoded.
  package static func prepare(
    _ paths: [FilePath], by preprocessing: Preprocessing,
    views: [TestTimeView] = [.plain(.center)], threads: Int, into pixels: AlignedStorage<Float>,
    onContents: (@Sendable (Int, [UInt8]) -> Void)? = nil
  ) throws -> [String?] {
    let perPhoto = views.count * preprocessing.elementCount
    let reasons = Mutex([String?](repeating: nil, count: paths.count))
    try forEachIndex(below: paths.count, threads: threads) { index in
      let target = UnsafeMutableBufferPointer(
        rebasing: pixels.elements[(index * perPhoto)..<((index + 1) * perPhoto)])
      do {
        let bytes = try PhotoFiles.read(paths[index], limit: 1 << 30)
        onContents?(index, bytes)
        // What augmented views draw follows from the contents, as it does in a run.
        let sample = views.contains(where: \.draws) ? Manifest.drawNumber(ofContents: bytes) : 0
        try bytes.withUnsafeBytes { raw in
          _ = try preprocessing.prepare(raw, testTimeViews: views, sample: sample, into: target)
        }
      } catch {
        target.update(repeating: 0)
        reasons.withLock { $0[index] = Classifier.reason(error) }
      }
    }
    return reasons.withLock { $0 }
  }

  package static func reason(_ error: any Error) -> String {
    switch error {
    case let error as ImageError: error.description
    case let error as FileError: error.reason.text(error.operation)
    default: "\(error)"
    }
  }

  private func rows(_ photo: Int, _ views: Int, _ logits: [Tensor<Float>]) -> Tensor<Float> {
    let count = views * classNames.count
    let elements = logits.flatMap { member in
      member.withUnsafeElements { Array($0[(photo * count)..<((photo + 1) * count)]) }
    }
    return Tensor(elements, shape: [logits.count * views, classNames.count])
  }
}

extension TestTimeView {
  /// Whether it depends on what a photo draws.
  fileprivate var draws: Bool {
    switch self {
    case .plain: false
    case .augmented: true
    case .corner(_, _, _, let colors): colors != nil
    }
  }
}
