// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawConsole
package import ThawInference
package import ThawNetwork
import ThawOneDNN
package import ThawTensors

/// A classifier under diagnosis.
extension Classifier {
  /// The network.
  package var graph: Graph { model.graph }

  /// What the network needs of its file.
  package var parameters: Parameters { model.parameters.restricted(to: model.graph) }

  /// Whether training changed the head alone, as the model's own record says; nil where it has none.
  package var trainedHeadAlone: Bool? {
    record.flatMap { try? TrainingRecord(json: $0.training) }?.isHeadAlone
  }

  /// The logits of prepared photos, [photos, classes], by the plan that prediction uses.
  package func logits(_ photos: LabelledTensors) throws -> Tensor<Float> {
    var rows: [Float] = []
    for start in stride(from: 0, to: photos.count, by: 32) {
      try Interruption.check()
      let pixels = photos.copy(start..<min(start + 32, photos.count))
      rows += try pixels.withUnsafeBufferPointer { try logits($0).elements }
    }
    return Tensor(rows, shape: [photos.count, classNames.count])
  }

  /// The output for each class folder, matched by name.
  ///
  /// - Throws: ``PipelineError/data(_:)`` naming classes the model does not know.
  package func columns(
    of folders: Set<String>, renaming: [String: String], data: FilePath
  ) throws -> [String: Int] {
    var indices: [String: Int] = [:]
    for (index, name) in classNames.enumerated() { indices[name] = index }
    var columns: [String: Int] = [:]
    for folder in folders { columns[folder] = indices[renaming[folder] ?? folder] }
    let unknown = folders.filter { columns[$0] == nil }.sorted()
    guard unknown.isEmpty else {
      let shown = classNames.prefix(10).joined(separator: ", ")
      throw PipelineError.data(
        "\(data.displayed): the model \(source) does not know"
          + " \(unknown.map { "'\($0)'" }.joined(separator: ", ")). It knows \(shown)"
          + (classNames.count > 10 ? ", …" : "")
          + ". Rename the folders, or pass --rename FOLDER=CLASS.")
    }
    return columns
  }
}
