// SPDX-License-Identifier: Apache-2.0

package import ThawImages
package import ThawNetwork
package import ThawTensors
import ThawTraining

extension Recipe {
  /// Test-time augmentation: several looks at each photo, whose probabilities become one answer.
  package struct TestTime: Hashable, Sendable, Codable {
    /// Which looks, and how they become one.
    package enum Mode: String, Hashable, Sendable, CaseIterable, Codable {
      /// The mean over deterministic crops and their mirror images.
      case crops
      /// The mean of the centre and of draws of the training augmentation (fastai 0.7).
      case mean
      /// A part of the centre, the rest from eight magnified corners (fastai 1).
      case corners
      /// A part of the centre, the rest from draws of the training augmentation (fastai 2).
      case blend
      /// For each class the largest probability among the centre and the draws (fastai 2).
      case maximum
    }
    /// Crops of `crops`, draws of `mean`, `blend` and `maximum`; `corners` always has eight. 1 is
    /// the centre alone, whatever the mode.
    package var count = 1
    /// See ``Mode``.
    package var mode = Mode.crops
    /// Share of the centre in `corners` (nil: 0.4) and `blend` (nil: 0.25).
    package var cleanShare: Double?

    /// The centre alone, or `count` looks.
    package init(count: Int = 1, mode: Mode = .crops, cleanShare: Double? = nil) {
      self.count = count
      self.mode = mode
      self.cleanShare = cleanShare
    }

    /// Whether the looks depend on what training photos were varied by.
    package var drawsAsInTraining: Bool { count > 1 && mode != .crops }

    /// The views and their weights.
    ///
    /// - Parameter augmentation: what training photos were varied by; `photo` stands in for none.
    package func views(of augmentation: Augmentation, seed: UInt64) -> TestTimeAugmentation {
      guard count > 1 else { return .crops(count: 1) }
      let drawn = augmentation.isActive ? augmentation : .photo
      return switch mode {
      case .crops: .crops(count: count)
      case .mean: .mean(of: drawn, seed: seed, count: count)
      case .corners: .corners(colors: drawn, seed: seed, beta: cleanShare ?? 0.4)
      case .blend: .blend(of: drawn, seed: seed, count: count, beta: cleanShare ?? 0.25)
      case .maximum: .maximum(of: drawn, seed: seed, count: count)
      }
    }

    /// For tables: `one view`, `10 crops averaged`.
    package var name: String {
      if count == 1 { return "one view" }
      return switch mode {
      case .crops: "\(count) views averaged (TTA)"
      case .mean: "centre and \(count) augmented views averaged (TTA)"
      case .corners: "centre and 8 corners (TTA)"
      case .blend: "centre and \(count) augmented views blended (TTA)"
      case .maximum: "largest of the centre and \(count) augmented views (TTA)"
      }
    }
  }
}

extension TestTimeAugmentation {
  /// One answer from the logits of all views.
  ///
  /// The one place that does so: a run's own split and a folder of photos are judged alike, to the
  /// last bit. The rows of a maximum are divided by their sum, which changes no ranking within a
  /// photo and makes them probabilities; independent sigmoids are probabilities as they are.
  ///
  /// - Parameter logits: one a class, [photos, classes] for each view, in the order of ``views``.
  package func probabilities(
    ofLogits logits: [Tensor<Float>], by activation: OutputActivation = .softmax
  ) -> Tensor<Float> {
    let isExclusive = !activation.allowsSeveralLabels
    let views = logits.map(isExclusive ? Probabilities.softmax : Probabilities.sigmoid)
    if views.count == 1 { return views[0] }
    let combined = Tensor(combine(views.map(\.elements).map(Array.init)), shape: views[0].shape)
    guard case .maximum = combination, isExclusive else { return combined }
    let classes = combined.shape[1]
    return Tensor(shape: combined.shape) { result in
      for start in stride(from: 0, to: combined.count, by: max(classes, 1)) {
        let sum = (start..<start + classes).reduce(0.0) { $0 + Double(combined[$1]) }
        for index in start..<start + classes {
          result[index] = Float(Double(combined[index]) / sum)
        }
      }
    }
  }
}
