// SPDX-License-Identifier: Apache-2.0

/// One look at a photo for test-time augmentation.
package enum TestTimeView: Hashable, Sendable, CustomStringConvertible {
  /// A deterministic crop.
  case plain(View)
  /// A draw of the training augmentation.
  case augmented(AugmentedView)
  /// A corner of the contract's square, magnified, in the colours another view draws.
  case corner(View.Anchor, flipped: Bool, zoom: Double, colors: AugmentedView?)

  /// A stable name for cache keys.
  package var name: String {
    switch self {
    case .plain(let view): view.name
    case .augmented(let view): view.name
    case .corner(let anchor, let flipped, let zoom, let colors):
      "\(View(anchor: anchor, isFlipped: flipped).name)-magnified-\(zoom)"
        + (colors.map { "-\($0.name)" } ?? "")
    }
  }

  /// The name.
  package var description: String { name }

  /// What the photo draws; nil for a plain view, which has its own geometry.
  package func draw(sample: Int, size: PixelSize, side: Int) -> AugmentationDraw? {
    switch self {
    case .plain: return nil
    case .augmented(let view): return view.draw(sample: sample, size: size, side: side)
    case .corner(let anchor, let flipped, let zoom, let colors):
      var draw = AugmentationDraw()
      draw.symmetry = flipped ? .flipHorizontal : .identity
      draw.color = colors?.draw(sample: sample, size: size, side: side).color ?? ColorDraw()
      (draw.affine.rowZoom, draw.affine.columnZoom) = (1 / zoom, 1 / zoom)
      // What the zoom leaves out on each side: the shift moves the window into the corner.
      let room = Double(side) * (1 - 1 / zoom) / 2
      switch anchor {
      case .center: break
      case .topLeft: (draw.affine.rowShift, draw.affine.columnShift) = (-room, -room)
      case .topRight: (draw.affine.rowShift, draw.affine.columnShift) = (-room, room)
      case .bottomLeft: (draw.affine.rowShift, draw.affine.columnShift) = (room, -room)
      case .bottomRight: (draw.affine.rowShift, draw.affine.columnShift) = (room, room)
      }
      return draw
    }
  }
}

/// Which views of a photo are predicted, and how the predictions become one.
///
/// Weights are for probabilities, never for their logarithms.
package struct TestTimeAugmentation: Hashable, Sendable, CustomStringConvertible {
  /// How predictions become one.
  package enum Combination: Hashable, Sendable {
    /// The weighted mean; the weights sum to 1.
    case weighted([Double])
    /// For each class the larger of the clean prediction and of the largest augmented one. Rows
    /// then sum to more than 1: good for a ranking, not as probabilities.
    case maximum
  }

  /// What is predicted; the clean view first.
  package let views: [TestTimeView]
  /// How predictions become one.
  package let combination: Combination
  /// One line for people.
  package let description: String

  /// Views with their combination; traps unless there is one weight a view.
  package init(views: [TestTimeView], combination: Combination, description: String) {
    precondition(!views.isEmpty, "Test-time augmentation needs at least one view.")
    if case .weighted(let weights) = combination {
      precondition(
        weights.count == views.count, "Expected \(views.count) weights, got \(weights.count).")
    }
    self.views = views
    self.combination = combination
    self.description = description
  }

  /// The mean over the deterministic crops of ``View/testTimeViews(count:)``.
  package static func crops(count: Int) -> TestTimeAugmentation {
    let views = View.testTimeViews(count: count).map(TestTimeView.plain)
    return TestTimeAugmentation(
      views: views, combination: .weighted(Array(repeating: 1 / Double(count), count: count)),
      description: "mean of \(count) deterministic crops")
  }

  /// fastai 0.7: the mean of the clean prediction, `ceil(count / 4)` times, and `count` draws of
  /// the training augmentation; with 4 the clean one weighs 1/5.
  ///
  /// - Source: fastai 0.7 `Learner.TTA(n_aug=4)` with the mean of probabilities its notebooks take.
  package static func mean(
    of augmentation: Augmentation, seed: UInt64, count: Int = 4
  ) -> TestTimeAugmentation {
    precondition(count >= 1, "Test-time augmentation needs at least one draw, not \(count).")
    let copies = Double((count + 3) / 4)
    let total = copies + Double(count)
    return TestTimeAugmentation(
      views: clean(and: augmentation, seed, count),
      combination: .weighted([copies / total] + Array(repeating: 1 / total, count: count)),
      description: "mean of the clean prediction and \(count) augmented ones")
  }

  /// fastai 1: `beta` times the clean prediction and 1 - beta times the mean over four corners,
  /// mirrored and not, magnified by `zoom`, in the colours the training augmentation draws.
  ///
  /// - Source: fastai 1 `vision/tta.py`, `TTA(beta=0.4, scale=1.35)`.
  package static func corners(
    colors: Augmentation = .none, seed: UInt64 = 0, beta: Double = 0.4, zoom: Double = 1.35
  ) -> TestTimeAugmentation {
    precondition(zoom >= 1, "A corner must be magnified, not shrunk by \(zoom).")
    let anchors: [View.Anchor] = [.topLeft, .topRight, .bottomLeft, .bottomRight]
    let corners = (0..<8).map { index in
      TestTimeView.corner(
        anchors[index % 4], flipped: index >= 4, zoom: zoom,
        colors: colors.isActive ? AugmentedView(colors, seed: seed, number: index) : nil)
    }
    return TestTimeAugmentation(
      views: [.plain(.center)] + corners, combination: .weighted(weights(clean: beta, count: 8)),
      description: "\(beta) clean + \(1 - beta) mean of 8 magnified corners")
  }

  /// fastai 2: `beta` times the clean prediction and 1 - beta times the mean of `count` draws of
  /// the training augmentation (beta is the *clean* share: `lerp(augmented, clean, beta)`).
  ///
  /// - Source: fastai 2 `Learner.tta(n=4, beta=0.25)`.
  package static func blend(
    of augmentation: Augmentation, seed: UInt64, count: Int = 4, beta: Double = 0.25
  ) -> TestTimeAugmentation {
    TestTimeAugmentation(
      views: clean(and: augmentation, seed, count),
      combination: .weighted(weights(clean: beta, count: count)),
      description: "\(beta) clean + \(1 - beta) mean of \(count) augmented predictions")
  }

  /// fastai 2 with `use_max`: for each class the largest probability of all views.
  package static func maximum(
    of augmentation: Augmentation, seed: UInt64, count: Int = 4
  ) -> TestTimeAugmentation {
    TestTimeAugmentation(
      views: clean(and: augmentation, seed, count), combination: .maximum,
      description: "largest of the clean and \(count) augmented predictions")
  }

  /// One prediction from those of all views.
  ///
  /// - Parameter probabilities: one array a view, in the order of ``views``, all of one length
  ///   ([n, classes] or a single row).
  package func combine(_ probabilities: [[Float]]) -> [Float] {
    precondition(
      probabilities.count == views.count,
      "Expected the predictions of \(views.count) views, got \(probabilities.count).")
    let length = probabilities.first?.count ?? 0
    precondition(
      probabilities.allSatisfy { $0.count == length },
      "All views must have predictions of the same shape.")
    return (0..<length).map { index in
      switch combination {
      case .maximum: return probabilities.reduce(-.infinity) { max($0, $1[index]) }
      case .weighted(let weights):
        return Float(zip(weights, probabilities).reduce(0.0) { $0 + $1.0 * Double($1.1[index]) })
      }
    }
  }

  private static func clean(
    and augmentation: Augmentation, _ seed: UInt64, _ count: Int
  ) -> [TestTimeView] {
    precondition(count >= 1, "Test-time augmentation needs at least one draw, not \(count).")
    return [.plain(.center)]
      + AugmentedView.views(augmentation, seed: seed, count: count).map(TestTimeView.augmented)
  }

  private static func weights(clean beta: Double, count: Int) -> [Double] {
    precondition((0...1).contains(beta), "The clean share \(beta) is not 0 to 1.")
    return [beta] + Array(repeating: (1 - beta) / Double(count), count: count)
  }
}
