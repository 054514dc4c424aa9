// SPDX-License-Identifier: Apache-2.0

import Foundation

extension Augmentation: Codable {
  private enum CodingKeys: String, CodingKey, CaseIterable {
    case preset
    case randomCrop = "random_crop"
    case flipsHorizontally = "horizontal_flip"
    case flipsVertically = "vertical_flip"
    case isDihedral = "dihedral"
    case rotationDegrees = "rotation_degrees"
    case widthShift = "width_shift"
    case heightShift = "height_shift"
    case shearDegrees = "shear_degrees"
    case zoom
    case locksZoom = "zoom_locked"
    case warp, fill
    case fillColor = "fill_color"
    case affineSemantics = "affine_semantics"
    case geometryProbability = "geometry_probability"
    case channelShift = "channel_shift"
    case channelShiftMode = "channel_shift_mode"
    case brightness, lighting
    case lightingProbability = "lighting_probability"
    case saturation, erasing
  }

  /// Decodes the name of a preset, or settings: a `preset` to begin with (`none` unless given) and
  /// whatever differs from it. Unknown keys and impossible values are errors that name them.
  package init(from decoder: any Decoder) throws {
    if let name = try? decoder.singleValueContainer().decode(String.self) {
      self.init(try Augmentation.preset(named: name, at: decoder.codingPath))
      return
    }
    try decoder.rejectUnknownKeys(CodingKeys.self, of: "augmentation")
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let name = try values.decodeIfPresent(String.self, forKey: .preset)
    self.init(try Augmentation.preset(named: name ?? "none", at: decoder.codingPath))
    try decode(values)
    if let flaw {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "not an augmentation: \(flaw)"))
    }
  }

  private static func preset(named name: String, at path: [any CodingKey]) throws -> Preset {
    if let preset = Preset(rawValue: name) { return preset }
    let names = Preset.allCases.map(\.rawValue).joined(separator: ", ")
    throw DecodingError.dataCorrupted(
      .init(
        codingPath: path,
        debugDescription: "no augmentation preset is called '\(name)'; there are \(names)"))
  }

  private mutating func decode(_ values: KeyedDecodingContainer<CodingKeys>) throws {
    func set<Value: Decodable>(
      _ path: WritableKeyPath<Augmentation, Value>, _ key: CodingKeys
    ) throws {
      if let value = try values.decodeIfPresent(Value.self, forKey: key) {
        self[keyPath: path] = value
      }
    }
    if values.contains(.randomCrop) {
      randomCrop = try values.decodeIfPresent(RandomCrop.self, forKey: .randomCrop)
    }
    if values.contains(.erasing) {
      erasing = try values.decodeIfPresent(RandomErasing.self, forKey: .erasing)
    }
    try set(\.flipsHorizontally, .flipsHorizontally)
    try set(\.flipsVertically, .flipsVertically)
    try set(\.isDihedral, .isDihedral)
    try set(\.rotationDegrees, .rotationDegrees)
    try set(\.widthShift, .widthShift)
    try set(\.heightShift, .heightShift)
    try set(\.shearDegrees, .shearDegrees)
    try set(\.zoom, .zoom)
    try set(\.locksZoom, .locksZoom)
    try set(\.warp, .warp)
    try set(\.fill, .fill)
    try set(\.fillColor, .fillColor)
    try set(\.affineSemantics, .affineSemantics)
    try set(\.geometryProbability, .geometryProbability)
    try set(\.channelShift, .channelShift)
    try set(\.channelShiftMode, .channelShiftMode)
    try set(\.brightness, .brightness)
    try set(\.lighting, .lighting)
    try set(\.lightingProbability, .lightingProbability)
    try set(\.saturation, .saturation)
  }

  /// Encodes every setting, so that the text means the same when a preset changes.
  package func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(randomCrop, forKey: .randomCrop)
    try values.encode(flipsHorizontally, forKey: .flipsHorizontally)
    try values.encode(flipsVertically, forKey: .flipsVertically)
    try values.encode(isDihedral, forKey: .isDihedral)
    try values.encode(rotationDegrees, forKey: .rotationDegrees)
    try values.encode(widthShift, forKey: .widthShift)
    try values.encode(heightShift, forKey: .heightShift)
    try values.encode(shearDegrees, forKey: .shearDegrees)
    try values.encode(zoom, forKey: .zoom)
    try values.encode(locksZoom, forKey: .locksZoom)
    try values.encode(warp, forKey: .warp)
    try values.encode(fill, forKey: .fill)
    try values.encode(fillColor, forKey: .fillColor)
    try values.encode(affineSemantics, forKey: .affineSemantics)
    try values.encode(geometryProbability, forKey: .geometryProbability)
    try values.encode(channelShift, forKey: .channelShift)
    try values.encode(channelShiftMode, forKey: .channelShiftMode)
    try values.encode(brightness, forKey: .brightness)
    try values.encode(lighting, forKey: .lighting)
    try values.encode(lightingProbability, forKey: .lightingProbability)
    try values.encode(saturation, forKey: .saturation)
    try values.encode(erasing, forKey: .erasing)
  }

  /// The settings as one line of JSON with sorted keys: the same text for equal augmentations.
  package var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else {
      preconditionFailure("An augmentation holds finite numbers only.")
    }
    return String(decoding: data, as: UTF8.self)
  }
}

extension RandomCrop {
  enum CodingKeys: String, CodingKey, CaseIterable { case scale, ratio }

  /// Decodes settings; what is left out keeps its default, an unknown key is an error.
  package init(from decoder: any Decoder) throws {
    try decoder.rejectUnknownKeys(CodingKeys.self, of: "random_crop")
    let values = try decoder.container(keyedBy: CodingKeys.self)
    self.init()
    scale = try values.decodeIfPresent(ClosedRange.self, forKey: .scale) ?? scale
    ratio = try values.decodeIfPresent(ClosedRange.self, forKey: .ratio) ?? ratio
  }
}

extension RandomErasing {
  enum CodingKeys: String, CodingKey, CaseIterable { case probability, area, ratio, count }

  /// Decodes settings; what is left out keeps its default, an unknown key is an error.
  package init(from decoder: any Decoder) throws {
    try decoder.rejectUnknownKeys(CodingKeys.self, of: "erasing")
    let values = try decoder.container(keyedBy: CodingKeys.self)
    self.init()
    probability = try values.decodeIfPresent(Double.self, forKey: .probability) ?? probability
    area = try values.decodeIfPresent(ClosedRange.self, forKey: .area) ?? area
    ratio = try values.decodeIfPresent(ClosedRange.self, forKey: .ratio) ?? ratio
    count = try values.decodeIfPresent(Int.self, forKey: .count) ?? count
  }
}

// Any key, to find those that mean nothing.
private struct AnyKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }
  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

extension Decoder {
  /// Fails on a key that is not one of `known`, naming it and those.
  func rejectUnknownKeys<Key: CodingKey & CaseIterable>(
    _ known: Key.Type, of what: String
  ) throws {
    let names = Key.allCases.map(\.stringValue)
    for key in try container(keyedBy: AnyKey.self).allKeys where !names.contains(key.stringValue) {
      throw DecodingError.dataCorrupted(
        .init(
          codingPath: codingPath,
          debugDescription: "\(what) has no setting '\(key.stringValue)'; the settings are "
            + names.joined(separator: ", ")))
    }
  }
}
