// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawNetwork
package import ThawTensors

/// Making, averaging and reading class probabilities.
package enum Probabilities {
  /// Softmax of each row, [n, classes] to [n, classes]; safe for logits of any finite size.
  package static func softmax(_ logits: Tensor<Float>) -> Tensor<Float> {
    precondition(logits.shape.rank == 2, "Logits are [n, classes], got \(logits.shape).")
    let classes = logits.shape[1]
    return Tensor(shape: logits.shape) { result in
      logits.withUnsafeElements { elements in
        for start in stride(from: 0, to: elements.count, by: max(classes, 1)) {
          let row = UnsafeBufferPointer(rebasing: elements[start..<start + classes])
          let (maximum, sum) = row.softmaxDenominator
          for index in row.indices {
            result[start + index] = Float(exp(Double(row[index]) - maximum) / sum)
          }
        }
      }
    }
  }

  /// The sigmoid of each logit, safe for logits of any finite size.
  package static func sigmoid(_ logits: Tensor<Float>) -> Tensor<Float> {
    Tensor(shape: logits.shape) { result in
      logits.withUnsafeElements { elements in
        for (index, logit) in elements.enumerated() {
          // exp is only taken of numbers at most 0.
          let tail = exp(-abs(Double(logit)))
          result[index] = Float(logit >= 0 ? 1 / (1 + tail) : tail / (1 + tail))
        }
      }
    }
  }

  /// What the outputs of a network say of its classes, [n, outputs] to [n, classes].
  package static func of(
    _ logits: Tensor<Float>, by activation: OutputActivation
  ) -> Tensor<Float> {
    switch activation {
    case .softmax, .singleSigmoid: softmax(logitsOfClasses(logits, by: activation))
    case .independentSigmoids: sigmoid(logits)
    }
  }

  /// One logit a class, [n, outputs] to [n, classes].
  ///
  /// The one output x of a single sigmoid is the logits 0 and x of its two classes: their softmax is
  /// 1 - sigmoid(x) and sigmoid(x). So whatever works for one label of many works for it.
  package static func logitsOfClasses(
    _ logits: Tensor<Float>, by activation: OutputActivation
  ) -> Tensor<Float> {
    guard activation == .singleSigmoid else { return logits }
    precondition(
      logits.shape.rank == 2 && logits.shape[1] == 1,
      "A single sigmoid has logits [n, 1], got \(logits.shape).")
    return Tensor(logits.elements.flatMap { [0, $0] }, shape: [logits.shape[0], 2])
  }

  /// The position of the highest score in each row, the first of equals.
  package static func predictions(_ scores: Tensor<Float>) -> [Int] {
    precondition(
      scores.shape.rank == 2 && scores.shape[1] > 0, "Scores are [n, classes], got \(scores.shape)."
    )
    let classes = scores.shape[1]
    return scores.withUnsafeElements { elements in
      (0..<scores.shape[0]).map { sample in
        UnsafeBufferPointer(rebasing: elements[sample * classes..<(sample + 1) * classes])
          .indexOfMaximum
      }
    }
  }

  /// The mean over views of a photo, or over the members of an ensemble, element by element.
  ///
  /// Probabilities are averaged, not logits or their logarithms: one view that is sure and wrong
  /// then cannot outweigh all others. Sums are Double.
  ///
  /// - Parameter views: at least one, all of one shape.
  /// - Source: fastai 0.7 `TTA` since January 2018.
  package static func mean(of views: [Tensor<Float>]) -> Tensor<Float> {
    precondition(
      !views.isEmpty && views.allSatisfy { $0.shape == views[0].shape },
      "An average needs at least one view, and all of one shape.")
    var sums = [Double](repeating: 0, count: views[0].count)
    for view in views {
      view.withUnsafeElements { for index in sums.indices { sums[index] += Double($0[index]) } }
    }
    return Tensor(sums.map { Float($0 / Double(views.count)) }, shape: views[0].shape)
  }

  /// beta * clean + (1 - beta) * mean(augmented): by default a quarter clean, three quarters
  /// augmented. Without augmented views it is `clean`.
  ///
  /// - Source: fastai v2 `tta(n=4, beta=0.25)`, `lerp(augmented, clean, beta)`.
  package static func blend(
    clean: Tensor<Float>, augmented: [Tensor<Float>], beta: Double = 0.25
  ) -> Tensor<Float> {
    precondition(beta >= 0 && beta <= 1, "Beta must be in 0...1, got \(beta).")
    guard !augmented.isEmpty else { return clean }
    let mean = mean(of: augmented)
    precondition(mean.shape == clean.shape, "All views need one shape.")
    return Tensor(shape: clean.shape) { result in
      for index in result.indices {
        result[index] = Float(
          beta * Double(clean[index]) + (1 - beta) * Double(mean[index]))
      }
    }
  }
}
