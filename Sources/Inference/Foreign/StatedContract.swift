// SPDX-License-Identifier: Apache-2.0

package import ThawCheckpoints
import ThawConsole
package import ThawImages

/// How photos are prepared according to the files beside a model: timm's `pretrained_cfg` in
/// `config.json`, or transformers' `preprocessor_config.json`.
///
/// - Source: timm, timm/data/config.py and transforms_factory.py; transformers, the image processors'
///   `preprocess`.
package struct StatedContract {
  /// The contract.
  package let preprocessing: Preprocessing
  /// For people: `as timm's config.json says`.
  package let reason: String

  /// Nil when neither file says it.
  ///
  /// - Throws: ``PipelineError/data(_:)`` for a contract that Thaw cannot keep: another kernel than
  ///   bilinear, bicubic or nearest, photos without antialiasing.
  package init?(_ file: ForeignFile) throws {
    try self.init(
      processor: file.processor, configuration: file.configuration,
      path: file.checkpoint.path.displayed)
  }

  /// The same from what the two files hold.
  package init?(processor: JSONValue?, configuration: JSONValue?, path: String) throws {
    if let processor, let contract = try StatedContract.transformers(processor, path) {
      preprocessing = contract
      reason = "as preprocessor_config.json says"
    } else if let configuration,
      let contract = try StatedContract.timm(configuration, path)
    {
      preprocessing = contract
      reason = "as timm's config.json says"
    } else {
      return nil
    }
  }

  /// What a pickled `Normalize` in the file says of samples, on photos cut as is `usual`; nil without one.
  package init?(_ normalization: PickledNormalization?, usual: Preprocessing?) {
    guard let normalization, let usual else { return nil }
    let values = Preprocessing(
      inputSize: usual.inputSize, scale: 1 / 255, mean: normalization.mean, std: normalization.std,
      interpolation: usual.interpolation, cropFraction: usual.cropFraction)
    preprocessing = usual.withValues(of: values)
    reason =
      "normalised as Normalize in the file does; the size and how photos are cut are usual for these"
      + " weights"
  }

  private static func timm(_ json: JSONValue, _ path: String) throws -> Preprocessing? {
    let values = json["pretrained_cfg"] ?? json
    guard let mean = values["mean"]?.doubles, let std = values["std"]?.doubles,
      let size = values["input_size"]?.integers?.last
    else { return nil }
    let rule: ResizeRule
    switch values["crop_mode"]?.text ?? "center" {
    case "center": rule = .shorterSide
    case "squash": rule = .squash
    case let other:
      throw PipelineError.data(
        "\(path): its config.json cuts photos by '\(other)', Thaw by 'center' or 'squash'. Name a"
          + " card whose preprocessing is near enough with --card.")
    }
    return try contract(
      size: size, scale: 1 / 255, mean: mean, std: std,
      kernel: interpolation(values["interpolation"] ?? .string("bilinear"), path),
      fraction: values["crop_pct"]?.double ?? 0.875, rule, path)
  }

  private static func transformers(_ json: JSONValue, _ path: String) throws -> Preprocessing? {
    let kind = json["image_processor_type"]?.text ?? json["feature_extractor_type"]?.text ?? ""
    guard json["antialias"] != .boolean(false) else {
      throw PipelineError.data(
        "\(path): its preprocessor_config.json resizes without antialiasing, which Thaw does not."
          + " Name a card whose preprocessing is near enough with --card.")
    }
    let normalizes = json["do_normalize"] != .boolean(false)
    let mean = normalizes ? json["image_mean"]?.doubles : [0, 0, 0]
    var std = normalizes ? json["image_std"]?.doubles : [1, 1, 1]
    guard let mean, let shape = Shape(json, kind) else { return nil }
    if kind.hasPrefix("EfficientNet") {
      guard json["rescale_offset"] != .boolean(true) else {
        throw PipelineError.data(
          "\(path): its preprocessor_config.json shifts photos (rescale_offset), which Thaw does not"
            + " read. Name a card with --card.")
      }
      // With its top the processor divides by the deviation twice.
      if json["include_top"] != .boolean(false) { std = std?.map { $0 * $0 } }
    }
    guard let std else { return nil }
    // Versions of transformers differ in which pixel is the nearest.
    guard json["resample"] != .integer(0) else {
      throw PipelineError.data(
        "\(path): its preprocessor_config.json resizes by the nearest pixel (resample 0), which Thaw"
          + " does not do as transformers does. Name a card whose preprocessing is near enough with"
          + " --card.")
    }
    let scale =
      json["do_rescale"] == .boolean(false) ? 1 : json["rescale_factor"]?.double ?? 1 / 255
    return try contract(
      size: shape.side, scale: scale, mean: mean, std: std,
      kernel: interpolation(json["resample"] ?? .integer(2), path),
      fraction: fraction(shape.side, of: shape.resized), shape.rule, path)
  }

  /// What a transformers processor does to the sides of a photo.
  private struct Shape {
    let side: Int
    let resized: Int
    let rule: ResizeRule

    init?(_ json: JSONValue, _ kind: String) {
      let size = json["size"]
      let shortest = size?["shortest_edge"]?.integer ?? size?.integer
      let square = size?["height"]?.integer
      let crop = json["crop_size"]?["height"]?.integer ?? json["crop_size"]?.integer
      let cuts = json["do_center_crop"] == .boolean(true)
      if kind.hasPrefix("ConvNext"), let side = shortest {
        // Below 384 the shorter side is scaled beyond and the rest cut off, from there on squashed.
        let part = json["crop_pct"]?.double ?? 224.0 / 256
        guard side > 0, part > 0.01, part <= 1 else { return nil }
        self.side = side
        resized = side < 384 ? Int(Double(side) / part) : side
        rule = side < 384 ? .shorterSide : .squash
      } else if let square {
        side = cuts ? crop ?? square : square
        resized = square
        rule = .squash
      } else if let shortest {
        side = cuts ? crop ?? shortest : shortest
        resized = shortest
        rule = .shorterSide
      } else {
        return nil
      }
      guard side > 0, resized >= side, resized < 65_500 else { return nil }
    }
  }

  /// The part of the resized side that gives exactly `target` when it is divided by; see
  /// `Preprocessing.resizeTarget`.
  private static func fraction(_ side: Int, of target: Int) -> Double {
    var part = Double(side) / Double(target)
    while part > 0.01, Int(Double(side) / part) < target { part = part.nextDown }
    return part
  }

  private static func contract(
    size: Int, scale: Double, mean: [Double], std: [Double], kernel: Interpolation,
    fraction: Double, _ rule: ResizeRule, _ path: String
  ) throws -> Preprocessing {
    let isSound =
      (16...4096).contains(size) && mean.count == 3 && std.count == 3
      && std.allSatisfy { $0 > 0 && $0.isFinite } && mean.allSatisfy(\.isFinite) && scale > 0
      && scale.isFinite && fraction > 0.01 && fraction <= 1
    guard isSound else {
      throw PipelineError.data(
        "\(path): the preprocessing in the file beside it is impossible: size \(size), mean \(mean),"
          + " std \(std), crop \(fraction). Name a card with --card.")
    }
    return Preprocessing(
      inputSize: size, scale: scale, mean: mean, std: std, interpolation: kernel,
      cropFraction: fraction, resizeRule: rule)
  }

  /// By timm's name or Pillow's number.
  private static func interpolation(_ json: JSONValue, _ path: String) throws -> Interpolation {
    switch json {
    case .string("bilinear"), .integer(2): return .bilinear
    case .string("bicubic"), .integer(3): return .bicubic
    case .string("nearest"), .integer(0): return .nearest
    default:
      let name = json.text ?? json.integer.map { "number \($0)" } ?? "?"
      throw PipelineError.data(
        "\(path): the file beside it resizes photos by '\(name)'; Thaw knows bilinear, bicubic and"
          + " nearest. Name a card whose preprocessing is near enough with --card.")
    }
  }
}
