// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawConsole
import ThawDatasets
package import ThawDiagnosis
import ThawExecution
import ThawFiles
import ThawImages
package import ThawInference
import ThawNetwork
import ThawOneDNN
import ThawTensors
import ThawTraining

extension FitPhotos {
  /// Reads the photos of `subject`; those of a run come from its cache.
  package init(_ subject: OpenSubject, _ classifier: Classifier) throws {
    switch subject {
    case .run(let run): try self.init(run, classifier)
    case .model(_, let data, let context):
      let all = try subject.photos()
      var indices: [String: Int] = [:]
      for (index, name) in classifier.classNames.enumerated() { indices[name] = index }
      let unknown = Set(all.map { $0.className ?? "" }).filter { indices[$0] == nil }.sorted()
      guard unknown.isEmpty else {
        throw PipelineError.data(
          "\(data.folder.displayed): the model \(classifier.source) does not know the class"
            + " \(unknown.prefix(5).map { "'\($0)'" }.joined(separator: ", ")). A diagnosis of the fit"
            + " needs a folder for each of its classes.")
      }
      try self.init(all, indices, classifier, context: context)
    }
  }

  private init(_ run: OpenRun, _ classifier: Classifier) throws {
    let manifest = run.manifest
    let network = try TransferNetwork(
      run.recipe, trained: classifier.model.parameters, classes: manifest.classes,
      context: run.context)
    let store = try FeatureStore(network, of: run)
    _ = try store.fill(manifest.records)
    let indices = manifest.classIndices
    let labels = manifest.records.map { indices[$0.className] ?? 0 }
    let features = CachedFeatures(
      clean: try store.matrix(manifest.records), labels: .single(labels)
    ).tensor
    self.init(
      photos: run.photos, classes: manifest.classes, labels: labels, features: features,
      logits: try network.logits(
        of: features, parameters: classifier.model.parameters, compiler: run.context.compiler))
  }
}
