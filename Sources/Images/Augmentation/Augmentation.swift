// SPDX-License-Identifier: Apache-2.0

/// How training photos are varied: ranges from which every photo draws its own numbers.
///
/// A value without hidden state. What a photo becomes is a pure function of the augmentation, the
/// seed, the epoch and the photo's index (``draw(seed:epoch:sample:size:side:)``), whatever thread
/// asks and in whatever order. Order of the operations, from the photo to the network:
///
/// 1. geometry, one map and one resampling: the frame (the contract's centre crop or a random
///    crop), perspective, affine (rotation, shift, shear, zoom), flips and symmetries;
/// 2. colour: channel shift, brightness factor, lighting (brightness, contrast), saturation;
/// 3. erasing; then normalisation as the contract says.
///
/// Keras works in the same order. It fills beyond the resized square where this reads the photo's
/// real pixels, and fills only beyond the photo: the same with ``ResizeRule/squash`` and no crop.
///
/// - Source: Keras `ImageDataGenerator`, fastai 2 `aug_transforms` and `RandomResizedCrop`.
package struct Augmentation: Hashable, Sendable {
  /// How channel shift draws.
  package enum ChannelShiftMode: String, Codable, Hashable, Sendable {
    /// One number for all channels (Keras since 2.2).
    case shared
    /// One a channel, which also changes the hue (Keras 2.1).
    case perChannel = "per-channel"
  }

  /// A random resized crop in place of the contract's centre crop; nil keeps the latter.
  package var randomCrop: RandomCrop?
  /// Mirrors left and right half of the time.
  package var flipsHorizontally = false
  /// Mirrors top and bottom half of the time.
  package var flipsVertically = false
  /// Picks one of the eight symmetries of the square, in place of the flips.
  package var isDihedral = false
  /// Whether a photo may be shown from the other side.
  package var mirrors: Bool { flipsHorizontally || isDihedral }
  /// Rotation by up to this many degrees either way.
  package var rotationDegrees = 0.0
  /// Largest shift along the width. Below 1: a fraction of the square. From 1: pixels, drawn as
  /// whole numbers below it (Keras's rule).
  package var widthShift = 0.0
  /// Largest shift along the height, by the same rule.
  package var heightShift = 0.0
  /// Shear by up to this many degrees either way.
  package var shearDegrees = 0.0
  /// Input pixels for one output pixel, below 1 magnifies (Keras's `zoom_range`).
  package var zoom = 1.0...1.0
  /// Whether rows and columns zoom alike; Keras draws them apart.
  package var locksZoom = false
  /// Perspective: how far the corners move, as a fraction of half the square (fastai's `max_warp`).
  package var warp = 0.0
  /// What lies beyond the photo.
  package var fill = FillMode.nearest
  /// Colour of ``FillMode/constant``.
  package var fillColor = RGBColor.black
  /// Whose arithmetic rotation, shift, shear and zoom follow.
  package var affineSemantics = AffineSemantics.exact
  /// How often each of rotation, shift, shear, zoom and warp happens, each on its own.
  package var geometryProbability = 1.0

  /// Adds up to this many levels, clipped to the levels the photo has.
  package var channelShift = 0.0
  /// Whether channels shift together.
  package var channelShiftMode = ChannelShiftMode.shared
  /// Factor on the samples (Keras's `brightness_range`).
  package var brightness = 1.0...1.0
  /// Strength of brightness and contrast changes in logit space (fastai's `max_lighting`), 0 to 1.
  package var lighting = 0.0
  /// How often each of brightness and contrast changes.
  package var lightingProbability = 1.0
  /// Largest change of the colours' distance from grey: the factor is 1 - s to 1 + s.
  package var saturation = 0.0
  /// Rectangles painted over.
  package var erasing: RandomErasing?

  /// No augmentation; set what should vary.
  package init() {}

  /// Whether a drawn photo can differ from the plain one.
  package var isActive: Bool { !operations.isEmpty }

  /// What makes this no augmentation; nil for a sound one.
  package var flaw: String? {
    let numbers = [
      rotationDegrees, widthShift, heightShift, shearDegrees, zoom.lowerBound, zoom.upperBound,
      warp, geometryProbability, channelShift, brightness.lowerBound, brightness.upperBound,
      lighting, lightingProbability, saturation,
    ]
    if !numbers.allSatisfy(\.isFinite) { return "a number is not finite" }
    if numbers.contains(where: { $0 < 0 }) { return "a range is negative" }
    if rotationDegrees > 360 { return "rotation \(rotationDegrees) is more than 360 degrees" }
    if shearDegrees > 80 { return "shear \(shearDegrees) is more than 80 degrees" }
    if !(zoom.lowerBound >= 0.05 && zoom.upperBound <= 20) {
      return "zoom \(zoom) is not within 0.05 to 20"
    }
    if warp > 0.45 { return "warp \(warp) is more than 0.45" }
    if lighting >= 1 { return "lighting \(lighting) is not below 1" }
    if geometryProbability > 1 || lightingProbability > 1 { return "a probability is more than 1" }
    return randomCrop?.flaw ?? erasing?.flaw
  }
}

/// A crop of random area, shape and place, resized to the square.
///
/// - Source: torchvision `RandomResizedCrop`; fastai's has the same rules and defaults.
package struct RandomCrop: Codable, Hashable, Sendable {
  /// Part of the photo's area.
  package var scale: ClosedRange<Double>
  /// Width by height, drawn evenly on a logarithmic scale.
  package var ratio: ClosedRange<Double>

  /// A crop. The defaults are gentler than the 0.08 of the source, which is meant for a million
  /// photos: with few, a crop that misses the object is a wrong label.
  package init(scale: ClosedRange<Double> = 0.35...1, ratio: ClosedRange<Double> = 0.75...4.0 / 3) {
    self.scale = scale
    self.ratio = ratio
  }

  var flaw: String? {
    if !(scale.lowerBound > 0.001 && scale.upperBound <= 1) {
      return "crop scale \(scale) is not within 0.001 to 1"
    }
    if !(ratio.lowerBound >= 0.1 && ratio.upperBound <= 10) {
      return "crop ratio \(ratio) is not within 0.1 to 10"
    }
    return nil
  }
}

/// Rectangles painted in the colour the contract's normalisation turns into 0 (black when it
/// subtracts nothing).
///
/// - Source: Zhong et al. 2017 (random erasing), DeVries and Taylor 2017 (cutout: a square of fixed
///   size every time); placed wholly inside, as fastai and torchvision do.
package struct RandomErasing: Codable, Hashable, Sendable {
  /// How often a photo loses anything.
  package var probability: Double
  /// Part of the square's area, all rectangles together.
  package var area: ClosedRange<Double>
  /// Width by height, drawn evenly on a logarithmic scale.
  package var ratio: ClosedRange<Double>
  /// Number of rectangles.
  package var count: Int

  /// Random erasing with fastai's defaults.
  package init(
    probability: Double = 0.5, area: ClosedRange<Double> = 0.02...0.3,
    ratio: ClosedRange<Double> = 0.3...1 / 0.3, count: Int = 1
  ) {
    self.probability = probability
    self.area = area
    self.ratio = ratio
    self.count = count
  }

  /// Cutout: always, one square of `side`, a fraction of the photo's.
  package static func cutout(side: Double) -> RandomErasing {
    RandomErasing(probability: 1, area: (side * side)...(side * side), ratio: 1...1)
  }

  var flaw: String? {
    if !(0...1).contains(probability) { return "erasing probability \(probability) is not 0 to 1" }
    if !(area.lowerBound >= 0 && area.upperBound <= 1) {
      return "erased area \(area) is not within 0 to 1"
    }
    if !(ratio.lowerBound >= 0.1 && ratio.upperBound <= 10) {
      return "erasing ratio \(ratio) is not within 0.1 to 10"
    }
    if !(1...64).contains(count) { return "\(count) erased rectangles are not 1 to 64" }
    return nil
  }
}
