// SPDX-License-Identifier: Apache-2.0

public import Network

/// A family of networks that can be built by name: the graph, and how published weights name it.
public struct Architecture: Sendable {
  /// For example `efficientnet_lite0`.
  public let name: String
  /// Builds the network.
  public let graph: @Sendable (Head) -> Graph
  /// Paths by the weights' naming scheme; see ``path(of:naming:)``.
  private let published: @Sendable (String) -> ParameterPath?

  /// The architecture called `name`.
  ///
  /// - Throws: ``BackboneError/unknownArchitecture(_:known:)``.
  public init(named name: String) throws(BackboneError) {
    self.name = name
    for variant in 0...4 where name == "efficientnet_lite\(variant)" {
      guard let network = EfficientNetLite(variant: variant) else { continue }
      graph = { network.graph(head: $0) }
      published = { network.path(ofPublished: $0) }
      return
    }
    for depth in [18, 34, 50, 101, 152] where name == "resnet\(depth)" {
      guard let network = ResNet(depth: depth) else { continue }
      graph = { network.graph(head: $0) }
      published = Architecture.unchanged
      return
    }
    throw .unknownArchitecture(name, known: Architecture.names)
  }

  /// All known names.
  public static let names =
    (0...4).map { "efficientnet_lite\($0)" } + [18, 34, 50, 101, 152].map { "resnet\($0)" }

  /// How the tensors of a checkpoint are named.
  public enum Naming: String, Sendable, Codable, CaseIterable {
    /// As in this project's graphs, which follow torchvision and timm.
    case native
    /// As the authors of the PyTorch port published them.
    case published
  }

  /// The path of the tensor called `name`; nil when the network does not keep it.
  public func path(of name: String, naming: Naming) -> ParameterPath? {
    switch naming {
    case .native: Architecture.unchanged(name)
    case .published: published(name)
    }
  }

  @Sendable private static func unchanged(_ name: String) -> ParameterPath? {
    name.hasSuffix(".num_batches_tracked") ? nil : ParameterPath(name)
  }
}
