// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawConsole
import ThawDatasets
package import ThawDiagnosis
import ThawFiles
package import ThawInference

/// What a diagnosis looks at, while it looks.
package enum OpenSubject {
  /// A run, which nobody changes meanwhile.
  case run(OpenRun)
  /// Any model and photos.
  case model(ModelReference, data: LabelledPhotos, StageContext)

  /// The model, with one output a class under a softmax.
  ///
  /// - Throws: errors of the model, and of the photos whose folders may name its classes;
  ///   ``PipelineError/data(_:)`` for a model of several labels a photo.
  package func classifier() throws -> Classifier {
    switch self {
    case .run(let run):
      return try run.classifier().inRealNumbers().withSoftmax(context: run.context)
    case .model(let model, let data, let context):
      let folders = try OpenSubject.photos(in: data, nil).compactMap(\.className)
      return try model.labelled(by: folders).load(context: context)
        .inRealNumbers().withSoftmax(context: context)
    }
  }

  /// All photos in a fixed order; labels are taken from class folders where there are some.
  ///
  /// - Throws: `DatasetError`, `FileError`, ``PipelineError/data(_:)`` when there is no photo.
  package func photos() throws -> [SubjectPhoto] {
    switch self {
    case .run(let run): run.photos
    case .model(_, let data, let context): try OpenSubject.photos(in: data, context.console)
    }
  }

  /// Keeps the result of `thaw diagnose KIND` in the run, if it is one.
  ///
  /// - Throws: `FileError`.
  package func keep(_ result: some Encodable, of kind: String) throws {
    guard case .run(let run) = self else { return }
    try run.write(result, to: run.directory.diagnosis(kind))
  }

  /// Where the photos are, as messages show it.
  package var rootName: String {
    switch self {
    case .run(let run): run.manifest.root.description
    case .model(_, let data, _): data.folder.displayed
    }
  }

  private static func photos(
    in data: LabelledPhotos, _ console: Console?
  ) throws -> [SubjectPhoto] {
    do {
      return try data.scanOfSingleLabels(console).files.map {
        SubjectPhoto(
          path: $0.path.resolved(in: data.folder), name: $0.path.description,
          className: $0.className,
          split: $0.split)
      }
    } catch DatasetError.notAFolder(let path, let reason) {
      throw DatasetError.notAFolder(path, reason)
    } catch let error as PipelineError {
      throw error
    } catch let error where data.hasTable {
      throw error
    } catch {
      let found = try unlabelled(in: data.folder)
      guard !found.isEmpty else { throw error }
      return found
    }
  }

  /// Images directly in a folder: photos without labels.
  private static func unlabelled(in folder: FilePath) throws -> [SubjectPhoto] {
    try PhotoFiles.list(folder).compactMap { name in
      let (path, text) = (folder.appending(name), name.string)
      guard !FileNames.isIgnored(BytePath(path).lastComponent), FileNames.isPhoto(path),
        try PhotoFiles.status(of: path).kind == .regular
      else { return nil }
      return SubjectPhoto(path: folder.appending(name), name: text, className: nil, split: nil)
    }.sorted { $0.name < $1.name }
  }
}

extension OpenRun {
  /// Every photo of the manifest, in its order.
  package var photos: [SubjectPhoto] {
    let root = manifest.root.filePath
    return manifest.records.map {
      SubjectPhoto(
        path: $0.path.resolved(in: root), name: $0.path.description, className: $0.className,
        split: $0.split)
    }
  }
}

extension Classifier {
  /// Itself, for what needs gradients or another learning phase.
  ///
  /// - Throws: ``PipelineError/data(_:)`` for a network in eight bits, which has neither.
  func inRealNumbers() throws(PipelineError) -> Classifier {
    guard model.graph.precision != .int8 else {
      throw .data(
        "\(source): is a model in eight bits, which has neither gradients nor batch norms of its own. Diagnose"
          + " the model it was made of.")
    }
    return self
  }
}
