// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawConsole
package import ThawDatasets
import ThawExecution
import ThawFiles
import ThawImages
package import ThawInference
import ThawNetwork
import ThawOneDNN
package import ThawTensors
import ThawTraining

/// Labelled photos with what the network makes of them: the features before its head, and its logits.
package struct FitPhotos {
  package let photos: [SubjectPhoto]
  package let classes: [String]
  /// Class of each photo.
  package let labels: [Int]
  /// [n, d]
  package let features: Tensor<Float>
  /// [n, classes]
  package let logits: Tensor<Float>

  /// Collects what was computed elsewhere; all are of one length.
  package init(
    photos: [SubjectPhoto], classes: [String], labels: [Int], features: Tensor<Float>,
    logits: Tensor<Float>
  ) {
    self.photos = photos
    self.classes = classes
    self.labels = labels
    self.features = features
    self.logits = logits
  }

  /// Reads `all` and computes features and logits; photos that cannot be read are warned about.
  ///
  /// - Parameter indices: the number of each class.
  /// - Throws: ``PipelineError/data(_:)`` when none can be read; errors of the compiler.
  package init(
    _ all: [SubjectPhoto], _ indices: [String: Int], _ classifier: Classifier,
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
    var (kept, values): ([SubjectPhoto], [Float]) = ([], [])
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
  package func indices(of split: Split) -> [Int] {
    photos.indices.filter { photos[$0].split == split }
  }

  /// The error of the network on the photos at `indices`; nil without any.
  package func error(_ indices: [Int]) -> (wrong: Int, count: Int)? {
    guard !indices.isEmpty else { return nil }
    let predictions = Probabilities.predictions(logits)
    return (indices.count { predictions[$0] != labels[$0] }, indices.count)
  }
}
