// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Datasets
import Execution
import Files
import Images
import Network
import Tensors
import Training

/// Labelled photos with what the network makes of them: the features before its head, and its logits.
struct FitPhotos {
  let photos: [DiagnosisSubject.Photo]
  let classes: [String]
  /// Class of each photo.
  let labels: [Int]
  /// [n, d]
  let features: Tensor<Float>
  /// [n, classes]
  let logits: Tensor<Float>

  /// Reads the photos of `subject`; those of a run come from its cache.
  init(_ subject: DiagnosisSubject, _ classifier: Classifier, context: StageContext) throws {
    switch subject {
    case .run(let run): try self.init(run, classifier, context: context)
    case .model(_, let data):
      let all = try subject.photos()
      var indices: [String: Int] = [:]
      for (index, name) in classifier.classNames.enumerated() { indices[name] = index }
      let unknown = Set(all.map { $0.className ?? "" }).filter { indices[$0] == nil }.sorted()
      guard unknown.isEmpty else {
        throw PipelineError.data(
          "\(data.displayed): the model \(classifier.source) does not know the class"
            + " \(unknown.prefix(5).map { "'\($0)'" }.joined(separator: ", ")). A diagnosis of the fit"
            + " needs a folder for each of its classes.")
      }
      try self.init(all, indices, classifier, context: context)
    }
  }

  private init(_ run: RunDirectory, _ classifier: Classifier, context: StageContext) throws {
    let recipe = try run.loadRecipe()
    let manifest = try run.loadManifest()
    let network = try TransferNetwork(
      recipe, trained: classifier.model.parameters, classes: manifest.classes, context: context)
    let store = try FeatureStore(network, manifest: manifest, run: run, context: context)
    _ = try store.fill(manifest.records)
    let indices = manifest.classIndices
    photos = manifest.records.map {
      DiagnosisSubject.Photo(
        path: $0.path.resolved(in: manifest.root.filePath), name: $0.path.description,
        className: $0.className, split: $0.split)
    }
    classes = manifest.classes
    labels = manifest.records.map { indices[$0.className] ?? 0 }
    features = CachedFeatures(clean: try store.matrix(manifest.records), labels: labels).tensor
    logits = try network.logits(
      of: features, parameters: classifier.model.parameters, compiler: context.compiler)
  }

  private init(
    _ all: [DiagnosisSubject.Photo], _ indices: [String: Int], _ classifier: Classifier,
    context: StageContext
  ) throws {
    let (graph, contract) = (classifier.model.graph, classifier.preprocessing)
    let cut = Partition(graph, freezing: .freezing(to: -1, of: graph)).cut
    let size = Extent2D(contract.inputSize)
    let prefix = try context.compiler.compileInference(
      graph, parameters: classifier.model.parameters, to: cut,
      microBatch: OneDNNEngine.recommendedMicroBatch, size: size)
    let head = try context.compiler.compileInference(
      graph, parameters: classifier.model.parameters, from: cut,
      microBatch: OneDNNEngine.recommendedMicroBatch, size: size)
    let progress = context.console.progress("Computing features", total: all.count)
    var (kept, values): ([DiagnosisSubject.Photo], [Float]) = ([], [])
    for start in stride(from: 0, to: all.count, by: 128) {
      let part = try PhotoSquares(
        Array(all[start..<min(start + 128, all.count)]), contract, context: context)
      for line in part.unusable { context.console.warn(line) }
      guard !part.squares.isEmpty else { continue }
      let pixels = Tensor<Float>(shape: [part.squares.count, contract.elementCount]) {
        part.write(0..<part.squares.count, as: contract, into: $0)
      }
      values += try prefix.run(pixels).elements
      kept += part.photos
      progress.update(completed: start + part.squares.count)
    }
    progress.finish()
    photos = kept
    classes = classifier.classNames
    labels = kept.map { indices[$0.className ?? ""] ?? 0 }
    guard !kept.isEmpty else { throw PipelineError.data("none of the photos could be read.") }
    features = Tensor(values, shape: [kept.count, values.count / kept.count])
    logits = try head.run(features)
  }

  /// Positions of the photos of `split`.
  func indices(of split: Split) -> [Int] { photos.indices.filter { photos[$0].split == split } }

  /// The error of the network on the photos at `indices`; nil without any.
  func error(_ indices: [Int]) -> (wrong: Int, count: Int)? {
    guard !indices.isEmpty else { return nil }
    let predictions = Probabilities.predictions(logits)
    return (indices.count { predictions[$0] != labels[$0] }, indices.count)
  }
}
