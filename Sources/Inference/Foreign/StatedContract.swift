// SPDX-License-Identifier: Apache-2.0

package import ThawBackbones
package import ThawCheckpoints
import ThawConsole
package import ThawImages
import ThawTensors

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
    if let name = file.unreadable.first {
      throw PipelineError.data(
        "\(file.checkpoint.path.displayed): \(name) beside it cannot be read, so how photos are prepared"
          + " is not known. Mend it, or name a card with the same preprocessing with --card.")
    }
    try self.init(
      processor: file.processor, configuration: file.configuration,
      path: file.checkpoint.path.displayed)
  }

  /// The same from what the two files hold.
  package init?(processor: JSONValue?, configuration: JSONValue?, path: String) throws {
    if let processor, processor["pretrained_cfg"] == nil {
      preprocessing = try StatedContract.transformers(processor, path)
      reason = "as preprocessor_config.json says"
    } else if let configuration = processor ?? configuration,
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

  /// What buffers called `mean` and `std` beside the network say: a wrapper that normalises its input. Nil
  /// without three numbers each.
  package init?(buffersOf checkpoint: Checkpoint, _ fit: WeightFit, usual: Preprocessing?) {
    func values(_ names: Set<String>) -> [Double]? {
      let found = fit.ignored.filter { name in
        name.split(separator: ".").last.map { names.contains($0.lowercased()) } == true
      }
      guard let name = found.first, found.count == 1,
        let tensor = checkpoint.tensors.first(where: { $0.name == name }),
        tensor.shape.count == 3, let floats = try? tensor.floats().elements
      else { return nil }
      return floats.map { Double($0) }
    }
    guard let usual, let mean = values(["mean", "pixel_mean", "image_mean", "_mean"]),
      let std = values(["std", "pixel_std", "image_std", "_std"]),
      std.allSatisfy({ $0 > 0 && $0.isFinite }), mean.allSatisfy(\.isFinite)
    else { return nil }
    // Deviations of samples of 0 to 255 are dozens.
    let scale = std.contains { $0 > 2 } ? 1 : 1.0 / 255
    preprocessing = usual.withValues(
      of: Preprocessing(
        inputSize: usual.inputSize, scale: scale, mean: mean, std: std,
        interpolation: usual.interpolation, cropFraction: usual.cropFraction))
    reason =
      "normalised by 'mean' and 'std' beside the network in the file; the size and how photos are cut"
      + " are usual for these weights"
  }

  private static func timm(_ json: JSONValue, _ path: String) throws -> Preprocessing? {
    let values = json["pretrained_cfg"] ?? json
    // A configuration of another library, which says nothing of photos.
    guard json["pretrained_cfg"] != nil || values["mean"] != nil && values["input_size"] != nil
    else { return nil }
    guard let mean = numbers(values["mean"]), let std = numbers(values["std"]),
      let extents = values["input_size"]?.integers, let size = extents.last
    else {
      throw unclear(path, "config.json", "mean, std and input_size are not there, or no numbers")
    }
    guard extents.count == 3, extents[1] == size, extents[0] == 3 else {
      throw unclear(
        path, "config.json",
        "input_size is \(extents); Thaw's networks read three channels of a square")
    }
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

  /// Three numbers, or one that stands for all channels.
  private static func numbers(_ json: JSONValue?) -> [Double]? {
    if let one = json?.double { return [one, one, one] }
    return json?.doubles
  }

  private static func unclear(_ path: String, _ file: String, _ what: String) -> PipelineError {
    .data(
      "\(path): how photos are prepared cannot be taken from \(file) beside it: \(what). Name a card"
        + " whose preprocessing is near enough with --card.")
  }

  /// Refuses what a processor does with photos and Thaw does not.
  private static func checkSteps(_ json: JSONValue, _ path: String) throws {
    let known: Set = [
      "do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb",
      "do_reduce_labels",
    ]
    guard case .object(let members) = json else {
      throw unclear(path, "preprocessor_config.json", "it is no mapping")
    }
    for member in members where member.name.hasPrefix("do_") {
      let (name, value) = (member.name, member.value)
      if name == "do_resize", value == .boolean(false) {
        throw unclear(
          path, "preprocessor_config.json",
          "do_resize is false, so photos keep their size, and Thaw's networks read squares of one size"
        )
      }
      if !known.contains(name), value != .boolean(false), value != .null {
        throw unclear(
          path, "preprocessor_config.json", "\(name) is \(value.serialized), which Thaw does not do"
        )
      }
    }
    for key in ["size", "crop_size"] {
      if let height = json[key]?["height"]?.integer, let width = json[key]?["width"]?.integer,
        height != width
      {
        throw unclear(
          path, "preprocessor_config.json",
          "\(key) is \(height) x \(width), and Thaw's networks read squares")
      }
    }
  }

  private static func transformers(_ json: JSONValue, _ path: String) throws -> Preprocessing {
    try checkSteps(json, path)
    let kind = json["image_processor_type"]?.text ?? json["feature_extractor_type"]?.text ?? ""
    guard json["antialias"] != .boolean(false) else {
      throw PipelineError.data(
        "\(path): its preprocessor_config.json resizes without antialiasing, which Thaw does not."
          + " Name a card whose preprocessing is near enough with --card.")
    }
    let normalizes = json["do_normalize"] != .boolean(false)
    let mean = normalizes ? numbers(json["image_mean"]) : [0, 0, 0]
    var std = normalizes ? numbers(json["image_std"]) : [1, 1, 1]
    guard let mean, std != nil else {
      throw unclear(
        path, "preprocessor_config.json", "image_mean or image_std is not there, or no numbers")
    }
    guard let shape = Shape(json, kind) else {
      throw unclear(
        path, "preprocessor_config.json",
        "size is \(json["size"]?.serialized ?? "not there"), from which the side of a photo does not"
          + " follow")
    }
    if kind.hasPrefix("EfficientNet") {
      guard json["rescale_offset"] != .boolean(true) else {
        throw PipelineError.data(
          "\(path): its preprocessor_config.json shifts photos (rescale_offset), which Thaw does not"
            + " read. Name a card with --card.")
      }
      // With its top the processor divides by the deviation twice.
      if json["include_top"] != .boolean(false) { std = std?.map { $0 * $0 } }
    }
    guard let std else { throw unclear(path, "preprocessor_config.json", "image_std is missing") }
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
