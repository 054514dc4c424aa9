// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Pipeline
import SystemPackage

/// What a diagnosis looks at.
struct SubjectOptions: ParsableArguments {
  @Option(name: .customLong("run"), help: "Run directory.")
  var directory: RunDirectory?

  @Option(help: "Model file, or the name of a pretrained backbone.")
  var model: String?

  @Option(help: "With --model: folder of photos.")
  var data: FilePath?

  func validate() throws { _ = try subject() }

  /// The run, or the model with its photos.
  func subject() throws -> DiagnosisSubject {
    switch (directory, model, data) {
    case (let directory?, nil, nil): return .run(directory)
    case (nil, let model?, let data?): return .model(ModelReference(model), data: data)
    case (nil, nil, _), (_?, _?, _):
      throw ValidationError("Give either --run RUN, or --model FILE with --data DIR.")
    default: throw ValidationError("--model and --data belong together.")
    }
  }
}
