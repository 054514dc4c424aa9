// SPDX-License-Identifier: Apache-2.0

import ThawConfiguration
import ThawImages
import ThawNetwork

/// The keys of a card that give the hash of its file, of which exactly one must be there.
struct ChecksumFields {
  var sha256 = "", prefix = "", md5 = ""
  var published = Published.published

  enum Published: String, CaseIterable { case published, unpublished }

  mutating func read(_ fields: inout YAMLFields) throws {
    try fields.read("sha256", into: &sha256)
    try fields.read("sha256_prefix", into: &prefix)
    try fields.read("md5", into: &md5)
    try fields.read("hash", into: &published)
  }

  func made(_ fields: YAMLFields) throws -> WeightsChecksum {
    let keys = ["sha256", "sha256_prefix", "md5", "hash"].filter(fields.has)
    guard let key = keys.first, keys.count == 1 else {
      throw fields.error(
        at: keys.last ?? "file",
        "a card needs exactly one of sha256, sha256_prefix, md5 and hash: unpublished.")
    }
    switch key {
    case "sha256": return .sha256(try digits(key, sha256, 64...64, fields))
    case "sha256_prefix": return .sha256Prefix(try digits(key, prefix, 8...63, fields))
    case "md5": return .md5(try digits(key, md5, 32...32, fields))
    default:
      guard published == .unpublished else {
        throw fields.error(at: key, "'hash' can only be 'unpublished'; give the hash itself.")
      }
      return .unpublished
    }
  }

  private func digits(
    _ key: String, _ text: String, _ count: ClosedRange<Int>, _ fields: YAMLFields
  ) throws -> String {
    guard count.contains(text.count), text.allSatisfy({ $0.isASCII && $0.isHexDigit }) else {
      let length =
        count.lowerBound == count.upperBound
        ? "\(count.lowerBound)" : "\(count.lowerBound) to \(count.upperBound)"
      throw fields.error(at: key, "'\(key)' must be \(length) hexadecimal digits.")
    }
    return text.lowercased()
  }
}

/// What a card states of the network itself, compared with the architecture.
struct StructureFields {
  var epsilon = 0.0
  var momentum = 0.0
  var groups: [String] = []

  mutating func read(_ fields: inout YAMLFields) throws {
    var (epsilon, momentum) = (epsilon, momentum)
    try fields.section("batch_norm") {
      try $0.read("epsilon", into: &epsilon, in: 1e-12...1)
      try $0.read("momentum", into: &momentum, in: 1e-6...1)
    }
    (self.epsilon, self.momentum) = (epsilon, momentum)
    try fields.read("groups", words: &groups)
  }

  /// - Throws: `ConfigurationError` at the line that differs from `architecture`.
  func check(_ architecture: Architecture, _ fields: YAMLFields) throws {
    let graph = architecture.graph(Head(classes: 2))
    if fields.has("groups"), groups != graph.groups.map(\.name) {
      throw fields.error(
        at: "groups",
        "the groups of \(architecture.name) are \(graph.groups.map(\.name).joined(separator: ", "))."
      )
    }
    guard fields.has("batch_norm") else { return }
    let norms = graph.nodes.compactMap { node in
      if case .batchNormalization(let norm) = node.operation { norm } else { nil }
    }
    guard let norm = norms.first(where: { $0.epsilon != epsilon || $0.momentum != momentum })
    else {
      if !norms.isEmpty { return }
      throw fields.error(at: "batch_norm", "\(architecture.name) has no batch normalisation.")
    }
    throw fields.error(
      at: "batch_norm",
      "\(architecture.name) computes with epsilon \(norm.epsilon) and momentum \(norm.momentum),"
        + " the card says \(epsilon) and \(momentum). Name the architecture the weights are for.")
  }
}

/// The keys of a card's `source` section.
struct SourceFields {
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
struct PreprocessingFields {
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
