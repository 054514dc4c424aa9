// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// A network that can be built by name: the graph, and how published weights name it.
package struct Architecture: Sendable {
  /// For example `efficientnet_lite0`. A suffix says whose definition it is when it is not
  /// torchvision's or timm's: `resnet50_keras`.
  package let name: String
  /// What was taken for granted of it when it was recognised, as a sentence; nil for nothing.
  var remark: String?
  private let network: any NetworkFamily

  /// The architecture called `name`.
  ///
  /// - Throws: ``BackboneError/unknownArchitecture(_:known:)``.
  package init(named name: String) throws(BackboneError) {
    for family in Architecture.families {
      guard let network = family.init(name: name) else { continue }
      self.name = name
      self.network = network
      return
    }
    throw .unknownArchitecture(name, known: Architecture.names)
  }

  /// A network that is not built by name.
  init(name: String, _ network: any NetworkFamily) {
    self.name = name
    self.network = network
  }

  /// Every family of networks, one file each.
  static let families: [any NetworkFamily.Type] = [
    CIFARResNet.self, ConvNeXt.self, ConvNeXtV2.self, DenseNet.self, EfficientNet.self,
    EfficientNetLite.self,
    EfficientNetV2.self, InceptionResNetV2.self, InceptionV3.self, MobileNetV1.self,
    MobileNetV2.self, MobileNetV3.self,
    RegNet.self, ResNet.self, SqueezeNet.self, VGG.self, VisionTransformer.self, Xception.self,
  ]

  /// All known names.
  package static let names = families.flatMap { $0.names }

  /// Those that a file's tensors are set against one by one. Vision transformers are not: their shape is
  /// read from the tensors.
  static let listed = families.filter { $0 != VisionTransformer.self }.flatMap { $0.names }

  /// Builds the network.
  package func graph(_ head: Head) -> Graph { network.graph(head: head) }

  /// How the tensors of a checkpoint are named.
  package enum Naming: String, Sendable, Codable, CaseIterable {
    /// As in this project's graphs, which follow torchvision and timm.
    case native
    /// As the file that everybody downloads names them, where that differs.
    case published
    /// As `keras.applications` does: layer, slash, weight (`conv1_conv/kernel`).
    case keras
  }

  /// The path of the tensor called `name`; nil when the network does not keep it.
  package func path(of name: String, naming: Naming) -> ParameterPath? {
    guard !name.hasSuffix(".num_batches_tracked") else { return nil }
    return switch naming {
    case .native: network.keeps(name) ? ParameterPath(name) : nil
    case .published: network.path(ofPublished: name)
    case .keras: network.path(ofKeras: name)
    }
  }
}

/// A family of networks that differ in depth, width or in whose definition they follow.
///
/// To add one: write the type, list it in ``Architecture/families``, add its cards.
protocol NetworkFamily: Sendable {
  /// The names ``init(name:)`` knows.
  static var names: [String] { get }
  /// The member called `name`; nil for a name of another family.
  init?(name: String)
  /// The network with `head` behind its features; node names are torchvision's or timm's.
  func graph(head: Head) -> Graph
  /// Translates a tensor's name in the published checkpoint; nil for what the network does not keep,
  /// an unknown name comes back as it is, and is then reported as unexpected.
  func path(ofPublished name: String) -> ParameterPath?
  /// The same for a layer of `keras.applications`.
  func path(ofKeras name: String) -> ParameterPath?
  /// False for tensors of a native checkpoint that are left out on purpose (an auxiliary classifier).
  func keeps(_ name: String) -> Bool
}

extension NetworkFamily {
  func path(ofPublished name: String) -> ParameterPath? { keeps(name) ? ParameterPath(name) : nil }
  func path(ofKeras name: String) -> ParameterPath? { ParameterPath(name) }
  func keeps(_ name: String) -> Bool { true }
}

/// Whose definition of a network is followed where several are in use: they differ in padding,
/// epsilon, biases and strides, and with the other's weights compute something else.
package enum Definition: String, Sendable, CaseIterable {
  /// torchvision's, and timm's where they agree.
  case torchvision
  /// `keras.applications`.
  case keras

  /// What follows the architecture's name: nothing, or `_keras`.
  var suffix: String { self == .torchvision ? "" : "_\(rawValue)" }

  /// `name` without the suffix, and the definition it stands for.
  static func split(_ name: String) -> (name: String, definition: Definition) {
    name.hasSuffix("_keras") ? (String(name.dropLast(6)), .keras) : (name, .torchvision)
  }
}
