// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawConfiguration
import ThawFiles
package import ThawImages
package import ThawNetwork

/// One pretrained checkpoint: what it is, where it comes from, how photos must be prepared for it.
///
/// The preprocessing belongs to the weights, so it is written here once, beside their hash, and
/// travels from here into every model trained on them.
package struct BackboneCard: Sendable, Hashable {
  /// Name on the command line, equal to the card's file name without `.yml`.
  package let name: String
  /// What the weights are, one sentence.
  package let summary: String
  /// Name for ``Architecture/init(named:)``, or `onnx`: the file itself says how it is built.
  package let architecture: String
  /// How the checkpoint names its tensors.
  package let naming: Architecture.Naming
  /// File name of the weights beside the card.
  package let file: String
  /// Hash of that file.
  package let checksum: WeightsChecksum
  /// SPDX identifier of the weights' licence.
  package let license: String
  /// Top-1 accuracy on ImageNet's validation photos in per cent, as the publisher states it; nil where
  /// nobody does.
  package let accuracy: Double?
  /// How many photos become features in the time that `efficientnet_lite0` takes for one, each network
  /// at its card's size, measured in one run (`make speeds`); nil where nobody has measured.
  package let speed: Double?
  /// Where the file comes from.
  package let source: WeightsSource
  /// Whether it is of weights that somebody has imported, and not of published ones.
  package var isOwn: Bool {
    if case .address(let text) = source { text.hasPrefix("file:") } else { false }
  }
  /// File beside the card with the names of the classifier's outputs, one a line; nil for weights
  /// that end with the features.
  package let classesFile: String?
  /// What makes probabilities of the classifier's outputs; of an ONNX file its graph says it.
  package let outputActivation: OutputActivation
  /// How photos become tensors.
  package let preprocessing: Preprocessing

  /// Reads a card.
  ///
  /// ```yaml
  /// name: resnet50                     # the card's file is resnet50.yml
  /// summary: one sentence
  /// architecture: resnet50             # see Architecture.names
  /// naming: native                     # how the file names its tensors
  /// file: resnet50-0676ba61.pth        # beside the card
  /// sha256_prefix: 0676ba61            # or sha256: 64 digits, md5: 32 digits, hash: unpublished
  /// accuracy: 76.13                    # of ImageNet's validation photos, if its publisher says it
  /// speed: 0.15                        # photos a second against efficientnet_lite0's (make speeds)
  /// license: BSD-3-Clause
  /// classes: imagenet-1k.txt           # or none: weights without a classifier
  /// output_activation: softmax         # or independent_sigmoids, single_sigmoid
  /// source:                            # or package, version, member
  ///   address: https://download.pytorch.org/models/resnet50-0676ba61.pth
  /// batch_norm:                        # left out for networks without
  ///   epsilon: 0.00001
  ///   momentum: 0.1                    # PyTorch's convention
  /// groups: [early, layer3, layer4, head]
  /// preprocessing:                     # own numbers, or a family: torch, caffe, tf
  ///   family: torch
  ///   size: 224
  ///   interpolation: bilinear
  ///   crop: 0.875
  ///   resize: shorterSide              # or squash
  /// ```
  ///
  /// `batch_norm` and `groups` state what the architecture does with the weights. They are compared
  /// with it, so that a card for another definition of the network is an error, not a bad accuracy.
  ///
  /// - Throws: `ConfigurationError` with the line, ``BackboneError/badCard(file:reason:)``.
  package init(file path: FilePath) throws {
    let text = String(decoding: try FileSystem.read(path, limit: 1 << 20), as: UTF8.self)
    var fields = try YAMLFields(file: path.displayed, text: text)
    var card = Fields()
    try fields.read("name", into: &card.name)
    try fields.read("summary", into: &card.summary)
    try fields.read("architecture", into: &card.architecture)
    try fields.read("naming", into: &card.naming)
    try fields.read("file", into: &card.file)
    try card.checksum.read(&fields)
    try fields.read("accuracy", into: &card.accuracy, in: 0...100)
    try fields.read("speed", into: &card.speed, in: 1e-6...1e6)
    try fields.read("license", into: &card.license)
    try fields.read("classes", into: &card.classes)
    try fields.read("output_activation", into: &card.outputActivation)
    try card.structure.read(&fields)
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
    checksum = try card.checksum.made(fields)
    accuracy = card.accuracy
    speed = card.speed
    license = try need("license", card.license)
    let classes = try need("classes", card.classes)
    classesFile = classes == "none" ? nil : classes
    outputActivation = card.outputActivation
    source = try card.source.made(fields)
    preprocessing = try card.preprocessing.made(fields)
    if architecture != Architecture.onnxName {
      try card.structure.check(Architecture(named: architecture), fields)
    }
  }

  private struct Fields {
    var name = "", summary = "", architecture = "", file = "", license = "", classes = ""
    var accuracy: Double?
    var speed: Double?
    var checksum = ChecksumFields()
    var structure = StructureFields()
    var naming = Architecture.Naming.native
    var outputActivation = OutputActivation.softmax
    var source = SourceFields()
    var preprocessing = PreprocessingFields()
  }
}

extension BackboneCard {
  /// Photos a second that `efficientnet_lite0` makes features of on two cores of an AMD EPYC processor
  /// with AVX-512 (`make bench`): what ``speed`` is a multiple of.
  package static let referencePhotosPerSecond = 476.0

  /// Photos a second on that machine; nil where nobody has measured.
  package var photosPerSecond: Double? { speed.map { $0 * Self.referencePhotosPerSecond } }

  /// What there is to know of it in a few words: `224 pixels, 71 photos/s, 76.1 % of ImageNet`.
  package var facts: String {
    let speed = photosPerSecond.map { "\(Int($0.rounded())) photos/s" }
    let accuracy = accuracy.map { "\(($0 * 10).rounded() / 10) % of ImageNet" }
    return ["\(preprocessing.inputSize) pixels", speed, accuracy].compactMap { $0 }
      .joined(separator: ", ")
  }
}
