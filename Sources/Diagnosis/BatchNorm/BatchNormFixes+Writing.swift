// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawInference
import ThawNetwork

extension BatchNormFixes {
  /// Writes the network that fix `name` made.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` when there is no such fix.
  package func write(_ name: String?, to path: FilePath, _ diagnosis: BatchNormDiagnosis) throws {
    guard let name else {
      throw PipelineError.usage(
        "--apply: there is nothing to apply. \(diagnosis.verdict)")
    }
    guard let outcome = outcomes[name],
      let fix = diagnosis.fixes.first(where: { $0.name == name })
    else {
      let known = diagnosis.fixes.map(\.name).joined(separator: ", ")
      throw PipelineError.usage(
        "--fix is '\(name)', expected one that was tried: \(known.isEmpty ? "none was" : known).")
    }
    let network = outcome.network
    try ModelFile.write(
      path, try record(of: network, fix, diagnosis),
      network.parameters.restricted(to: network.graph))
    context.console.say("Wrote \(path.displayed): \(fix.what).")
  }

  /// Writes the network of every fix that was tried into a directory, by the fix's name.
  ///
  /// - Throws: `FileError`.
  package func writeAll(to directory: FilePath, _ diagnosis: BatchNormDiagnosis) throws {
    try FileSystem.createDirectory(directory)
    for fix in diagnosis.fixes {
      try write(fix.name, to: directory.appending("\(fix.name).safetensors"), diagnosis)
    }
  }

  private func record(
    of network: Repaired, _ fix: BatchNormDiagnosis.Fix, _ diagnosis: BatchNormDiagnosis
  ) throws -> ModelRecord {
    var record =
      classifier.record
      ?? ModelRecord(
        thawVersion: thawVersion, architecture: classifier.model.record.architecture,
        classNames: network.classNames, preprocessing: network.preprocessing.json)
    record.classNames = network.classNames
    record.preprocessing = network.preprocessing.json
    if record.architecture == Architecture.onnxName {
      record.structure = try ONNXStructure.text(
        of: network.graph, network.parameters, preprocessing: network.preprocessing)
    }
    record.freezing = FreezePlan(
      trainable: record.freezing.trainableGroups, frozenBatchNorm: .inference,
      trainableBatchNorm: record.freezing.trainableBatchNorm)
    record.notes["diagnosis"] = "\(diagnosis.kind.rawValue): \(fix.what)"
    if var training = try? TrainingRecord(json: record.training) {
      training.key += " + \(fix.name)"
      if network.hasNewHead { training.head.hidden = nil }
      record.training = try training.json()
    }
    return record
  }
}
