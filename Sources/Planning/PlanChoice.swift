// SPDX-License-Identifier: Apache-2.0

import ThawRecipes
package import ThawTraining

/// What fits into a time: at which size, and how long fine-tuning lasts. Arithmetic alone.
package struct PlanChoice: Sendable, Equatable {
  /// What there is to train on and by.
  package struct Work: Sendable, Equatable {
    /// Training photos.
    package var training: Int
    /// Photos that are held out.
    package var held: Int
    /// Training photos that are looked at once more in the end (``UnknownScore/mostPhotos`` at most).
    package var lookedAt: Int
    /// Looks at each photo when the result is judged.
    package var looks: Int
    /// Seconds until a head is trained on cached features.
    package var headSeconds: Double

    package init(training: Int, held: Int, lookedAt: Int, looks: Int, headSeconds: Double) {
      self.training = training
      self.held = held
      self.lookedAt = lookedAt
      self.looks = looks
      self.headSeconds = headSeconds
    }

    /// Seconds of what precedes fine-tuning, at `side`.
    package func before(_ pace: PhotoPace, _ side: Int) -> Double {
      Double(training + held) * pace.features(at: side) + headSeconds
    }

    /// Seconds of an epoch with its validation; nil where nothing trains but the head.
    package func epoch(_ pace: PhotoPace, _ side: Int) -> Double? {
      pace.training(at: side).map {
        Double(training) * $0 + Double(held) * pace.features(at: side)
      }
    }

    /// Seconds of what follows the last epoch: weights between start and end, calibration, what is unlike the
    /// training photos, the evaluation and the report.
    package func afterwards(_ pace: PhotoPace, _ side: Int, isFineTuned: Bool) -> Double {
      let passes = Double((isFineTuned ? 4 : 1) + looks)
      let photos = Double(held) * passes + (isFineTuned ? Double(lookedAt) : 0)
      return photos * pace.features(at: side) + PlanChoice.overhead
    }
  }

  /// Seconds of writing, compiling and drawing.
  static let overhead = 3.0
  /// Epochs of thawed layers below which a smaller photo is worth more than its pixels. On photos that fill no
  /// more than half of the input's side, pixels are worth less still.
  static let enough = 12.0
  static let enoughWhenEnlarged = 15.0
  /// Epochs that are worth thawing for: one warms up.
  static let fewest = 2.0

  /// Side of the network's input.
  package let side: Int
  /// Epochs of fine-tuning that would fit; nil where the backbone stays frozen.
  package let fitting: Double?

  /// The choice for `seconds`; nil when not even a head at the smallest side fits.
  ///
  /// - Parameters:
  ///   - sides: that may be chosen, the network's own first, then smaller ones.
  ///   - photoSide: of the photos, the shorter one, the median.
  package static func choose(
    seconds: Double, sides: [Int], photoSide: Int, work: Work, pace: PhotoPace
  ) -> PlanChoice? {
    let enlarged = sides.first.map { 2 * photoSide <= $0 } ?? false
    let options = sides.map { side -> PlanChoice in
      guard let epoch = work.epoch(pace, side), epoch > 0 else {
        return PlanChoice(side: side, fitting: nil)
      }
      let left =
        seconds - work.before(pace, side) - work.afterwards(pace, side, isFineTuned: true)
      return PlanChoice(side: side, fitting: left / epoch)
    }
    let needed = enlarged ? enoughWhenEnlarged : enough
    if let good = options.first(where: { $0.fitting.map { $0 >= needed } ?? false }) { return good }
    // Not enough anywhere: where most epochs fit, which is the smallest.
    if let last = options.last, let fitting = last.fitting, fitting >= fewest { return last }
    let frozen = sides.first { side in
      work.before(pace, side) + work.afterwards(pace, side, isFineTuned: false) <= seconds
    }
    return frozen.map { PlanChoice(side: $0, fitting: nil) }
  }

  /// Seconds without which nothing can be made.
  package static func least(sides: [Int], work: Work, pace: PhotoPace) -> Double {
    sides.map {
      work.before(pace, $0) + work.afterwards(pace, $0, isFineTuned: false)
    }.min() ?? 0
  }

  /// How long fine-tuning lasts, and its schedule, when `fitting` epochs fit.
  ///
  /// A head that errs often says that the photos are unlike those the backbone knows: there cycles of a falling
  /// rate, each twice as long as the one before, are worth more than one, and so is a longer training
  /// (Documentation/fine-tuning.md has the measurements). Where it errs seldom, more epochs gain nothing.
  ///
  /// - Parameters:
  ///   - error: share of photos that the head alone gets wrong; nil when that is not known.
  ///   - limit: most epochs; nil for as many as the error suggests.
  ///   - usual: the schedule of the recipe; whoever asked for another one keeps it.
  package static func length(
    fitting: Double, error: Double?, limit: Int?, usual: Schedule, isUsual: Bool
  ) -> (epochs: Int, schedule: Schedule)? {
    let whole = Int(max(min(fitting, 1e6), 0))
    let most = limit ?? (error.map { $0 >= oftenWrong } ?? false ? longest : standard)
    let few = min(whole, most)
    guard few >= 1, Double(few) >= fewest || limit.map({ $0 < Int(fewest) }) ?? false else {
      return nil
    }
    guard isUsual, error.map({ $0 >= oftenWrong }) ?? false, few >= 8 else {
      // A cycle is not broken off.
      let epochs = (1...few).last { usual.wholeEpochs($0) <= few }
      return epochs.map { ($0, usual) }
    }
    // A warm-up, then the most cycles that use the time well.
    let options = (2...4).compactMap { cycles -> (epochs: Int, schedule: Schedule)? in
      let parts = (1 << cycles) - 1
      let length = (few - 1) / parts
      guard length >= 1 else { return nil }
      let schedule = Schedule.sgdr(cycleLength: length, multiplier: 2, lowStart: false)
      return (1 + length * parts, schedule.warmedUp(epochs: 1))
    }
    return options.last { 5 * $0.epochs >= 4 * few } ?? options.max { $0.epochs < $1.epochs }
  }

  /// Share of wrong answers of a head from which on its photos count as unlike those that the backbone knows.
  static let oftenWrong = 0.25
  /// Epochs for such photos, and for others.
  static let longest = 61
  static let standard = 15
}
