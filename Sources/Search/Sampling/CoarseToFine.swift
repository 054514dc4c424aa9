// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawTensors

/// Chooses what to try next: evenly spread over the space first, then ever closer around what did best.
///
/// A proposal is a pure function of the seed, its number and the trials so far, so that a search that was
/// killed goes on with the very trials that it would have had, and one that is extended goes on as if it
/// had been asked for more from the start.
///
/// After the spread-out beginning a hundred places are considered: most of them near one of the best trials
/// (numbers move by random steps, whose scale falls with the number of trials; choices change ever more
/// rarely), near the best trial of another word of a choice, or anywhere. Of these it takes the one for which
/// the trials nearby promise most (``SmoothSurrogate``). Every third proposal is a small step from one of the two
/// best, untested.
package struct CoarseToFine: Sendable {
  /// A trial and how it did.
  package struct Observation: Sendable {
    /// Nil where a parameter did not matter.
    package let point: [Double?]
    /// What it is called by.
    package let values: [String: SearchValue]

    /// A trial.
    package init(point: [Double?], values: [String: SearchValue]) {
      self.point = point
      self.values = values
    }
  }

  /// Where it looks.
  package let space: SearchSpace
  /// Of its random numbers.
  package let seed: UInt64

  /// A sampler.
  package init(_ space: SearchSpace, seed: UInt64) {
    self.space = space
    self.seed = seed
  }

  /// Proposals that are spread over the whole space before any is placed by results.
  package var initialCount: Int { min(max(space.parameters.count + 4, 6), 16) }

  /// Where trial `number` (from 0) should be.
  ///
  /// - Parameters:
  ///   - ranked: the trials so far, the best first; those without a result are left out.
  ///   - pending: what is being measured meanwhile; taken for average, so that not all look at one place.
  /// - Returns: a point whose values no trial of `ranked` or `pending` has, if there is one to be found.
  package func point(
    _ number: Int, ranked: [Observation], pending: [[String: SearchValue]] = []
  ) -> [Double] {
    var stream = RandomStream(seed: seed, purpose: .resampling, epoch: 2, sample: number)
    let known = Set(ranked.map(\.values) + pending)
    var assumed = ranked
    assumed.insert(
      contentsOf: pending.map { Observation(point: space.point(of: $0), values: $0) },
      at: ranked.count / 2)
    var point = proposal(number, ranked.count < 4 ? ranked : assumed, &stream)
    for _ in 0..<50 where known.contains(space.values(at: point)) {
      point = moved(point, scale: 0.3, &stream)
    }
    return point
  }

  private func proposal(
    _ number: Int, _ ranked: [Observation], _ stream: inout RandomStream
  ) -> [Double] {
    guard number >= initialCount, ranked.count >= 4 else { return spread(number) }
    let scale = max(0.25 / (1 + Double(number - initialCount) / 8), 0.01)
    // What the ranks of trials cannot show any more, a small step from one of the best may find.
    if number % 3 == 2 {
      let start = ranked[stream.index(below: 2)].point.map { $0 ?? stream.uniform(in: 0...1) }
      return moved(start, scale: scale, &stream)
    }
    // The best ones and, for the slopes further away, some of the others.
    let shown =
      ranked.prefix(80)
      + ranked.dropFirst(80).enumerated().filter { $0.offset % 8 == 0 }
      .prefix(40).map(\.element)
    let surrogate = SmoothSurrogate(
      shown.map(\.point), isChoice: space.parameters.map(\.domain.isChoice))
    let starts = champions(ranked)
    var best: (point: [Double], promise: Double)?
    for candidate in 0..<120 {
      let point: [Double]
      if candidate % 6 == 0 {
        point = space.parameters.map { _ in stream.uniform(in: 0...1) }
      } else {
        let start = starts[stream.index(below: starts.count)].map {
          $0 ?? stream.uniform(in: 0...1)
        }
        point = moved(start, scale: scale * [1, 0.3, 3][candidate % 3], &stream)
      }
      // As rounded as it would be tried.
      let promise = surrogate.expectedImprovement(at: space.point(of: space.values(at: point)))
      if promise > best?.promise ?? -1 { best = (point, promise) }
    }
    return best?.point ?? spread(number)
  }

  /// Where to start from: the best trials, and for every word of a choice the best that has it.
  private func champions(_ ranked: [Observation]) -> [[Double?]] {
    var starts = ranked.prefix(min(max(ranked.count / 8, 2), 5)).map(\.point)
    starts += starts
    for parameter in space.parameters {
      guard case .choice(let words) = parameter.domain else { continue }
      starts += words.compactMap { word in
        ranked.first { $0.values[parameter.name] == .word(word) }?.point
      }
    }
    return starts
  }

  /// A point nearby: at least one parameter moves.
  private func moved(
    _ start: [Double], scale: Double, _ stream: inout RandomStream
  ) -> [Double] {
    var point = start
    let count = space.parameters.count
    let always = stream.index(below: count)
    let share = max(0.5, 1 / Double(count))
    for (index, parameter) in space.parameters.enumerated() {
      let isMoved = index == always || stream.uniform(in: 0...1) < share
      if case .choice(let words) = parameter.domain {
        let isOther = stream.uniform(in: 0...1) < (index == always ? 0.5 : min(scale, 0.2))
        guard isOther, words.count > 1 else { continue }
        let place = min(Int(point[index] * Double(words.count)), words.count - 1)
        let other = (place + 1 + stream.index(below: words.count - 1)) % words.count
        point[index] = (Double(other) + 0.5) / Double(words.count)
      } else if isMoved {
        let length = stream.uniform(in: 0...1) < 0.15 ? 4 * scale : scale
        point[index] = CoarseToFine.reflected(point[index] + length * stream.normal())
      }
    }
    return point
  }

  /// A sequence that fills the cube evenly, each of its beginnings too, from a random start.
  ///
  /// - Source: the additive recurrence with the generalised golden ratio, M. Roberts 2018, "The
  ///   unreasonable effectiveness of quasirandom sequences".
  private func spread(_ number: Int) -> [Double] {
    let count = space.parameters.count
    var ratio = 2.0
    for _ in 0..<40 { ratio = pow(1 + ratio, 1 / Double(count + 1)) }
    var start = RandomStream(seed: seed, purpose: .resampling, epoch: 3)
    return (1...count).map { index in
      let step = pow(1 / ratio, Double(index))
      let place = start.uniform(in: 0...1) + Double(number + 1) * step
      return place - floor(place)
    }
  }

  /// Folded back into 0...1.
  private static func reflected(_ value: Double) -> Double {
    let folded = abs(value.truncatingRemainder(dividingBy: 2))
    return folded > 1 ? 2 - folded : folded
  }
}
