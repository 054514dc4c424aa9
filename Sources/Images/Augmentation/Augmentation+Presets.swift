// SPDX-License-Identifier: Apache-2.0

extension Augmentation {
  /// Augmentations with a name.
  package enum Preset: String, Codable, Hashable, Sendable, CaseIterable {
    /// Photos of things that have an up and a down.
    case photo
    /// Photos from above or through a microscope: no direction is special.
    case topDown = "top-down"
    /// Scans and photos of pages: never mirrored, hardly turned.
    case document
    /// Mirror images alone.
    case mirror
    /// Random crops and mirror images, as networks are trained on ImageNet.
    case crops
    /// No augmentation.
    case none
  }

  /// The augmentation of a preset.
  package init(_ preset: Preset) {
    self =
      switch preset {
      case .photo: .photo
      case .topDown: .topDown
      case .document: .document
      case .mirror: .mirror
      case .crops: .crops
      case .none: .none
      }
  }

  /// fastai's usual set: random resized crop, mirror images, turns of 10 degrees, perspective 0.2,
  /// lighting 0.2, each of the last three for three photos in four.
  package static let photo: Augmentation = {
    var photo = Augmentation()
    photo.randomCrop = RandomCrop()
    photo.flipsHorizontally = true
    photo.rotationDegrees = 10
    photo.warp = 0.2
    photo.fill = .reflect101
    photo.geometryProbability = 0.75
    photo.lighting = 0.2
    photo.lightingProbability = 0.75
    return photo
  }()

  /// All eight symmetries, turns up to 20 degrees, no perspective.
  package static let topDown: Augmentation = {
    var topDown = Augmentation()
    topDown.randomCrop = RandomCrop(scale: 0.5...1)
    topDown.isDihedral = true
    topDown.rotationDegrees = 20
    topDown.fill = .reflect101
    topDown.geometryProbability = 0.75
    topDown.lighting = 0.2
    topDown.lightingProbability = 0.75
    return topDown
  }()

  /// Turns of 3 degrees, small shifts and zooms of the whole page, a hint of perspective, and
  /// light.
  package static let document: Augmentation = {
    var document = Augmentation()
    document.rotationDegrees = 3
    document.widthShift = 0.03
    document.heightShift = 0.03
    document.zoom = 0.93...1.05
    document.locksZoom = true
    document.warp = 0.05
    document.fill = .nearest
    document.lighting = 0.3
    document.lightingProbability = 0.75
    return document
  }()

  /// Half of the looks are mirrored.
  package static let mirror: Augmentation = {
    var mirror = Augmentation()
    mirror.flipsHorizontally = true
    return mirror
  }()

  /// From half of the photo to all of it, at most a little stretched, half of the looks mirrored.
  package static let crops: Augmentation = {
    var crops = Augmentation()
    crops.randomCrop = RandomCrop(scale: 0.5...1)
    crops.flipsHorizontally = true
    return crops
  }()

  /// Nothing varies.
  package static let none = Augmentation()

  /// The preset this is, unchanged; nil for one of your own.
  package var preset: Preset? { Preset.allCases.first { Augmentation($0) == self } }
}
