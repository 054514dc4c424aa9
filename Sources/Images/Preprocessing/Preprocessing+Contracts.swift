// SPDX-License-Identifier: Apache-2.0

extension Preprocessing {
  /// Every contract that ``candidates(like:)`` names, what people make of them by mistake (no
  /// division, no centring, numbers for 0 to 1 on 0 to 255), and each in the other channel order.
  ///
  /// All have the geometry of `declared`, which is the first. Of contracts that
  /// no network could tell apart (``isInterchangeable(with:)``) only the first is named.
  package static func contracts(like declared: Preprocessing) -> [Candidate] {
    let torch = Preprocessing.torch()
    let one = [1.0, 1, 1]
    let usual =
      candidates(like: declared) + [
        Candidate(
          name: "caffe in RGB",
          preprocessing: declared.with(1, .rgb, mean: [123.68, 116.779, 103.939], std: one)),
        Candidate(
          name: "torch without its std",
          preprocessing: declared.with(1 / 255, .rgb, mean: torch.mean, std: one)),
        Candidate(
          name: "torch without its mean",
          preprocessing: declared.with(1 / 255, .rgb, mean: [0, 0, 0], std: torch.std)),
        Candidate(
          name: "torch on 0 to 255",
          preprocessing: declared.with(1, .rgb, mean: torch.mean, std: torch.std)),
      ] + declared.ownMistakes
    let unique = distinct(usual)
    let swapped = unique.map { candidate in
      Candidate(
        name: candidate.preprocessing.channelOrder == .rgb
          ? "\(candidate.name), BGR" : "\(candidate.name), RGB",
        preprocessing: candidate.preprocessing.withSwappedChannels)
    }
    return distinct(unique + swapped)
  }

  /// The candidates that no earlier one stands for.
  private static func distinct(_ candidates: [Candidate]) -> [Candidate] {
    var result: [Candidate] = []
    for candidate in candidates
    where !result.contains(where: {
      $0.preprocessing.isInterchangeable(with: candidate.preprocessing)
    }) { result.append(candidate) }
    return result
  }

  /// The same numbers in the same positions, for the other channel order: what an image read in the
  /// wrong order goes through.
  package var withSwappedChannels: Preprocessing {
    with(scale, channelOrder == .rgb ? .bgr : .rgb, mean: mean, std: std)
  }

  /// The numbers of this contract with one thing left out or added.
  private var ownMistakes: [Candidate] {
    [
      Candidate(
        name: "declared without its std",
        preprocessing: with(scale, channelOrder, mean: mean, std: [1, 1, 1])),
      Candidate(
        name: "declared without its mean",
        preprocessing: with(scale, channelOrder, mean: [0, 0, 0], std: std)),
      Candidate(
        name: "declared on 0 to 1",
        preprocessing: with(scale / 255, channelOrder, mean: mean, std: std)),
      Candidate(
        name: "declared on 0 to 255",
        preprocessing: with(scale * 255, channelOrder, mean: mean, std: std)),
    ].filter { $0.preprocessing.smallestRange > 0.01 && $0.preprocessing.largestValue < 1e5 }
  }

  private func with(
    _ scale: Double, _ order: ChannelOrder, mean: [Double], std: [Double]
  ) -> Preprocessing {
    Preprocessing(
      inputSize: inputSize, scale: scale, channelOrder: order, mean: mean, std: std,
      interpolation: interpolation, cropFraction: cropFraction, resizeRule: resizeRule,
      background: background, reading: reading)
  }

  /// The same numbers with another geometry.
  package func withGeometry(
    interpolation: Interpolation? = nil, cropFraction: Double? = nil, resizeRule: ResizeRule? = nil
  ) -> Preprocessing {
    Preprocessing(
      inputSize: inputSize, scale: scale, channelOrder: channelOrder, mean: mean, std: std,
      interpolation: interpolation ?? self.interpolation,
      cropFraction: cropFraction ?? self.cropFraction, resizeRule: resizeRule ?? self.resizeRule,
      background: background, reading: reading)
  }

  /// The values of black and of white in the channel at `index` of the output.
  package func range(ofChannel index: Int) -> (black: Double, white: Double) {
    (-mean[index] / std[index], (255 * scale - mean[index]) / std[index])
  }

  private var smallestRange: Double { (0..<3).map { 255 * scale / std[$0] }.min() ?? 0 }
  private var largestValue: Double {
    (0..<3).map { max(abs(range(ofChannel: $0).black), abs(range(ofChannel: $0).white)) }.max() ?? 0
  }

  /// Whether no network would notice the difference: the same channel order, and black and white
  /// within 3 % of the range. (`tf` and `efficientnet-lite` differ by half a level of 255.)
  package func isInterchangeable(with other: Preprocessing) -> Bool {
    channelOrder == other.channelOrder
      && (0..<3).allSatisfy { index in
        let (mine, theirs) = (range(ofChannel: index), other.range(ofChannel: index))
        let tolerance = 0.03 * (mine.white - mine.black)
        return abs(mine.black - theirs.black) <= tolerance
          && abs(mine.white - theirs.white) <= tolerance
      }
  }

  /// What `other` does differently, as people say it: `red and blue change places`.
  package func differences(from other: Preprocessing) -> [String] {
    var result: [String] = []
    if channelOrder != other.channelOrder {
      result.append(
        "the channels are \(channelOrder.rawValue.uppercased()), not"
          + " \(other.channelOrder.rawValue.uppercased())")
    }
    let reordered = channelOrder == other.channelOrder ? other : other.withSwappedChannels
    let (mine, theirs) = (range(ofChannel: 1), reordered.range(ofChannel: 1))
    let gain = (mine.white - mine.black) / (theirs.white - theirs.black)
    if abs(gain - 1) > 0.03 || !isInterchangeable(with: reordered) {
      result.append(
        "black to white is \(Self.rounded(mine.black)) to \(Self.rounded(mine.white)), not"
          + " \(Self.rounded(theirs.black)) to \(Self.rounded(theirs.white))")
    }
    return result
  }

  private static func rounded(_ value: Double) -> String {
    let rounded = (value * 100).rounded() / 100
    return rounded == rounded.rounded() && abs(rounded) < 1e9 ? "\(Int(rounded))" : "\(rounded)"
  }
}
