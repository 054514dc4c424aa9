// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints

extension ONNXNode {
  /// An attribute that is a list of integers.
  func integers(_ name: String) -> [Int]? {
    if case .integers(let list)? = attributes[name] { list } else { nil }
  }
  /// An attribute that is an integer.
  func integer(_ name: String) -> Int? {
    if case .integer(let number)? = attributes[name] { number } else { nil }
  }
  /// An attribute that is a number.
  func float(_ name: String) -> Float? {
    if case .float(let number)? = attributes[name] { number } else { nil }
  }
  /// An attribute that is a text.
  func text(_ name: String) -> String? {
    if case .text(let text)? = attributes[name] { text } else { nil }
  }
}
