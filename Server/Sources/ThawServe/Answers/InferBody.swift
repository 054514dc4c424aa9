// SPDX-License-Identifier: Apache-2.0

import Foundation
import Thaw

/// A request to `infer`: photos, and which outputs are wanted.
///
/// - Source: the Open Inference Protocol, version 2, and its extension for binary tensors.
struct InferBody {
  struct Output {
    let name: String
    let isBinary: Bool
  }

  let id: String?
  let photos: [Photo]
  let outputs: [Output]

  /// The largest JSON part: parsing takes some ten times as much memory.
  static let maximumJSON = 4 << 20

  /// - Parameters:
  ///   - jsonLength: the header `Inference-Header-Content-Length`; nil when all is JSON.
  ///   - maximumPhotos: at once.
  ///   - maximumPixels: of each.
  /// - Throws: ``Refusal``, 400 or 413.
  init(
    _ body: [UInt8], jsonLength: String?, model: ImageClassifier, maximumPhotos: Int,
    maximumPixels: Int
  ) throws {
    var length = body.count
    if let text = jsonLength {
      guard let given = Int(text), (0...body.count).contains(given) else {
        throw Refusal.bad(
          "Inference-Header-Content-Length is '\(text.prefix(40))', expected 0 to the body's"
            + " \(body.count) bytes.")
      }
      length = given
    }
    guard length <= Self.maximumJSON else {
      throw Refusal(
        .contentTooLarge,
        "The JSON part has \(length) bytes, at most \(Self.maximumJSON) are taken. Send photos as binary"
          + " tensors.")
    }
    let request: InferRequest
    do { request = try JSONDecoder().decode(InferRequest.self, from: Data(body[..<length])) } catch
    {
      throw Refusal.bad("The JSON is not a request to infer: \(Self.reason(error))")
    }
    id = request.id
    var answersBinary = false
    for (key, value) in request.parameters ?? [:] {
      guard key == "binary_data_output", case .flag(let flag) = value else {
        throw Refusal.bad("The parameter '\(key.prefix(40))' is not known here.")
      }
      answersBinary = flag
    }
    outputs = try Self.outputs(request.outputs, model, isBinary: answersBinary)
    guard request.inputs.count == 1, let input = request.inputs.first else {
      throw Refusal.bad("There are \(request.inputs.count) inputs, expected one: image or pixels.")
    }
    guard let count = input.shape.first, (1...maximumPhotos).contains(count) else {
      throw Refusal.bad(
        "The input's shape is \(input.shape), expected 1 to \(maximumPhotos) photos at once (--queue)."
      )
    }
    let tensor = try InputTensor(input, binary: body[length...])
    photos = try tensor.photos(maximumPixels: maximumPixels)
  }

  private static func outputs(
    _ wanted: [InferRequest.Output]?, _ model: ImageClassifier, isBinary: Bool
  ) throws -> [Output] {
    let known = TensorDescription.outputs(of: model).map(\.name)
    guard let wanted, !wanted.isEmpty else {
      return known.filter { $0 != "logits" }.map { Output(name: $0, isBinary: isBinary) }
    }
    return try wanted.map { output in
      guard known.contains(output.name) else {
        throw Refusal.bad(
          "There is no output '\(output.name.prefix(40))'. There are \(known.joined(separator: ", "))."
        )
      }
      var own = isBinary
      for (key, value) in output.parameters ?? [:] {
        guard key == "binary_data", case .flag(let flag) = value else {
          throw Refusal.bad(
            "The parameter '\(key.prefix(40))' of the output \(output.name) is not known here.")
        }
        own = flag
      }
      return Output(name: output.name, isBinary: own)
    }
  }

  private static func reason(_ error: any Error) -> String {
    switch error {
    case DecodingError.keyNotFound(let key, _): "'\(key.stringValue)' is missing."
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
      DecodingError.dataCorrupted(let context):
      (context.codingPath.isEmpty
        ? "" : "at \(context.codingPath.map(\.stringValue).joined(separator: ".")): ")
        + context.debugDescription
    default: "\(error)"
    }
  }
}

/// An input with its elements, from JSON or from the bytes behind it.
private struct InputTensor {
  private enum Content {
    case files([[UInt8]])
    case pixels(ArraySlice<UInt8>)
  }

  private let input: InferRequest.Input
  private let content: Content

  /// - Throws: ``Refusal``, 400.
  init(_ input: InferRequest.Input, binary: ArraySlice<UInt8>) throws {
    self.input = input
    var size: Int?
    for (key, value) in input.parameters ?? [:] {
      guard key == "binary_data_size", case .number(let count) = value else {
        throw Refusal.bad("The parameter '\(key.prefix(40))' of the input is not known here.")
      }
      size = count
    }
    if let size {
      guard input.data == nil, size == binary.count else {
        throw Refusal.bad(
          "binary_data_size is \(size), but \(binary.count) bytes follow the JSON\(input.data == nil ? "" : ", which has data too")."
        )
      }
    } else if !binary.isEmpty {
      throw Refusal.bad("\(binary.count) bytes follow the JSON, which has no binary_data_size.")
    }
    guard size != nil || input.data != nil else { throw Refusal.bad("The input has no data.") }
    switch (input.name, input.datatype) {
    case ("image", "BYTES"):
      content = .files(
        size == nil ? try Self.files(input.data) : try Self.files(lengthPrefixed: binary))
    case ("pixels", "UINT8"):
      guard input.data?.texts.isEmpty ?? true else {
        throw Refusal.bad("The data of pixels has texts, expected whole numbers from 0 to 255.")
      }
      content = .pixels(size == nil ? (input.data?.bytes ?? [])[...] : binary)
    default:
      throw Refusal.bad(
        "The input is '\(input.name.prefix(40))' of \(input.datatype.prefix(20)), expected image of BYTES or"
          + " pixels of UINT8.")
    }
  }

  private static func files(_ data: TensorData?) throws -> [[UInt8]] {
    guard let data, data.bytes.isEmpty else {
      throw Refusal.bad("The data of image has numbers, expected photo files in base64.")
    }
    return try data.texts.enumerated().map { index, text in
      guard let bytes = Data(base64Encoded: text) else {
        throw Refusal.bad("Photo \(index + 1) of the data is no base64.")
      }
      return Array(bytes)
    }
  }

  /// Elements of BYTES: four bytes with the length, the least first, and so many bytes.
  private static func files(lengthPrefixed bytes: ArraySlice<UInt8>) throws -> [[UInt8]] {
    var files: [[UInt8]] = []
    var rest = bytes
    while !rest.isEmpty {
      guard rest.count >= 4 else { throw Refusal.bad("The binary data ends within a length.") }
      let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
      rest = rest.dropFirst(4)
      guard length <= rest.count else {
        throw Refusal.bad(
          "Photo \(files.count + 1) of the binary data has \(length) bytes, of which \(rest.count) are there."
        )
      }
      files.append(Array(rest.prefix(length)))
      rest = rest.dropFirst(length)
    }
    return files
  }

  /// - Throws: ``Refusal``, 400.
  func photos(maximumPixels: Int) throws -> [Photo] {
    switch content {
    case .files(let files):
      guard input.shape == [files.count] || input.shape == [files.count, 1] else {
        throw Refusal.bad(
          "The input's shape is \(input.shape), but there are \(files.count) photos.")
      }
      return files.map { Photo($0) }
    case .pixels(let bytes):
      let shape = input.shape
      guard shape.count == 4, shape[3] == 3, shape.allSatisfy({ $0 >= 1 }) else {
        throw Refusal.bad("The shape of pixels is \(shape), expected [photos, rows, columns, 3].")
      }
      let (count, height, width) = (shape[0], shape[1], shape[2])
      let (pixels, overflows) = height.multipliedReportingOverflow(by: width)
      guard !overflows, pixels <= maximumPixels, pixels <= bytes.count,
        count <= bytes.count / pixels, count * pixels * 3 == bytes.count
      else {
        throw Refusal.bad(
          "The shape of pixels is \(shape), but there are \(bytes.count) numbers; a photo has at most"
            + " \(maximumPixels) pixels (--max-pixels).")
      }
      return try (0..<count).map { index in
        let start = bytes.startIndex + index * pixels * 3
        do {
          return try Photo(
            rgb: Array(bytes[start..<(start + pixels * 3)]), width: width, height: height)
        } catch { throw Refusal.bad("\(error)") }
      }
    }
  }
}
