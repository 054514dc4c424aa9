// SPDX-License-Identifier: Apache-2.0

/// A module of a pickled PyTorch network, as far as it is plain data: its class is never imported, and
/// what it computes is not in the file.
package struct PickledModule: Sendable, Equatable {
  /// Its path in the network, `layer1.0.bn1`; empty for the network itself.
  package var path: String
  /// Name of its class with that of the file it is in: `torch.nn.modules.conv.Conv2d`.
  package let className: String
  /// Settings of layers by attribute.
  package let settings: [String: JSONValue]

  package init(path: String, className: String, settings: [String: JSONValue]) {
    self.path = path
    self.className = className
    self.settings = settings
  }

  /// `Conv2d`.
  package var shortName: String {
    className.split(separator: ".").last.map(String.init) ?? className
  }

  /// Attributes that say what a layer of PyTorch's computes.
  static let keys = [
    "eps", "stride", "padding", "dilation", "groups", "kernel_size", "ceil_mode",
    "count_include_pad", "approximate", "padding_mode", "dim",
  ]
}
