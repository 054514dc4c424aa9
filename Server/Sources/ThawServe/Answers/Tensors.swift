// SPDX-License-Identifier: Apache-2.0

import Foundation
import Thaw

/// What a model takes and gives in the terms of the Open Inference Protocol.
struct TensorDescription: Encodable {
  let name: String
  let datatype: String
  let shape: [Int]
  var parameters: [String: String]?

  /// Encoded photos, or decoded ones: one of the two.
  static let inputs = [
    TensorDescription(
      name: "image", datatype: "BYTES", shape: [-1],
      parameters: [
        "content": "photo files; as JSON in base64. Give this or pixels.", "optional": "true",
      ]),
    TensorDescription(
      name: "pixels", datatype: "UINT8", shape: [-1, -1, -1, 3],
      parameters: [
        "content": "upright photos in sRGB: photo, row, column, channel. Give this or image.",
        "optional": "true",
      ]),
  ]

  /// - Parameter classifier: the model.
  static func outputs(of classifier: ImageClassifier) -> [TensorDescription] {
    let classes = classifier.classNames.count
    return [
      TensorDescription(name: "label", datatype: "BYTES", shape: [-1]),
      TensorDescription(name: "probabilities", datatype: "FP32", shape: [-1, classes]),
      TensorDescription(name: "logits", datatype: "FP32", shape: [-1, classes]),
    ]
      + (classifier.model.knowsLikeness
        ? [TensorDescription(name: "unknown_score", datatype: "FP32", shape: [-1])] : [])
  }
}

/// A value of `parameters`: a text, a number or yes or no.
enum ParameterValue: Decodable, Equatable {
  case flag(Bool)
  case number(Int)
  case text(String)

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let flag = try? container.decode(Bool.self) {
      self = .flag(flag)
    } else if let number = try? container.decode(Int.self) {
      self = .number(number)
    } else {
      self = .text(try container.decode(String.self))
    }
  }
}

/// The JSON part of a request to `infer`.
struct InferRequest: Decodable {
  struct Input: Decodable {
    let name: String
    let shape: [Int]
    let datatype: String
    let parameters: [String: ParameterValue]?
    let data: TensorData?
  }

  struct Output: Decodable {
    let name: String
    let parameters: [String: ParameterValue]?
  }

  let id: String?
  let parameters: [String: ParameterValue]?
  let inputs: [Input]
  let outputs: [Output]?
}

/// The elements of a tensor, flat or nested, row after row.
struct TensorData: Decodable {
  var texts: [String] = []
  var bytes: [UInt8] = []

  init(from decoder: any Decoder) throws {
    var container = try decoder.unkeyedContainer()
    try add(&container, depth: 0)
  }

  private mutating func add(_ container: inout any UnkeyedDecodingContainer, depth: Int) throws {
    while !container.isAtEnd {
      if let byte = try? container.decode(UInt8.self) {
        bytes.append(byte)
      } else if let text = try? container.decode(String.self) {
        texts.append(text)
      } else {
        guard depth < 4, var inner = try? container.nestedUnkeyedContainer() else {
          throw DecodingError.dataCorrupted(
            .init(
              codingPath: [],
              debugDescription: "data has an element that is neither a whole number from 0 to 255"
                + " nor a text, or is nested too deeply"))
        }
        try add(&inner, depth: depth + 1)
      }
    }
  }
}
