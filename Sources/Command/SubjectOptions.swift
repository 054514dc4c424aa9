// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawRuns

/// What a diagnosis looks at.
struct SubjectOptions: ParsableArguments {
  @Option(name: .customLong("run"), help: "Run directory.")
  var directory: RunDirectory?

  @Option(help: "Model file, checkpoint, or the name of a pretrained backbone.")
  var model: String?

  @Option(help: "With --model: folder of photos.")
  var data: FilePath?

  @OptionGroup var foreign: ForeignModelOptions

  func validate() throws { _ = try subject() }

  /// The run, or the model with its photos.
  func subject() throws -> DiagnosisSubject {
    guard model != nil || (foreign.card == nil && foreign.classNames == nil) else {
      throw ValidationError("--card and --class-names belong to --model.")
    }
    switch (directory, model, data) {
    case (let directory?, nil, nil): return .run(directory)
    case (nil, let model?, let data?): return .model(foreign.reference(model), data: data)
    case (nil, nil, _), (_?, _?, _):
      throw ValidationError("Give either --run RUN, or --model FILE with --data DIR.")
    default: throw ValidationError("--model and --data belong together.")
    }
  }
}
