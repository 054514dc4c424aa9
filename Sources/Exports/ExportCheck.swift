// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawBackbones
package import ThawCheckpoints
import ThawConsole
import ThawExecution
import ThawGraphs
import ThawImages
package import ThawInference
import ThawNetwork
import ThawTensors

/// How a file that was written was looked at again.
package struct ExportCheck: Encodable, Sendable {
  /// Who read it: `thaw`, or a runtime with its version.
  package let reader: String
  /// Tensors that came back with the same bits; nil where the network was asked instead.
  package var sameTensors: Int?
  /// Worst difference of a logit of the test photo; nil where tensors were compared.
  package var logitDifference: Double?
  /// Worst difference of a probability of the test photo; nil where only logits were looked at.
  package var probabilityDifference: Double?
  /// Why it was not looked at; nil when it was.
  package var problem: String?

  /// For people.
  package var text: String {
    if let problem { return "not read back by \(reader): \(problem)" }
    if let sameTensors { return "read back by \(reader): \(sameTensors) tensors, the same bits" }
    let differences = [("logits", logitDifference), ("probabilities", probabilityDifference)]
      .compactMap { name, value in value.map { "\(name) within \(Format.significant($0, 2))" } }
    return
      "read back by \(reader): \(differences.joined(separator: ", ")) of the model's, on a test photo"
  }
}

extension ExportCheck {
  /// What two computations of one network may differ by, as a share of the largest logit: several hundred
  /// times what rounding does to an ordinary network, and far below what any mistake does.
  private static let tolerance = 1e-3

  /// Reads an ONNX file by Thaw's own importer and asks it.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when it answers otherwise than `expected`, or says something else of
  ///   itself than `model`.
  package static func onnx(
    _ file: FilePath, named name: String, of model: StoredModel, expected: TestVector,
    context: StageContext
  ) throws -> ExportCheck {
    var check = ExportCheck(reader: "thaw")
    let network: ONNXNetwork
    do { network = try ONNXNetwork(file) } catch let error as GraphError {
      guard case .notImportable(_, let reason) = error else { throw error }
      check.problem = reason
      return check
    }
    guard let record = network.record, record.classNames == model.record.classNames,
      network.preprocessing == model.preprocessing,
      network.outputActivation == model.record.outputActivation,
      record.temperature == model.record.temperature
    else { throw failure(name, "does not say of itself what the model says") }
    var graph = network.graph
    graph.precision = model.graph.precision
    let again = StoredModel(
      graph: graph, parameters: network.parameters, preprocessing: model.preprocessing,
      record: ExportStage.plain(record))
    let classifier = try Classifier(
      [again], source: name, compiler: context.compiler, threads: context.threads)
    let found = try TestVector.logits(classifier)
    check.logitDifference = try difference(found, expected.logits, name)
    return check
  }

  /// Worst difference of two rows.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when it is no rounding.
  private static func difference(
    _ found: [Float], _ expected: [Float], _ name: String
  ) throws(PipelineError) -> Double {
    let largest = expected.map { Double(abs($0)) }.max() ?? 0
    let worst = zip(found, expected).map { Double(abs($0 - $1)) }.max() ?? .infinity
    guard found.count == expected.count, worst <= tolerance * max(largest, 1) else {
      throw failure(
        name,
        "gives logits that differ by \(Format.significant(worst, 2)) from the model's, of at most"
          + " \(Format.significant(largest, 2))")
    }
    return worst
  }

  /// Compares the tensors in a file with those that it was to hold, bit by bit.
  ///
  /// - Throws: ``PipelineError/data(_:)`` for the first that differs.
  package static func tensors(
    _ file: FilePath, named name: String, expected: [StoredTensor]
  ) throws -> ExportCheck {
    let checkpoint = try CheckpointReader.read(file)
    for tensor in expected {
      guard let found = checkpoint[tensor.name], found.shape == tensor.shape else {
        throw failure(name, "has no tensor '\(tensor.name)' of shape \(tensor.shape)")
      }
      guard try tensor.elementType == .int64 || found.floats().hasBits(of: tensor.floats()) else {
        throw failure(name, "holds other numbers in '\(tensor.name)' than the model")
      }
    }
    guard checkpoint.count == expected.count else {
      throw failure(name, "has \(checkpoint.count) tensors, \(expected.count) were written")
    }
    return ExportCheck(reader: "thaw", sameTensors: expected.count)
  }

  static func failure(_ name: String, _ what: String) -> PipelineError {
    .data(
      "\(name) was written and read back, and \(what). It was taken away again: this is a fault of Thaw's."
        + " Another format may do; please report it with what 'thaw doctor' says.")
  }
}

extension Tensor<Float> {
  /// Whether every number has the same bits, which those that are none have as well.
  fileprivate func hasBits(of other: Tensor<Float>) -> Bool {
    count == other.count
      && zip(elements, other.elements).allSatisfy { $0.bitPattern == $1.bitPattern }
  }
}
