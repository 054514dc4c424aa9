// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Softmax cross-entropy of single rows of logits.
enum CrossEntropy {
  /// -log of the softmax at `label`, in Double with the largest logit taken out.
  static func of(_ logits: UnsafeBufferPointer<Float>, label: Int) -> Double {
    guard var largest = logits.first else { return 0 }
    for value in logits where value > largest { largest = value }
    var sum = 0.0
    for value in logits { sum += exp(Double(value) - Double(largest)) }
    return log(sum) + Double(largest) - Double(logits[label])
  }
}
