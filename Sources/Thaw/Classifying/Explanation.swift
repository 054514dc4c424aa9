// SPDX-License-Identifier: Apache-2.0

/// Where in a photo a network found what speaks for a class: what `thaw explain` shows.
public struct Explanation: Sendable, Hashable {
  /// A part of a photo, in pixels of the upright photo from its left and upper edge.
  public struct Area: Sendable, Hashable {
    /// The left edge; below 0 where the network sees more than the photo.
    public let x: Double
    /// The upper edge.
    public let y: Double
    /// To the right.
    public let width: Double
    /// Downwards.
    public let height: Double
  }

  /// The class whose evidence is shown.
  public let label: String
  /// Its probability in 0...1, of the photo's centre alone.
  public let probability: Float
  /// Rows from the top, each from the left: positive where something speaks for the class, negative where
  /// something speaks against it. It covers ``area``.
  public let map: [[Float]]
  /// The square that the network sees.
  public let area: Area
  /// Whether the map's values and the class's bias add up to its logit.
  public let isExact: Bool
  /// The layer whose channels are weighed.
  public let layer: String
  /// A PNG file of the square with the heat over it.
  public let overlay: [UInt8]
}

extension ImageClassifier {
  /// Shows where in a photo its network finds what speaks for a class, by HiResCAM.
  ///
  /// Explanations are computed one after the other by a thread of their own, which starts with the first, so
  /// that they never make photos to be classified wait in line.
  ///
  /// - Parameter label: the class; nil for the most probable one.
  /// - Throws: ``ImageClassifierError``, also `noExplanation`; `CancellationError`.
  public func explanation(of photo: Photo, for label: String? = nil) async throws -> Explanation {
    let index = try label.map { name in
      guard let index = classNames.firstIndex(of: name) else {
        throw ImageClassifierError.noExplanation("the model has no class '\(name)'.")
      }
      return index
    }
    return try await explainer.explanation(of: photo, index: index)
  }
}
