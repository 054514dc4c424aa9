// SPDX-License-Identifier: Apache-2.0

extension Augmentation: CustomStringConvertible {
  /// One operation for a report: what, and how much.
  package struct Operation: Hashable, Sendable {
    /// For example `rotation`.
    package let name: String
    /// For example `up to 10° either way, 75 % of photos`.
    package let range: String
  }

  /// Every operation that can happen, in the order of ``Augmentation``; empty when none can.
  package var operations: [Operation] { geometricOperations + colourOperations }

  /// One line: `photo: random crop (35 % to 100 % of the area), horizontal flip, ...`.
  package var description: String {
    if !isActive { return "no augmentation" }
    let list = operations.map { "\($0.name) (\($0.range))" }.joined(separator: ", ")
    return (preset.map { "\($0.rawValue): " } ?? "") + list
  }

  private var geometricOperations: [Operation] {
    let often = Self.often(geometryProbability)
    var list: [Operation] = []
    if let crop = randomCrop {
      let area = "\(Self.percent(crop.scale)) of the area"
      list.append(Operation(name: "random crop", range: "\(area), shape \(Self.text(crop.ratio))"))
    }
    if warp > 0 { add("perspective", "corners move up to \(Self.percent(warp))\(often)") }
    if rotationDegrees > 0 { add("rotation", "up to \(Self.text(rotationDegrees))°\(often)") }
    if widthShift > 0 { add("width shift", "up to \(Self.shift(widthShift))\(often)") }
    if heightShift > 0 { add("height shift", "up to \(Self.shift(heightShift))\(often)") }
    if shearDegrees > 0 { add("shear", "up to \(Self.text(shearDegrees))°\(often)") }
    if zoom != 1...1 {
      add("zoom", "factor \(Self.text(zoom))\(locksZoom ? "" : ", per axis")\(often)")
    }
    if isDihedral {
      add("symmetries", "one of 8 turns and mirror images")
    } else {
      if flipsHorizontally { add("horizontal flip", "50 %") }
      if flipsVertically { add("vertical flip", "50 %") }
    }
    return list
    func add(_ name: String, _ range: String) { list.append(Operation(name: name, range: range)) }
  }

  private var colourOperations: [Operation] {
    var list: [Operation] = []
    if channelShift > 0 {
      let apart = channelShiftMode == .perChannel ? ", per channel" : ""
      add("channel shift", "up to \(Self.text(channelShift)) levels\(apart)")
    }
    if brightness != 1...1 { add("brightness", "factor \(Self.text(brightness))") }
    if lighting > 0 {
      add(
        "lighting",
        "brightness and contrast \(Self.text(lighting))\(Self.often(lightingProbability))")
    }
    if saturation > 0 { add("saturation", "up to \(Self.percent(saturation))") }
    if let erasing, erasing.probability > 0, erasing.area.upperBound > 0 {
      let number = erasing.count == 1 ? "" : " in \(erasing.count) rectangles"
      add("erasing", "\(Self.percent(erasing.area))\(number)\(Self.often(erasing.probability))")
    }
    return list
    func add(_ name: String, _ range: String) { list.append(Operation(name: name, range: range)) }
  }

  private static func often(_ probability: Double) -> String {
    probability == 1 ? "" : ", \(percent(probability)) of photos"
  }

  private static func shift(_ value: Double) -> String {
    value < 1 ? percent(value) : "\(text(value)) pixels"
  }

  private static func percent(_ value: Double) -> String { "\(text(value * 100)) %" }

  private static func percent(_ range: ClosedRange<Double>) -> String {
    range.lowerBound == range.upperBound
      ? percent(range.lowerBound)
      : "\(text(range.lowerBound * 100)) to \(percent(range.upperBound))"
  }

  private static func text(_ range: ClosedRange<Double>) -> String {
    "\(text(range.lowerBound)) to \(text(range.upperBound))"
  }

  private static func text(_ value: Double) -> String {
    let rounded = (value * 100).rounded() / 100
    return rounded == rounded.rounded() && abs(rounded) < 1e15 ? "\(Int(rounded))" : "\(rounded)"
  }
}
