// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawGraphs
import ThawImages
import ThawOneDNN

extension StoredModel {
  /// A model that Thaw exported as ONNX, which says how photos are prepared; for one of another program
  /// see ``ForeignModel``.
  ///
  /// - Throws: `CheckpointError`, `NetworkError`, `BackboneError`; ``PipelineError/data(_:)``.
  package init(onnx file: FilePath) throws {
    let network = try ONNXNetwork(file)
    guard let written = network.record, let contract = network.preprocessing else {
      throw PipelineError.data(
        "\(file.displayed): the file does not say how photos are prepared for it. Import it: thaw"
          + " pretrained import \(file.quoted) --name NAME --preprocessing torch")
    }
    try network.check(contract, classes: written.classNames.count, file: file)
    var record = written
    record.architecture = Architecture.onnxName
    record.structure = try ONNXStructure.text(
      of: network.graph, network.parameters, preprocessing: contract)
    self.init(
      graph: network.graph, parameters: network.parameters, preprocessing: contract,
      record: record)
  }
}
