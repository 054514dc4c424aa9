// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawDatasets
import ThawDiagnosis
import ThawFiles
package import ThawInference

/// What a diagnosis looks at: the model of a run with its photos, or any model with any photos.
package enum DiagnosisSubject: Sendable {
  /// The model and the manifest of a run.
  case run(RunDirectory)
  /// A model file or a card, and a folder of photos.
  case model(ModelReference, data: FilePath)

  /// The model.
  func classifier(context: StageContext) throws -> Classifier {
    switch self {
    case .model(let model, _):
      let folders = try photos().compactMap(\.className)
      return try model.labelled(by: folders).load(context: context)
    case .run(let run):
      try run.require(run.model, from: "thaw train")
      return try Classifier(
        modelFile: run.model, compiler: context.compiler, threads: context.threads)
    }
  }

  /// All photos in a fixed order; labels are taken from class folders where there are some.
  ///
  /// - Throws: `DatasetError`, `FileError`, ``PipelineError/data(_:)`` when there is no photo.
  func photos() throws -> [SubjectPhoto] {
    switch self {
    case .run(let run):
      let manifest = try run.loadManifest()
      return manifest.records.map {
        SubjectPhoto(
          path: $0.path.resolved(in: manifest.root.filePath), name: $0.path.description,
          className: $0.className, split: $0.split)
      }
    case .model(_, let data):
      var options = FolderScanner.Options()
      options.requiresTraining = false
      options.requiresAllClasses = false
      do {
        let scan = try FolderScanner.scan(data, options: options)
        return scan.files.map {
          SubjectPhoto(
            path: $0.path.resolved(in: data), name: $0.path.description, className: $0.className,
            split: $0.split)
        }
      } catch DatasetError.notAFolder(let path, let reason) {
        throw DatasetError.notAFolder(path, reason)
      } catch {
        let found = try DiagnosisSubject.files(in: data)
        guard !found.isEmpty else { throw error }
        return found
      }
    }
  }

  /// JPEG and PNG files directly in a folder: photos without labels.
  private static func files(in folder: FilePath) throws -> [SubjectPhoto] {
    try FileSystem.list(folder).compactMap { name in
      let text = name.string
      let isPhoto = [".jpg", ".jpeg", ".png"].contains { text.lowercased().hasSuffix($0) }
      guard isPhoto, !text.hasPrefix(".") else { return nil }
      return SubjectPhoto(path: folder.appending(name), name: text, className: nil, split: nil)
    }.sorted { $0.name < $1.name }
  }
}
