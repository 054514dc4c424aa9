// SPDX-License-Identifier: Apache-2.0

import Backbones
import Checkpoints
import Datasets
public import Execution
import Files
public import Images
import Network
import Synchronization
public import SystemPackage
public import Tensors
import Training

/// A trained network ready to predict: everything it needs is in one model file.
///
/// ```swift
/// let classifier = try Classifier(modelFile: "model.safetensors", compiler: compiler, threads: 2)
/// let outcome = try classifier.classify([FilePath("new.jpg")], views: [.center])
/// ```
/// Photos are prepared as the contract in the model says; nothing about that can be changed from
/// outside. One caller at a time.
public final class Classifier {
  /// Class names in the order of the logits.
  public let classNames: [String]
  /// How photos become tensors.
  public let preprocessing: Preprocessing
  /// The card or file it came from, for messages.
  public let source: String
  private let plan: any InferencePlan
  private let threads: Int

  /// What became of one photo.
  public enum Outcome: Sendable {
    /// One logit a class for each view, [views, classes].
    case logits(Tensor<Float>)
    /// It could not be read or decoded, and why.
    case unusable(String)
  }

  /// Loads a model file that `thaw train` wrote.
  ///
  /// - Throws: `CheckpointError`, `NetworkError`, `BackboneError` when it is not one or is damaged.
  public convenience init(modelFile: FilePath, compiler: Compiler, threads: Int) throws {
    try self.init(
      StoredModel(CheckpointReader.read(modelFile)), source: modelFile.displayed,
      compiler: compiler, threads: threads)
  }

  /// Compiles a model that was read.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when it has no classifier.
  convenience init(
    _ model: StoredModel, source: String, compiler: Compiler, threads: Int
  ) throws {
    guard !model.record.classNames.isEmpty else {
      throw PipelineError.data(
        "\(source): these weights end with the features, they have no classifier of their own."
          + " Train one: thaw fit DATA --backbone \(source)")
    }
    try self.init(
      model.graph, model.parameters, classNames: model.record.classNames,
      preprocessing: model.preprocessing, source: source, compiler: compiler, threads: threads)
  }

  private init(
    _ graph: Graph, _ parameters: Parameters, classNames: [String], preprocessing: Preprocessing,
    source: String, compiler: Compiler, threads: Int
  ) throws {
    self.classNames = classNames
    self.preprocessing = preprocessing
    self.source = source
    self.threads = threads
    try parameters.validate(for: graph)
    plan = try compiler.compileInference(
      graph, parameters: parameters, microBatch: OneDNNEngine.recommendedMicroBatch,
      size: Extent2D(preprocessing.inputSize))
  }

  /// The logits of photos under each of `views`, in order.
  ///
  /// A photo that cannot be used does not stop the others.
  ///
  /// - Parameter progress: called with the number of photos done so far.
  /// - Throws: ``PipelineError/interrupted``, `ExecutionError`.
  public func classify(
    _ paths: [FilePath], views: [View] = [.center], progress: (Int) -> Void = { _ in }
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
      let shape: Shape = [part.count * views.count, classNames.count]
      let logits = try Tensor<Float>(shape: shape) { try plan.run(input, into: $0) }
      for (index, reason) in reasons.enumerated() {
        outcomes.append(reason.map(Outcome.unusable) ?? .logits(rows(index, views.count, logits)))
      }
      progress(outcomes.count)
    }
    return outcomes
  }

  /// Reads and prepares photos in parallel; for each the reason why it cannot be used, or nil.
  private func prepare(
    _ paths: [FilePath], views: [View], into pixels: AlignedStorage<Float>
  ) throws -> [String?] {
    let perPhoto = views.count * preprocessing.elementCount
    let reasons = Mutex([String?](repeating: nil, count: paths.count))
    let preprocessing = preprocessing
    try forEachIndex(below: paths.count, threads: threads) { index in
      let target = UnsafeMutableBufferPointer(
        rebasing: pixels.elements[(index * perPhoto)..<((index + 1) * perPhoto)])
      do {
        let bytes = try FileSystem.read(paths[index], limit: 1 << 30)
        try bytes.withUnsafeBytes { raw in
          _ = try preprocessing.prepare(raw, views: views, into: target)
        }
      } catch {
        target.update(repeating: 0)
        reasons.withLock { $0[index] = Classifier.reason(error) }
      }
    }
    return reasons.withLock { $0 }
  }

  private static func reason(_ error: any Error) -> String {
    switch error {
    case let error as ImageError: error.description
    case let error as FileError: error.reason.text(error.operation)
    default: "\(error)"
    }
  }

  private func rows(_ photo: Int, _ views: Int, _ logits: Tensor<Float>) -> Tensor<Float> {
    let count = views * classNames.count
    return logits.withUnsafeElements {
      Tensor($0[(photo * count)..<((photo + 1) * count)], shape: [views, classNames.count])
    }
  }
}

extension Tensor<Float> {
  /// Probabilities averaged over views, as evaluations average them.
  ///
  /// Shapes: self [views, classes], result `classes` numbers that sum to 1.
  var meanProbabilities: [Float] {
    let views = Tensor.transposed([self], views: shape[0])
    return Array(Probabilities.mean(of: views.map(Probabilities.softmax)).elements)
  }
}
