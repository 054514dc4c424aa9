// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawCheckpoints
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawImages
package import ThawInference
package import ThawRecipes
import ThawTensors

/// Predict the class of photos, by a model file alone.
package struct PredictStage {
  private let context: StageContext

  /// Uses the context's threads and console.
  package init(context: StageContext) { self.context = context }

  /// A class and how probable it is.
  package struct Ranked: Encodable, Sendable {
    /// Class name.
    package let label: String
    /// In 0...1.
    package let probability: Float
  }

  /// The prediction for one photo.
  package struct Prediction: Encodable, Sendable {
    /// As displayed.
    package let path: String
    /// The most probable class; nil of a model that gives several labels a photo.
    package let label: String?
    package let probability: Float?
    /// The classes whose probability reaches their threshold, best first, perhaps none; nil of a model
    /// that gives one label a photo.
    package let labels: [Ranked]?
    /// The most probable classes, best first.
    package let top: [Ranked]
    /// One a class, of the first view; only when asked for.
    package let logits: [Float]?
  }

  /// A photo without a prediction.
  package struct Failure: Sendable {
    /// As displayed.
    package let path: String
    /// Why.
    package let reason: String
  }

  /// Predicts photos and, recursively, folders of photos.
  ///
  /// - Parameters:
  ///   - top: how many classes to rank.
  ///   - tta: several looks at each photo.
  /// - Returns: predictions in the order of the arguments, and the photos that have none.
  /// - Throws: what loading the model throws; ``PipelineError/interrupted``.
  package func predict(
    _ inputs: [FilePath], model: ModelReference, top: Int,
    tta: Recipe.TestTime = Recipe.TestTime(), withLogits: Bool = false
  ) throws -> (predictions: [Prediction], failures: [Failure]) {
    let classifier = try model.load(context: context)
    let tta = try classifier.views(of: tta)
    var failures: [Failure] = []
    var others: [FilePath] = []
    let paths = inputs.flatMap { photos(at: $0, &failures, &others) }
    if !others.isEmpty {
      let examples = others.prefix(3).map(\.displayed).joined(separator: ", ")
      context.console.warn(
        "\(others.count == 1 ? "1 file is no image" : "\(others.count) files are no images"): \(examples)"
          + (others.count > 3 ? " and \(others.count - 3) more" : ""))
    }
    guard !paths.isEmpty || !failures.isEmpty else {
      throw PipelineError.data(
        "\(inputs.map(\.displayed).joined(separator: ", ")): no photo was found.")
    }
    let progress = context.console.progress("Predicting", total: paths.count)
    let outcomes = try classifier.classify(paths, views: tta.views) {
      progress.update(completed: $0)
    }
    progress.finish()
    var predictions: [Prediction] = []
    for (path, outcome) in zip(paths, outcomes) {
      switch outcome {
      case .unusable(let reason): failures.append(Failure(path: path.displayed, reason: reason))
      case .logits(let logits):
        predictions.append(
          prediction(
            path, logits,
            tta.probabilities(
              of: logits.members(views: tta.views.count), by: classifier.outputActivation),
            classifier.model.record, top: top, withLogits: withLogits))
      }
    }
    return (predictions, failures)
  }

  private func prediction(
    _ path: FilePath, _ logits: Tensor<Float>, _ combined: Tensor<Float>, _ model: ModelRecord,
    top: Int, withLogits: Bool
  ) -> Prediction {
    let probabilities = Array(combined.elements)
    let names = model.classNames
    // Equal probabilities keep the order of the classes.
    let order = probabilities.indices.sorted {
      (probabilities[$1], $0) < (probabilities[$0], $1)
    }
    let ranked = order.prefix(max(top, 1)).map {
      Ranked(label: names[$0], probability: probabilities[$0])
    }
    let isExclusive = !model.outputActivation.allowsSeveralLabels
    let labels = model.labels(of: probabilities).map {
      Ranked(label: names[$0], probability: probabilities[$0])
    }
    return Prediction(
      path: path.displayed, label: isExclusive ? ranked[0].label : nil,
      probability: isExclusive ? ranked[0].probability : nil, labels: isExclusive ? nil : labels,
      top: ranked, logits: withLogits ? Array(logits.elements.prefix(names.count)) : nil)
  }

  /// The file itself, or the photos in a folder or an archive and those below. What cannot be looked at is a failure,
  /// and hides nothing else.
  private func photos(
    at path: FilePath, _ failures: inout [Failure], _ others: inout [FilePath]
  ) -> [FilePath] {
    var found: [FilePath] = []
    do throws(FileError) {
      let kind = try PhotoFiles.status(of: path).kind
      guard kind == .directory || PhotoFiles.isArchive(path) else { return [path] }
      for name in try PhotoFiles.list(path) {
        found += photos(atEntry: path.appending(name), &failures, &others)
      }
    } catch {
      failures.append(Failure(path: path.displayed, reason: error.reason.text(error.operation)))
    }
    return found
  }

  /// What an entry of a folder gives; links to folders are not followed.
  private func photos(
    atEntry path: FilePath, _ failures: inout [Failure], _ others: inout [FilePath]
  ) -> [FilePath] {
    if FileNames.isIgnored(BytePath(path).lastComponent) { return [] }
    do throws(FileError) {
      if try PhotoFiles.status(of: path, followingLinks: false).kind == .directory {
        return photos(at: path, &failures, &others)
      }
      if FileNames.isPhoto(path) { return [path] }
      others.append(path)
    } catch {
      failures.append(Failure(path: path.displayed, reason: error.reason.text(error.operation)))
    }
    return []
  }
}
