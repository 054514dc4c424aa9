// SPDX-License-Identifier: Apache-2.0

import ThawDatasets
import ThawImages

/// What photos measurably are, whatever they show.
struct PhotoTags {
  /// One photo, as verification measured it.
  struct Measured: Sendable {
    let image: VerifiedImage
    /// Mean brightness, 0...255, and its deviation; nil for a photo that could not be read.
    let brightness: Double?
    let contrast: Double?

    init(_ image: VerifiedImage) {
      self.image = image
      let levels = image.thumbnail?.levels.map(Double.init) ?? []
      guard !levels.isEmpty else {
        (brightness, contrast) = (nil, nil)
        return
      }
      let mean = levels.reduce(0, +) / Double(levels.count)
      brightness = mean
      contrast =
        (levels.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(levels.count)).squareRoot()
    }

    /// The longer side divided by the shorter one.
    var elongation: Double {
      let (w, h) = (Double(image.width), Double(image.height))
      return max(w, h) / max(min(w, h), 1)
    }
  }

  /// Mean brightness, of 255.
  static let (darkBelow, brightAbove) = (70.0, 200.0)
  /// Deviation of the brightness over a grid of 16 by 16, of 255.
  static let flatBelow = 25.0
  /// Of the detail that the middle one of the photos has.
  static let blurredBelow = 0.5
  /// Times longer in proportion than the middle one of the photos.
  static let elongatedBy = 1.5
  /// Photos needed to say what is usual.
  static let fewest = 10

  /// Tags by name, with what they mean and which photos have them. What cannot be told of these photos is
  /// left out and said in `notes`.
  ///
  /// - Parameter inputSize: side of the square that the network sees.
  static func tags(
    _ photos: [Measured?], inputSize: Int
  ) -> (tags: [(name: String, meaning: String?, has: [Bool])], notes: [String]) {
    func has(_ test: (Measured) -> Bool) -> [Bool] { photos.map { $0.map(test) ?? false } }
    func below(_ value: Double?, _ limit: Double) -> Bool { value.map { $0 < limit } ?? false }
    var tags: [(name: String, meaning: String?, has: [Bool])] = [
      (
        "dark", "mean brightness below \(Int(darkBelow)) of 255",
        has { below($0.brightness, darkBelow) }
      ),
      (
        "bright", "mean brightness above \(Int(brightAbove)) of 255",
        has { $0.brightness.map { $0 > brightAbove } ?? false }
      ),
      (
        "low contrast", "brightness deviates by less than \(Int(flatBelow)) of 255",
        has { below($0.contrast, flatBelow) }
      ),
      (
        "small file",
        "the shorter side has fewer pixels than the \(inputSize) that the network sees",
        has { min($0.image.width, $0.image.height) < inputSize }
      ),
      ("greyscale", "no colour", has { $0.image.isGrey }),
    ]
    var notes: [String] = []
    let known = photos.compactMap(\.self)
    guard known.count >= fewest else {
      notes.append(
        "Fewer than \(fewest) photos: what is blurred or of an unusual shape among them is not told."
      )
      return (tags, notes)
    }
    if let usual = median(known.compactMap { $0.image.detail.map(Double.init) }) {
      tags.append(
        (
          "blurred", "less than half the fine detail of the middle one of these photos",
          has { below($0.image.detail.map(Double.init), blurredBelow * usual) }
        ))
    } else {
      notes.append("The photos are too small to tell blurred ones.")
    }
    let shape = median(known.map(\.elongation)) ?? 1
    tags.append(
      (
        "unusual shape", "its sides differ 1.5 times as much as those of the middle one",
        has { $0.elongation > elongatedBy * shape || $0.elongation * elongatedBy < shape }
      ))
    // What nearly all photos are tells nothing apart; it is kept, and its share says so.
    return (tags, notes)
  }

  private static func median(_ values: [Double]) -> Double? {
    values.isEmpty ? nil : values.sorted()[(values.count - 1) / 2]
  }
}
