// SPDX-License-Identifier: Apache-2.0

import Tensors
import Training

extension Evaluation {
  /// Judges what several views of each photo say together: the mean of their probabilities.
  ///
  /// The one place that does so: a run's own split and a folder of photos are judged alike, to the
  /// last bit. With one view the loss is computed from the logits themselves.
  ///
  /// - Parameter views: the logits of all photos for each view, [photos, classes].
  init(split: String, classNames: [String], views: [Tensor<Float>], labels: [Int]) throws {
    if views.count == 1 {
      try self.init(split: split, classNames: classNames, logits: views[0], labels: labels)
    } else {
      let probabilities = Probabilities.mean(of: views.map(Probabilities.softmax))
      try self.init(
        split: split, classNames: classNames, probabilities: probabilities, labels: labels)
    }
  }
}

extension Tensor<Float> {
  /// From [views, classes] for each photo to [photos, classes] for each view.
  static func transposed(_ photos: [Tensor<Float>], views: Int) -> [Tensor<Float>] {
    let classes = photos.first?.shape[1] ?? 0
    return (0..<views).map { view in
      let rows = photos.flatMap { photo in
        photo.withUnsafeElements { Array($0[(view * classes)..<((view + 1) * classes)]) }
      }
      return Tensor(rows, shape: [photos.count, classes])
    }
  }
}
