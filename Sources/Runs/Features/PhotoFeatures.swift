// SPDX-License-Identifier: Apache-2.0

import Synchronization
import SystemPackage
package import ThawDatasets
package import ThawExecution
import ThawFiles
package import ThawImages
package import ThawRecipes
import ThawTensors
package import ThawTraining

/// Features computed from the photos themselves each time they are asked for: what trains on a new
/// draw of the augmentation in every epoch, or on a network with nothing frozen in front.
///
/// A sample's features depend on its photo, the augmentation and the epoch alone, so a training that
/// is resumed sees the same ones.
package final class PhotoFeatures: MixingFeatureSource {
  private let photos: PhotoPreparation
  private let labels: SampleLabels
  /// The frozen layers; nil when the first layer already trains.
  private let prefix: (any InferencePlan)?
  private let augmentation: Augmentation
  private let seed: UInt64
  /// Draws that epochs take turns with; nil for a new one in every epoch.
  private let views: Int?
  private let threads: Int
  private var pixels = AlignedStorage<Float>(count: 0)
  package let stride: Int

  /// - Parameter pixels: where decoded photos are kept, under which rule, and who is told what is wrong
  ///   with them; nil decodes every photo every time.
  package init(
    _ records: [Manifest.Record], manifest: Manifest, network: TransferNetwork,
    prefix: (any InferencePlan)?, settings: Recipe.Train, seed: UInt64, threads: Int,
    pixels: KeptPhotos? = nil
  ) {
    photos = PhotoPreparation(
      records, root: manifest.root.filePath, preprocessing: network.preprocessing, kept: pixels)
    labels = SampleLabels(of: records, in: manifest)
    self.prefix = prefix
    stride = prefix?.outputStride ?? network.preprocessing.elementCount
    augmentation = settings.augmentation
    self.seed = seed
    if case .cached(let count) = settings.views { views = count } else { views = nil }
    self.threads = threads
  }

  package var count: Int { labels.count }
  package var photoSize: PixelSize { PixelSize(width: photos.side, height: photos.side) }

  package var targetRows: TargetRows? { labels.rows }

  package func label(_ index: Int) -> Int { labels.label(index) }

  package func copyFeatures(
    of indices: ArraySlice<Int>, view: FeatureView, into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    try copyFeatures(of: indices, view, mixing: nil, into: output)
  }

  package func copyFeatures(
    of indices: ArraySlice<Int>, view: FeatureView, mixing draw: MixingDraw,
    into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    try copyFeatures(of: indices, view, mixing: draw, into: output)
  }

  private func copyFeatures(
    of indices: ArraySlice<Int>, _ view: FeatureView, mixing draw: MixingDraw?,
    into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    let size = photos.elementCount
    if pixels.elements.count < indices.count * size {
      pixels = AlignedStorage(count: indices.count * size)
    }
    let (samples, view, pixels) = (Array(indices), self.view(view), pixels)
    let photos = photos
    try forEachIndex(below: samples.count, threads: threads) { place in
      let target = pixels.elements[(place * size)..<((place + 1) * size)]
      try photos.prepare(samples[place], view, into: UnsafeMutableBufferPointer(rebasing: target))
    }
    photos.sayNotes()
    draw?.mix(pixels.elements, channels: size / (photos.side * photos.side), size: photoSize)
    let input = UnsafeBufferPointer(rebasing: pixels.elements[..<(samples.count * size)])
    let result = UnsafeMutableBufferPointer(rebasing: output[..<(samples.count * stride)])
    if let prefix {
      try prefix.run(input, into: result)
    } else {
      _ = result.update(fromContentsOf: input)
    }
  }

  private func view(_ view: FeatureView) -> TestTimeView {
    guard case .training(let epoch) = view, augmentation.isActive else { return .plain(.center) }
    let number = views.map { epoch % $0 } ?? epoch
    return .augmented(AugmentedView(augmentation, seed: seed, number: number))
  }
}
