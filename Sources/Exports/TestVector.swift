// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawImages
package import ThawInference
import ThawNetwork
import ThawTensors
import ThawTraining

/// A photo that anybody can make from a formula, and what a model answers to it: whoever computes the same has
/// understood how photos are prepared, and what the file computes.
package struct TestVector {
  /// Sides of the photo: not square, so that resizing and cutting are tried as well.
  static let size = PixelSize(width: 320, height: 240)
  /// The sample in column x, row y and channel c (0 red, 1 green, 2 blue), as text that Python understands.
  static let formula = "(3 * x + 5 * y + x * y // (16 + c) + 85 * c) % 256"

  /// SHA-256 of the square that the network sees, its rows from above, a pixel's bytes red, green, blue.
  let squareHash: String
  /// One a class, of the photo.
  let logits: [Float]
  /// One a class, calibrated.
  let probabilities: [Float]

  /// The photo.
  static var photo: RGBImage {
    RGBImage(size: size) { samples in
      for index in samples.indices {
        let (pixel, channel) = (index / 3, index % 3)
        let (x, y) = (pixel % size.width, pixel / size.width)
        samples[index] = UInt8((3 * x + 5 * y + x * y / (16 + channel) + 85 * channel) % 256)
      }
    }
  }

  /// Asks a model.
  ///
  /// - Throws: what compiling and running it throws; ``PipelineError/data(_:)`` when its logits are not finite.
  package init(of model: StoredModel, context: StageContext, source: String) throws {
    let classifier = try Classifier(
      [model], source: source, compiler: context.compiler, threads: context.threads)
    logits = try TestVector.logits(classifier)
    guard logits.allSatisfy(\.isFinite) else {
      throw PipelineError.data(
        "\(source): its logits of a test photo are not finite. It has damaged weights or statistics: thaw"
          + " diagnose batchnorm")
    }
    let row = Tensor(logits, shape: [1, logits.count])
    // Those of a single sigmoid are of two classes already.
    let activation = model.record.outputActivation
    let plain =
      activation == .independentSigmoids
      ? Probabilities.sigmoid(row) : Probabilities.softmax(row)
    let temperature = classifier.calibration?.temperature
    probabilities = (temperature?.probabilities(of: plain) ?? plain).elements
    squareHash = SHA256.hexadecimal(of: TestVector.square(model.preprocessing).pixels)
  }

  /// One logit a class, by any classifier of the same contract.
  static func logits(_ classifier: Classifier) throws -> [Float] {
    let contract = classifier.preprocessing
    let pixels = AlignedStorage<Float>(count: contract.elementCount)
    contract.normalize(square(contract), into: pixels.elements)
    return try classifier.logits(UnsafeBufferPointer(pixels.elements)).elements
  }

  private static func square(_ contract: Preprocessing) -> RGBImage {
    contract.square(of: DecodedImage(pixels: photo))
  }

  /// As it stands in a file's metadata.
  var json: JSONValue {
    .object([
      JSONMember(
        "photo",
        .object([
          JSONMember("width", .integer(TestVector.size.width)),
          JSONMember("height", .integer(TestVector.size.height)),
          JSONMember("formula", .string(TestVector.formula)),
        ])),
      JSONMember("square_sha256", .string(squareHash)),
      JSONMember("logits", .array(logits.map(TestVector.number))),
      JSONMember("probabilities", .array(probabilities.map(TestVector.number))),
    ])
  }

  /// With as many digits as a Float has.
  private static func number(_ value: Float) -> JSONValue {
    .number(Double(value.description) ?? Double(value))
  }
}
