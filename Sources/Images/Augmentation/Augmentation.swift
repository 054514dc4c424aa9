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
public struct Augmentation: Hashable, Sendable {
  /// How channel shift draws.
  public enum ChannelShiftMode: String, Codable, Hashable, Sendable {
    /// One number for all channels (Keras since 2.2).
    case shared
    /// One a channel, which also changes the hue (Keras 2.1).
    case perChannel = "per-channel"
  }

  /// A random resized crop in place of the contract's centre crop; nil keeps the latter.
  public var randomCrop: RandomCrop?
  /// Mirrors left and right half of the time.
  public var flipsHorizontally = false
  /// Mirrors top and bottom half of the time.
  public var flipsVertically = false
  /// Picks one of the eight symmetries of the square, in place of the flips.
  public var isDihedral = false
  /// Rotation by up to this many degrees either way.
  public var rotationDegrees = 0.0
  /// Largest shift along the width. Below 1: a fraction of the square. From 1: pixels, drawn as
  /// whole numbers below it (Keras's rule).
  public var widthShift = 0.0
  /// Largest shift along the height, by the same rule.
  public var heightShift = 0.0
  /// Shear by up to this many degrees either way.
  public var shearDegrees = 0.0
  /// Input pixels for one output pixel, below 1 magnifies (Keras's `zoom_range`).
  public var zoom = 1.0...1.0
  /// Whether rows and columns zoom alike; Keras draws them apart.
  public var locksZoom = false
  /// Perspective: how far the corners move, as a fraction of half the square (fastai's `max_warp`).
  public var warp = 0.0
  /// What lies beyond the photo.
  public var fill = FillMode.nearest
  /// Colour of ``FillMode/constant``.
  public var fillColor = RGBColor.black
  /// Whose arithmetic rotation, shift, shear and zoom follow.
  public var affineSemantics = AffineSemantics.exact
  /// How often each of rotation, shift, shear, zoom and warp happens, each on its own.
  public var geometryProbability = 1.0

  /// Adds up to this many levels, clipped to the levels the photo has.
  public var channelShift = 0.0
  /// Whether channels shift together.
  public var channelShiftMode = ChannelShiftMode.shared
  /// Factor on the samples (Keras's `brightness_range`).
  public var brightness = 1.0...1.0
  /// Strength of brightness and contrast changes in logit space (fastai's `max_lighting`), 0 to 1.
  public var lighting = 0.0
  /// How often each of brightness and contrast changes.
  public var lightingProbability = 1.0
  /// Largest change of the colours' distance from grey: the factor is 1 - s to 1 + s.
  public var saturation = 0.0
  /// Rectangles painted over.
  public var erasing: RandomErasing?

  /// No augmentation; set what should vary.
  public init() {}

  /// Whether a drawn photo can differ from the plain one.
  public var isActive: Bool { !operations.isEmpty }

  /// What makes this no augmentation; nil for a sound one.
  public var flaw: String? {
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
public struct RandomCrop: Codable, Hashable, Sendable {
  /// Part of the photo's area.
  public var scale: ClosedRange<Double>
  /// Width by height, drawn evenly on a logarithmic scale.
  public var ratio: ClosedRange<Double>

  /// A crop. The defaults are gentler than the 0.08 of the source, which is meant for a million
  /// photos: with few, a crop that misses the object is a wrong label.
  public init(scale: ClosedRange<Double> = 0.35...1, ratio: ClosedRange<Double> = 0.75...4.0 / 3) {
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
public struct RandomErasing: Codable, Hashable, Sendable {
  /// How often a photo loses anything.
  public var probability: Double
  /// Part of the square's area, all rectangles together.
  public var area: ClosedRange<Double>
  /// Width by height, drawn evenly on a logarithmic scale.
  public var ratio: ClosedRange<Double>
  /// Number of rectangles.
  public var count: Int

  /// Random erasing with fastai's defaults.
  public init(
    probability: Double = 0.5, area: ClosedRange<Double> = 0.02...0.3,
    ratio: ClosedRange<Double> = 0.3...1 / 0.3, count: Int = 1
  ) {
    self.probability = probability
    self.area = area
    self.ratio = ratio
    self.count = count
  }

  /// Cutout: always, one square of `side`, a fraction of the photo's.
  public static func cutout(side: Double) -> RandomErasing {
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
