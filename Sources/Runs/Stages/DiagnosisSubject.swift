// SPDX-License-Identifier: Apache-2.0

package import ThawInference

/// What a diagnosis looks at: the model of a run with its photos, or any model with any photos.
package enum DiagnosisSubject: Sendable {
  /// The model and the manifest of a run.
  case run(RunDirectory)
  /// A model file or a card, and photos.
  case model(ModelReference, data: LabelledPhotos)

  /// The subject ready to be looked at: of a run, under its lock.
  ///
  /// - Throws: errors of ``OpenRun``.
  package func open(context: StageContext) throws -> OpenSubject {
    switch self {
    case .run(let directory): .run(try OpenRun(directory, context: context))
    case .model(let model, let data): .model(model, data: data, context)
    }
  }
}
