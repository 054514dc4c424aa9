// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

extension ModelRecord {
  /// The record as the metadata of an ONNX file: the entries of a model file, without the checksum,
  /// which ONNX tools would not keep up to date.
  ///
  /// - Parameter file: named in errors.
  /// - Throws: ``CheckpointError`` when the record breaks a rule.
  package func onnxMetadata(for file: FilePath) throws(CheckpointError) -> [String: String] {
    do throws(ModelRecordError) {
      var entries = try metadata()
      entries["format"] = nil
      // The file's own graph says it.
      entries["thaw.structure"] = nil
      return entries
    } catch {
      throw CheckpointError(file, error.kind, error.reason, nextStep: error.nextStep)
    }
  }

  /// The record in an ONNX file; nil when the file was written by another program.
  ///
  /// - Throws: ``CheckpointError`` when there is one that cannot be understood.
  package init?(_ model: ONNXModel, file: FilePath) throws(CheckpointError) {
    guard model.metadata["thaw.format"] != nil else { return nil }
    do throws(ModelRecordError) { try self.init(metadata: model.metadata) } catch {
      throw CheckpointError(file, error.kind, error.reason, nextStep: error.nextStep)
    }
  }
}
