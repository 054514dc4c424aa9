// SPDX-License-Identifier: Apache-2.0

import ThawExecution
package import ThawImages
import ThawTensors

/// Where in the network the samples of a batch are mixed.
package enum MixingPlace: String, Sendable, Codable, CustomStringConvertible {
  /// The photos themselves, by the source, before any layer sees them: mixup and cutmix as published.
  case photos
  /// The results of the frozen layers, where the network is cut: manifold mixup at a fixed layer.
  ///
  /// Cutmix there replaces a box of the feature map, and needs one: [C, H, W], not [F].
  ///
  /// - Source: Verma et al. 2019, arXiv:1806.05236 (manifold mixup).
  case features

  /// For example `the photos`.
  package var description: String {
    switch self {
    case .photos: "the photos"
    case .features: "the features at the cut"
    }
  }

  /// Where samples of `source` are mixed.
  package init(_ source: any FeatureSource) {
    self = source is any MixingFeatureSource ? .photos : .features
  }
}

/// A source that can mix photos before the frozen layers see them: one that computes its features
/// anew in every epoch. Any other source has its features mixed.
package protocol MixingFeatureSource: FeatureSource {
  /// Extent of the photos, in which cutmix draws its boxes.
  var photoSize: PixelSize { get }
  /// Writes the samples at `indices` mixed with one another, [indices.count, stride].
  ///
  /// - Parameter draw: of as many samples as `indices` has, in that order; apply it to the prepared
  ///   photos with ``MixingDraw/mix(_:channels:size:)``.
  func copyFeatures(
    of indices: ArraySlice<Int>, view: FeatureView, mixing draw: MixingDraw,
    into output: UnsafeMutableBufferPointer<Float>) throws
}

/// Mixes the samples of a training's batches, where its source allows it.
struct BatchMixer {
  private let mixing: BatchMixing
  private let source: any FeatureSource
  /// Channels and extent of what is mixed.
  private let channels: Int
  private let size: PixelSize

  /// Traps when ``problem(_:source:input:)`` has something to say.
  ///
  /// - Parameter input: of the training plan, [N, C, H, W] or [N, F].
  init(_ mixing: BatchMixing, source: any FeatureSource, input: Shape) {
    let problem = BatchMixer.problem(mixing, source: source, input: input)
    precondition(problem == nil, problem ?? "")
    self.mixing = mixing
    self.source = source
    channels = input[1]
    if let source = source as? any MixingFeatureSource {
      size = source.photoSize
    } else {
      size =
        input.rank == 4
        ? PixelSize(width: input[3], height: input[2]) : PixelSize(width: 1, height: 1)
    }
  }

  /// Why the samples cannot be mixed, as a sentence; nil when they can.
  static func problem(
    _ mixing: BatchMixing, source: any FeatureSource, input: Shape
  ) -> String? {
    guard mixing.kind == .cutmix, MixingPlace(source) == .features, input.rank != 4 else {
      return nil
    }
    return "cutmix puts a box of one photo into another, but the network is cut where a photo is"
      + " only \(input.count / input[0]) numbers. Use mixup, thaw more layer groups, or compute the"
      + " features anew in every epoch."
  }

  /// Who is mixed with whom: a pure function of the identity.
  func draw(_ count: Int, _ identity: StepIdentity) -> MixingDraw {
    mixing.draw(
      count: count, seed: identity.seed, step: identity.step, part: identity.part, size: size)
  }

  /// Writes mixed samples.
  func copyFeatures(
    of samples: ArraySlice<Int>, view: FeatureView, mixing draw: MixingDraw,
    into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    if let source = source as? any MixingFeatureSource {
      return try source.copyFeatures(of: samples, view: view, mixing: draw, into: output)
    }
    try source.copyFeatures(of: samples, view: view, into: output)
    if mixing.kind == .cutmix {
      draw.mix(output, channels: channels, size: size)
    } else {
      draw.mix(output, width: source.stride)
    }
  }
}
