// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The contract between a backbone and its pixels: how a photo becomes the numbers it was trained on.
///
/// Resize (``resizeRule``, ``interpolation``) to ``resizeTarget``, cut the square of ``inputSize``,
/// then for output channel c (in ``channelOrder``), x being the 8-bit sample:
///
///     value = (x * scale - mean[c]) / std[c]
///
/// A value without hidden state: equal contracts give bit-equal numbers. It belongs to the backbone's
/// card, travels in the model file as ``json`` and is part of every cache key.
package struct Preprocessing: Hashable, Sendable, CustomStringConvertible {
  /// Order of the channels the network expects.
  package enum ChannelOrder: String, Codable, Sendable, Hashable {
    /// Red first, as stored.
    case rgb
    /// Blue first, as Caffe and OpenCV have it.
    case bgr
  }

  /// Side of the square input in pixels.
  package let inputSize: Int
  /// Factor on the 8-bit sample before centring: 1 keeps 0 to 255, 1/255 makes 0 to 1.
  package let scale: Double
  /// Order of the output channels.
  package let channelOrder: ChannelOrder
  /// Subtracted from the scaled sample, in output channel order.
  package let mean: [Double]
  /// Divides the centred sample, in output channel order.
  package let std: [Double]
  /// Kernel of the resize.
  package let interpolation: Interpolation
  /// Part of the resized side that the square keeps, in (0, 1].
  package let cropFraction: Double
  /// How the aspect ratio is treated.
  package let resizeRule: ResizeRule
  /// Colour under transparent pixels.
  package let background: RGBColor
  /// How the pixels of a file are read.
  package internal(set) var reading: PixelReading

  /// A contract; traps on values that cannot be one (see ``flaw``), which the program itself chose.
  package init(
    inputSize: Int, scale: Double, channelOrder: ChannelOrder = .rgb, mean: [Double],
    std: [Double], interpolation: Interpolation = .bilinear, cropFraction: Double = 0.875,
    resizeRule: ResizeRule = .shorterSide, background: RGBColor = .white,
    reading: PixelReading = PixelReading()
  ) {
    self.inputSize = inputSize
    self.scale = scale
    self.channelOrder = channelOrder
    self.mean = mean
    self.std = std
    self.interpolation = interpolation
    self.cropFraction = cropFraction
    self.resizeRule = resizeRule
    self.background = background
    self.reading = reading
    if let flaw { preconditionFailure("Not a preprocessing contract: \(flaw).") }
  }

  /// Side the photo is resized to before the crop: floor(inputSize / cropFraction), as timm has it.
  package var resizeTarget: Int { Int((Double(inputSize) / cropFraction).rounded(.down)) }

  /// The same contract for another input side, for progressive resizing.
  package func withInputSize(_ inputSize: Int) -> Preprocessing {
    Preprocessing(
      inputSize: inputSize, scale: scale, channelOrder: channelOrder, mean: mean, std: std,
      interpolation: interpolation, cropFraction: cropFraction, resizeRule: resizeRule,
      background: background, reading: reading)
  }

  /// The same geometry with the numbers of another contract.
  package func withValues(of other: Preprocessing) -> Preprocessing {
    Preprocessing(
      inputSize: inputSize, scale: other.scale, channelOrder: other.channelOrder, mean: other.mean,
      std: other.std, interpolation: interpolation, cropFraction: cropFraction,
      resizeRule: resizeRule, background: background, reading: reading)
  }

  /// What makes this no contract; nil for a sound one.
  var flaw: String? {
    if !(1...65_500).contains(inputSize) { return "input size \(inputSize) is not 1 to 65500" }
    if mean.count != 3 || std.count != 3 { return "mean and std need three values" }
    if !(scale.isFinite && scale > 0) { return "scale \(scale) is not positive" }
    if !mean.allSatisfy(\.isFinite) { return "mean \(mean) is not finite" }
    if !std.allSatisfy({ $0.isFinite && $0 > 0 }) { return "std \(std) is not positive" }
    if !(cropFraction > 0.01 && cropFraction <= 1) {
      return "crop fraction \(cropFraction) is not in (0.01, 1]"
    }
    if reading.maximumPixels < 1 { return "a limit of \(reading.maximumPixels) pixels" }
    return nil
  }

  /// One line for people: `224 x 224 RGB, (x - 127) / 128, bicubic, shorter side 256, centre crop`.
  package var description: String {
    let geometry =
      resizeRule == .squash
      ? "squashed to \(resizeTarget) x \(resizeTarget)" : "shorter side \(resizeTarget)"
    let crop = resizeTarget == inputSize && resizeRule == .squash ? "" : ", centre crop"
    return "\(inputSize) x \(inputSize) \(channelOrder.rawValue.uppercased()), \(formula), "
      + "\(interpolation.rawValue), \(geometry)\(crop)"
  }

  /// The arithmetic, for people.
  private var formula: String {
    let input =
      scale == 1 ? "x" : "x / \(Self.short(1 / scale))"
    let centered = mean == [0, 0, 0] ? input : "\(input) - \(Self.short(mean))"
    if std == [1, 1, 1] { return centered }
    return (mean == [0, 0, 0] ? input : "(\(centered))") + " / \(Self.short(std))"
  }

  private static func short(_ values: [Double]) -> String {
    guard let first = values.first, !values.allSatisfy({ $0 == first }) else {
      return short(values.first ?? 0)
    }
    return "[" + values.map { short($0) }.joined(separator: ", ") + "]"
  }

  private static func short(_ value: Double) -> String {
    let rounded = (value * 1e6).rounded() / 1e6
    return rounded == rounded.rounded() && abs(rounded) < 1e15 ? "\(Int(rounded))" : "\(rounded)"
  }
}

extension Preprocessing: Codable {
  private enum CodingKeys: String, CodingKey {
    case inputSize = "input_size"
    case scale
    case channelOrder = "channel_order"
    case mean, std, interpolation
    case cropFraction = "crop_fraction"
    case resizeRule = "resize_rule"
    case background
    case colorProfiles = "color_profiles"
    case sixteenBit = "sixteen_bit"
    case maximumPixels = "max_pixels"
  }

  /// Decodes and checks; a contract that cannot be one is a `DecodingError` that says why.
  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    inputSize = try values.decode(Int.self, forKey: .inputSize)
    scale = try values.decode(Double.self, forKey: .scale)
    channelOrder = try values.decode(ChannelOrder.self, forKey: .channelOrder)
    mean = try values.decode([Double].self, forKey: .mean)
    std = try values.decode([Double].self, forKey: .std)
    interpolation = try values.decode(Interpolation.self, forKey: .interpolation)
    cropFraction = try values.decode(Double.self, forKey: .cropFraction)
    resizeRule = try values.decode(ResizeRule.self, forKey: .resizeRule)
    background = try values.decode(RGBColor.self, forKey: .background)
    reading = PixelReading()
    reading.convertsProfiles = try Self.word("srgb", values, .colorProfiles)
    reading.stretchesSixteenBits = try Self.word("stretch", values, .sixteenBit)
    if let limit = try values.decodeIfPresent(Int.self, forKey: .maximumPixels) {
      reading.maximumPixels = limit
    }
    if let flaw {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "not a preprocessing: \(flaw)"))
    }
  }

  /// Whether `key` is there; it has one value, so that another is an error and not passed over.
  private static func word(
    _ word: String, _ values: KeyedDecodingContainer<CodingKeys>, _ key: CodingKeys
  ) throws -> Bool {
    guard let found = try values.decodeIfPresent(String.self, forKey: key) else { return false }
    guard found == word else {
      throw DecodingError.dataCorruptedError(
        forKey: key, in: values, debugDescription: "'\(found)', expected '\(word)'")
    }
    return true
  }

  /// What is as it always was is left out, so that the text of a contract without choices is the one that
  /// earlier versions wrote and made keys of.
  package func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(inputSize, forKey: .inputSize)
    try values.encode(scale, forKey: .scale)
    try values.encode(channelOrder, forKey: .channelOrder)
    try values.encode(mean, forKey: .mean)
    try values.encode(std, forKey: .std)
    try values.encode(interpolation, forKey: .interpolation)
    try values.encode(cropFraction, forKey: .cropFraction)
    try values.encode(resizeRule, forKey: .resizeRule)
    try values.encode(background, forKey: .background)
    if reading.convertsProfiles { try values.encode("srgb", forKey: .colorProfiles) }
    if reading.stretchesSixteenBits { try values.encode("stretch", forKey: .sixteenBit) }
    if reading.maximumPixels != PixelReading().maximumPixels {
      try values.encode(reading.maximumPixels, forKey: .maximumPixels)
    }
  }

  /// The contract as one line of JSON with sorted keys: the same text for equal contracts.
  package var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else {
      preconditionFailure("A preprocessing contract holds finite numbers only.")
    }
    return String(decoding: data, as: UTF8.self)
  }

  /// Reads ``json`` back.
  ///
  /// - Throws: `DecodingError` when the text is not a contract.
  package init(json: String) throws {
    self = try JSONDecoder().decode(Preprocessing.self, from: Data(json.utf8))
  }
}
