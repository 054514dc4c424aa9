// SPDX-License-Identifier: Apache-2.0

import ThawRecipes

/// Which looks at a photo become one answer: test-time augmentation.
///
/// Every look costs as much as a photo (decoding is done once). What is drawn at random follows from
/// the photo's contents, so the same photo always gets the same answer.
public struct Views: Sendable, Hashable {
  let look: Recipe.TestTime

  /// The centre alone: one look.
  public static let center = Views(look: Recipe.TestTime())

  /// The mean over `count` crops at fixed places and their mirror images, 1 to 64.
  public static func crops(_ count: Int) -> Views { Views(count, .crops) }

  /// The mean of the centre and of `count` draws of the augmentation the model was trained with.
  ///
  /// - Source: fastai 0.7 `Learner.TTA`.
  public static func mean(_ count: Int) -> Views { Views(count, .mean) }

  /// 0.4 of the centre, the rest from eight corners magnified by 1.35.
  ///
  /// - Source: fastai 1 `vision/tta.py`.
  public static let corners = Views(8, .corners)

  /// A quarter of the centre, the rest from `count` draws of the augmentation the model was trained
  /// with.
  ///
  /// - Source: fastai 2 `Learner.tta`.
  public static func blend(_ count: Int) -> Views { Views(count, .blend) }

  /// For each class the largest probability among the centre and `count` draws, scaled to sum to 1.
  ///
  /// - Source: fastai 2 `Learner.tta` with `use_max`.
  public static func maximum(_ count: Int) -> Views { Views(count, .maximum) }

  private init(_ count: Int, _ mode: Recipe.TestTime.Mode) {
    precondition((1...64).contains(count), "A photo is looked at 1 to 64 times, not \(count).")
    self.init(look: Recipe.TestTime(count: count, mode: mode))
  }

  private init(look: Recipe.TestTime) { self.look = look }

  /// Whether the answer depends on how the model was trained.
  var drawsAugmentation: Bool { look.count > 1 && look.mode != .crops }
}
