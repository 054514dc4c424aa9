// SPDX-License-Identifier: Apache-2.0

import Configuration
import Files
public import Images
import Network
public import SystemPackage

/// One pretrained checkpoint: what it is, where it comes from, how photos must be prepared for it.
///
/// The preprocessing belongs to the weights, so it is written here once, beside their hash, and
/// travels from here into every model trained on them.
public struct BackboneCard: Sendable, Hashable {
  /// Name on the command line, equal to the card's file name without `.yml`.
  public let name: String
  /// What the weights are, one sentence.
  public let summary: String
  /// Name for ``Architecture/init(named:)``.
  public let architecture: String
  /// How the checkpoint names its tensors.
  public let naming: Architecture.Naming
  /// File name of the weights beside the card.
  public let file: String
  /// Hash of that file, 64 hexadecimal digits.
  public let sha256: String
  /// SPDX identifier of the weights' licence.
  public let license: String
  /// Where the file comes from.
  public let source: WeightsSource
  /// File beside the card with the names of the classifier's outputs, one a line.
  public let classesFile: String
  /// How photos become tensors.
  public let preprocessing: Preprocessing

  /// Reads a card.
  ///
  /// - Throws: `ConfigurationError` with the line, ``BackboneError/badCard(file:reason:)``.
  public init(file path: FilePath) throws {
    let text = String(decoding: try FileSystem.read(path, limit: 1 << 20), as: UTF8.self)
    var fields = try YAMLFields(file: path.displayed, text: text)
    var card = Fields()
    try fields.read("name", into: &card.name)
    try fields.read("summary", into: &card.summary)
    try fields.read("architecture", into: &card.architecture)
    try fields.read("naming", into: &card.naming)
    try fields.read("file", into: &card.file)
    try fields.read("sha256", into: &card.sha256)
    try fields.read("license", into: &card.license)
    try fields.read("classes", into: &card.classes)
    try fields.section("source") { try card.source.read(&$0) }
    try fields.section("preprocessing") { try card.preprocessing.read(&$0) }
    try fields.finish()

    func need(_ key: String, _ value: String) throws -> String {
      guard !value.isEmpty else { throw fields.error(at: key, "'\(key)' is missing.") }
      return value
    }
    name = try need("name", card.name)
    guard path.stem == name else {
      throw fields.error(at: "name", "the name differs from the file's.")
    }
    summary = card.summary
    architecture = try need("architecture", card.architecture)
    naming = card.naming
    file = try need("file", card.file)
    guard card.sha256.count == 64, card.sha256.allSatisfy(\.isHexDigit) else {
      throw fields.error(at: "sha256", "'sha256' must be 64 hexadecimal digits.")
    }
    sha256 = card.sha256.lowercased()
    license = try need("license", card.license)
    classesFile = try need("classes", card.classes)
    source = try card.source.made(fields)
    preprocessing = try card.preprocessing.made(fields)
    _ = try Architecture(named: architecture)
  }

  private struct Fields {
    var name = "", summary = "", architecture = "", file = "", sha256 = "", license = "",
      classes = ""
    var naming = Architecture.Naming.native
    var source = SourceFields()
    var preprocessing = PreprocessingFields()
  }
}

/// The keys of a card's `source` section.
private struct SourceFields {
  var package = "", version = "", member = "", address = ""

  mutating func read(_ fields: inout YAMLFields) throws {
    try fields.read("package", into: &package)
    try fields.read("version", into: &version)
    try fields.read("member", into: &member)
    try fields.read("address", into: &address)
  }

  func made(_ fields: YAMLFields) throws -> WeightsSource {
    if !address.isEmpty { return .address(address) }
    guard !package.isEmpty, !version.isEmpty, !member.isEmpty else {
      throw fields.error(
        at: "source", "'source' needs package, version and member, or an address.")
    }
    return .package(name: package, version: version, member: member)
  }
}

/// The keys of a card's `preprocessing` section: a family, and what differs from it.
private struct PreprocessingFields {
  enum Family: String, CaseIterable { case own, caffe, torch, tf }
  var family = Family.own
  var size = 224
  var order = Order.rgb
  var scale = 1.0
  var mean: [Double] = []
  var std: [Double] = []
  var interpolation = Interpolation.bilinear
  var crop = 0.875
  var resize = ResizeRule.shorterSide

  enum Order: String, CaseIterable { case rgb, bgr }

  mutating func read(_ fields: inout YAMLFields) throws {
    try fields.read("family", into: &family)
    try fields.read("size", into: &size, in: 16...4096)
    try fields.read("order", into: &order)
    try fields.read("scale", into: &scale, in: 1e-9...1e9)
    try fields.read("mean", into: &mean, count: 3)
    try fields.read("std", into: &std, count: 3)
    try fields.read("interpolation", into: &interpolation)
    try fields.read("crop", into: &crop, in: 0.02...1)
    try fields.read("resize", into: &resize)
  }

  func made(_ fields: YAMLFields) throws -> Preprocessing {
    let values: Preprocessing
    switch family {
    case .caffe: values = .caffe()
    case .torch: values = .torch()
    case .tf: values = .tf()
    case .own:
      guard mean.count == 3, std.count == 3, std.allSatisfy({ $0 > 0 }) else {
        throw fields.error(
          at: "preprocessing", "'preprocessing' needs a family, or mean and a positive std.")
      }
      values = Preprocessing(
        inputSize: size, scale: scale, channelOrder: order == .rgb ? .rgb : .bgr, mean: mean,
        std: std)
    }
    return Preprocessing(
      inputSize: size, scale: values.scale, channelOrder: values.channelOrder, mean: values.mean,
      std: values.std, interpolation: interpolation, cropFraction: crop, resizeRule: resize)
  }
}
