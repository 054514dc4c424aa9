// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawRuns

/// What is judged or diagnosed: a run, or a model with photos.
struct SubjectOptions: ParsableArguments {
  @Option(name: .customLong("run"), help: "Run directory.")
  var directory: RunDirectory?

  @Option(
    help: "Model file, checkpoint, or the name of a pretrained backbone.",
    completion: Completions.models)
  var model: String?

  @Option(
    help:
      "With --model: folder (or zip or tar file) of photos, with one sub-folder per class where labels matter."
  )
  var data: FilePath?

  @OptionGroup(title: "Labels of --data") var labels: EvaluationLabelOptions

  @OptionGroup var foreign: ForeignModelOptions

  func validate() throws { _ = try subject() }

  /// The run, or the model with its photos.
  ///
  /// - Parameter snapshots: see `ModelReference`.
  func subject(snapshots: Bool = false) throws -> DiagnosisSubject {
    guard model != nil || !foreign.isGiven else {
      throw ValidationError(
        "--card, --class-names, --preprocessing, --weights-key, --rename-tensors and --allow-missing"
          + " belong to --model.")
    }
    guard data != nil || labels.isEmpty else {
      throw ValidationError(
        "--labels, --layout and what goes with them belong to --data; a run's labels are in its manifest."
      )
    }
    switch (directory, model, data) {
    case (let directory?, nil, nil): return .run(directory)
    case (nil, let model?, let data?):
      return .model(
        foreign.reference(model, snapshots: snapshots),
        data: LabelledPhotos(data, labels: try labels.settings()))
    case (nil, nil, _), (_?, _?, _):
      throw ValidationError("Give either --run RUN, or --model FILE with --data DIR.")
    default: throw ValidationError("--model and --data belong together.")
    }
  }
}
