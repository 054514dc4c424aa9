// SPDX-License-Identifier: Apache-2.0

import Foundation
package import ThawCheckpoints
import ThawConsole
package import ThawTensors

/// How unlike the photos of its training a photo is to a model, by the features at the head's input.
///
/// Features x are scaled to length 1. Each class is taken for a Gaussian around the mean m[c] of its
/// training photos, all with one covariance S, and a photo is as unlike as it is far from the nearest:
///
/// score(x) = min over c of (x - m[c])^T S^-1 (x - m[c]) / number of features
///
/// S is shrunk towards a multiple of the identity, since there are fewer photos than features (Ledoit and
/// Wolf 2004), and kept as its largest directions and one variance for all others.
///
/// - Source: Lee et al. 2018, arXiv:1807.03888; lengths: Müller and Hein 2025, arXiv:2505.18032.
package struct UnknownScore: Sendable, Equatable {
  /// How many features a photo has.
  package let featureCount: Int
  /// Photos with a higher score are called unknown: 19 of 20 validation photos have a lower one.
  package let threshold: Float
  /// Training photos that the means and the covariance are of.
  package let photos: Int
  /// Validation photos that chose the threshold.
  package let validationPhotos: Int
  /// [classes, features]
  private let means: [Float]
  /// [directions, features], of length 1 and orthogonal.
  private let directions: [Float]
  /// The variance along each direction.
  private let variances: [Float]
  /// The variance along everything else.
  private let rest: Float
  /// [classes, directions]: the means along the directions.
  private let coordinates: [Float]

  /// Directions kept at most.
  static let mostDirections = 32
  /// Training photos looked at at most, evenly of all classes.
  package static let mostPhotos = 512
  /// More features than these (a flattened image) are not modelled.
  package static let mostFeatures = 8192
  /// The share of validation photos that are to pass.
  static let passing = 0.95

  private init?(
    featureCount: Int, threshold: Float, photos: Int, validationPhotos: Int, means: [Float],
    directions: [Float], variances: [Float], rest: Float
  ) {
    guard featureCount > 0, !means.isEmpty, means.count.isMultiple(of: featureCount),
      directions.count == variances.count * featureCount, rest > 0, rest.isFinite,
      variances.allSatisfy({ $0 > 0 && $0.isFinite }),
      (means + directions).allSatisfy(\.isFinite), threshold.isFinite
    else { return nil }
    self.featureCount = featureCount
    self.threshold = threshold
    self.photos = photos
    self.validationPhotos = validationPhotos
    self.means = means
    self.directions = directions
    self.variances = variances
    self.rest = rest
    let classes = means.count / featureCount
    coordinates = UnknownScore.product(means, directions, rows: classes, width: featureCount)
  }

  /// The score of one photo's features, unitless, at least 0: about 1 for photos like those of training.
  package func score(_ features: some Collection<Float>) -> Float {
    let x = UnknownScore.normalised(Array(features), width: featureCount)
    let along = UnknownScore.product(x, directions, rows: 1, width: featureCount)
    let count = variances.count
    var best = Double.infinity
    for row in 0..<(means.count / featureCount) {
      var distance = 0.0
      for index in 0..<featureCount {
        let difference = Double(x[index]) - Double(means[row * featureCount + index])
        distance += difference * difference
      }
      var (inside, weighted) = (0.0, 0.0)
      for index in 0..<count {
        let difference = Double(along[index]) - Double(coordinates[row * count + index])
        inside += difference * difference
        weighted += difference * difference / Double(variances[index])
      }
      best = min(best, weighted + max(distance - inside, 0) / Double(rest))
    }
    return Float(best / Double(featureCount))
  }

  /// Whether a score is that of something unknown.
  package func isUnknown(_ score: Float) -> Bool { score > threshold }

  /// Fits classes to training photos and chooses the threshold by validation photos.
  ///
  /// - Parameters:
  ///   - features: [n, features] of training photos.
  ///   - labels: their classes.
  ///   - validation: [m, features] of photos that nothing was trained on.
  /// - Returns: nil with fewer than two photos of either kind, with too many features, or when features
  ///   are all alike.
  package static func fitted(
    _ features: Tensor<Float>, labels: [Int], validation: Tensor<Float>
  ) -> UnknownScore? {
    let width = features.count / max(labels.count, 1)
    guard labels.count > 1, width > 0, width <= mostFeatures, validation.count >= 2 * width else {
      return nil
    }
    let x = normalised(features.elements, width: width)
    var (means, centred) = centredByClass(x, labels, width: width)
    // As they are kept, so that nothing differs once they were written.
    means = rounded(means)
    guard let covariance = ShrunkCovariance(&centred, rows: labels.count, width: width) else {
      return nil
    }
    guard
      let free = UnknownScore(
        featureCount: width, threshold: 0, photos: labels.count,
        validationPhotos: validation.count / width, means: means,
        directions: rounded(covariance.directions), variances: covariance.variances,
        rest: covariance.rest)
    else { return nil }
    let elements = validation.elements
    let scores = stride(from: 0, to: elements.count, by: width).map {
      free.score(elements[$0..<($0 + width)])
    }.sorted()
    let place = Int((passing * Double(scores.count)).rounded(.up)) - 1
    return UnknownScore(
      featureCount: width, threshold: scores[max(place, 0)], photos: free.photos,
      validationPhotos: scores.count, means: means, directions: free.directions,
      variances: free.variances, rest: free.rest)
  }

  /// The mean of each class that has photos, and each photo less its class's mean.
  private static func centredByClass(
    _ x: [Float], _ labels: [Int], width: Int
  ) -> (means: [Float], centred: [Double]) {
    let present = Set(labels).sorted()
    let rowOfClass = Dictionary(uniqueKeysWithValues: present.enumerated().map { ($1, $0) })
    let rows = labels.map { rowOfClass[$0] ?? 0 }
    var sums = [Double](repeating: 0, count: present.count * width)
    var counts = [Double](repeating: 0, count: present.count)
    for (sample, row) in rows.enumerated() {
      counts[row] += 1
      for index in 0..<width { sums[row * width + index] += Double(x[sample * width + index]) }
    }
    for row in present.indices {
      for index in 0..<width { sums[row * width + index] /= counts[row] }
    }
    var centred = x.map(Double.init)
    for (sample, row) in rows.enumerated() {
      for index in 0..<width { centred[sample * width + index] -= sums[row * width + index] }
    }
    return (sums.map { Float($0) }, centred)
  }

  /// Each row divided by its length; a row of zeros stays.
  private static func normalised(_ elements: [Float], width: Int) -> [Float] {
    var result = elements
    for start in stride(from: 0, to: elements.count, by: width) {
      let square = elements[start..<(start + width)].reduce(0.0) { $0 + Double($1) * Double($1) }
      guard square > 0 else { continue }
      let scale = 1 / square.squareRoot()
      for index in start..<(start + width) {
        result[index] = Float(Double(elements[index]) * scale)
      }
    }
    return result
  }

  /// rows [n, width] times directions [k, width] transposed, [n, k].
  private static func product(
    _ rows: [Float], _ directions: [Float], rows count: Int, width: Int
  ) -> [Float] {
    let columns = directions.count / width
    return (0..<count).flatMap { row in
      (0..<columns).map { column in
        var sum = 0.0
        for index in 0..<width {
          sum += Double(rows[row * width + index]) * Double(directions[column * width + index])
        }
        return Float(sum)
      }
    }
  }
}

// MARK: In model files

extension UnknownScore {
  /// What a model file says; arrays are little-endian Float16 in Base64.
  private struct Document: Codable {
    var method: String
    var features: Int
    var threshold: Float
    var photos: Int
    var validationPhotos: Int
    var variances: [Float]
    var rest: Float
    var means: String
    var directions: String

    enum CodingKeys: String, CodingKey {
      case method, features, threshold, photos, variances, rest, means, directions
      case validationPhotos = "validation_photos"
    }
  }

  private static let method = "gaussian"

  /// What a model file has; nil when it has nothing.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when it is damaged or of another method.
  package init?(of record: ModelRecord, source: String) throws {
    guard let text = record.unknown else { return nil }
    guard let own = try? JSONDecoder().decode(Document.self, from: Data(text.utf8)),
      own.method == UnknownScore.method, let means = UnknownScore.floats(own.means),
      let directions = UnknownScore.floats(own.directions),
      let score = UnknownScore(
        featureCount: own.features, threshold: own.threshold, photos: own.photos,
        validationPhotos: own.validationPhotos, means: means, directions: directions,
        variances: own.variances, rest: own.rest)
    else {
      throw PipelineError.data(
        "\(source): what tells unknown photos in it is not understood. Use --unknown off, or the version"
          + " of Thaw that wrote it (\(record.thawVersion)).")
    }
    self = score
  }

  /// The document for a model file.
  package func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let document = Document(
      method: UnknownScore.method, features: featureCount, threshold: threshold, photos: photos,
      validationPhotos: validationPhotos, variances: variances, rest: rest,
      means: UnknownScore.text(means), directions: UnknownScore.text(directions))
    return String(decoding: try encoder.encode(document), as: UTF8.self)
  }

  private static func rounded(_ elements: [Float]) -> [Float] {
    elements.map { Float(Float16($0)) }
  }

  private static func text(_ elements: [Float]) -> String {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(2 * elements.count)
    for element in elements {
      let bits = Float16(element).bitPattern
      bytes += [UInt8(truncatingIfNeeded: bits), UInt8(truncatingIfNeeded: bits >> 8)]
    }
    return Data(bytes).base64EncodedString()
  }

  private static func floats(_ text: String) -> [Float]? {
    guard let data = Data(base64Encoded: text), data.count.isMultiple(of: 2) else { return nil }
    let bytes = Array(data)
    return stride(from: 0, to: bytes.count, by: 2).map {
      Float(Float16(bitPattern: UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8))
    }
  }
}
