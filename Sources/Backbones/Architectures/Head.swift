// SPDX-License-Identifier: Apache-2.0

import ThawNetwork

/// The layers between a backbone's pooled features and the logits.
///
/// Without a hidden layer: dropout, dense. With one: dense, ReLU, dropout, dense.
package struct Head: Hashable, Sendable, Codable {
  /// Number of classes: outputs of the last layer.
  package var classes: Int
  /// Width of the hidden layer; nil for none.
  package var hidden: Int?
  /// Probability of dropping a feature in training, in 0..<1.
  package var dropout: Double

  /// Describes a head.
  package init(classes: Int, hidden: Int? = nil, dropout: Double = 0) {
    self.classes = classes
    self.hidden = hidden
    self.dropout = dropout
  }
}

extension GraphBuilder {
  /// Adds the group `head` behind `features` flattened features.
  ///
  /// - Parameter path: `classifier` or `fc`, as the architecture's published weights call it. With a
  ///   hidden layer the dense layers are `path.0` and `path.3`, as in a PyTorch `Sequential`.
  mutating func addHead(_ head: Head, features: Int, path: ParameterPath) {
    beginGroup("head")
    guard let hidden = head.hidden else {
      if head.dropout > 0 { add("\(path).drop", .dropout(probability: head.dropout)) }
      add(path, .dense(Dense(inputs: features, outputs: head.classes)))
      return
    }
    add("\(path).0", .dense(Dense(inputs: features, outputs: hidden)))
    add("\(path).1", .activation(.relu))
    if head.dropout > 0 { add("\(path).2", .dropout(probability: head.dropout)) }
    add("\(path).3", .dense(Dense(inputs: hidden, outputs: head.classes)))
  }
}
