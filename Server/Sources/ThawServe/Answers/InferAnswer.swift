// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird
import Thaw

/// The answer of `infer`: tensors as JSON, or their bytes behind it.
struct InferAnswer {
  private struct Output: Encodable {
    let name: String
    let datatype: String
    let shape: [Int]
    var parameters: [String: Int]?
    var data: Elements?
  }

  private enum Elements: Encodable {
    case numbers([Float])
    case texts([String])

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .numbers(let numbers): try container.encode(numbers)
      case .texts(let texts): try container.encode(texts)
      }
    }

    /// Numbers with the least byte first; texts each behind its length.
    var bytes: [UInt8] {
      func little(_ number: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
      }
      return switch self {
      case .numbers(let numbers): numbers.flatMap { little($0.bitPattern) }
      case .texts(let texts):
        texts.flatMap { little(UInt32(truncatingIfNeeded: $0.utf8.count)) + Array($0.utf8) }
      }
    }

    var isFinite: Bool {
      if case .numbers(let numbers) = self { numbers.allSatisfy(\.isFinite) } else { true }
    }
  }

  private struct Document: Encodable {
    let id: String?
    let modelName: String
    let modelVersion: String
    let outputs: [Output]
  }

  /// - Throws: ``Refusal``, 500, for numbers that are not finite.
  static func response(
    _ answers: [Classification], to body: InferBody, model: ServedModel.Current, name: String
  ) throws -> Response {
    var outputs: [Output] = []
    var binary: [UInt8] = []
    for wanted in body.outputs {
      let (datatype, shape, elements) = tensor(wanted.name, answers)
      guard elements.isFinite else {
        throw Refusal(
          .internalServerError, "The network's numbers for a photo are not finite.")
      }
      var output = Output(name: wanted.name, datatype: datatype, shape: shape)
      if wanted.isBinary {
        let bytes = elements.bytes
        output.parameters = ["binary_data_size": bytes.count]
        binary += bytes
      } else {
        output.data = elements
      }
      outputs.append(output)
    }
    let json = try JSONEncoder.forAnswers().encode(
      Document(id: body.id, modelName: name, modelVersion: model.version, outputs: outputs))
    guard body.outputs.contains(where: \.isBinary) else {
      return .bytes(Array(json), type: "application/json")
    }
    var response = Response.bytes(Array(json) + binary, type: "application/octet-stream")
    if let field = HTTPField.Name("Inference-Header-Content-Length") {
      response.headers[field] = "\(json.count)"
    }
    return response
  }

  private static func tensor(
    _ name: String, _ answers: [Classification]
  ) -> (datatype: String, shape: [Int], elements: Elements) {
    let classes = answers.first?.classNames.count ?? 0
    switch name {
    case "label":
      // Of a model of several labels all of them, in one text a photo.
      let labels = answers.map {
        $0.allowsSeveralLabels ? $0.labels.map(\.label).joined(separator: "|") : $0.label
      }
      return ("BYTES", [answers.count], .texts(labels))
    case "logits": return ("FP32", [answers.count, classes], .numbers(answers.flatMap(\.logits)))
    case "unknown_score":
      return ("FP32", [answers.count], .numbers(answers.map { $0.likeness?.score ?? 0 }))
    default:
      return ("FP32", [answers.count, classes], .numbers(answers.flatMap(\.probabilities)))
    }
  }
}
