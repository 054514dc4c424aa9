// SPDX-License-Identifier: Apache-2.0

import Synchronization
import ThawNetwork
import ThawTensors

/// What the results of a network's layers look like on photos: their extremes, a regular sample of their
/// values, and the mean of every channel. The same whichever thread sees a photo first.
final class ValueSamples: Sendable {
  /// Of one node.
  struct Values: Sendable {
    var low: Float = 0
    var high: Float = 0
    /// Sorted once all photos were seen.
    var samples: [Float] = []
    /// Sums of the photos' channel means in steps of 2^-20: whole numbers, whose order makes no difference.
    var channelSums: [Int64] = []
    var photos = 0

    /// The mean of each channel.
    var channelMeans: [Double] {
      channelSums.map { Double($0) * 0x1p-20 / Double(max(photos, 1)) }
    }
  }

  /// Values that are kept of a node and photo, at most.
  private static let perPhoto = 1024

  private let values = Mutex<[NodeID: Values]>([:])
  private let channels: [NodeID: Int]

  /// - Parameter graph: whose results are `[N, C, …]` of these shapes.
  init(_ graph: Graph, shapes: [Shape]) {
    channels = Dictionary(
      uniqueKeysWithValues: graph.nodes.map { ($0.id, shapes[$0.id.index][1]) })
  }

  /// Sees one photo's result [pixels, channels].
  func see(_ node: NodeID, _ result: UnsafeBufferPointer<Float>) {
    let count = max(channels[node] ?? 1, 1)
    var sums = [Double](repeating: 0, count: count)
    var (low, high): (Float, Float) = (0, 0)
    var channel = 0
    for value in result {
      sums[channel] += Double(value)
      channel = channel + 1 == count ? 0 : channel + 1
      low = min(low, value)
      high = max(high, value)
    }
    // A step that has nothing in common with the channels, or some would never be seen.
    var step = max(result.count / ValueSamples.perPhoto, 1)
    while step > 1 && ValueSamples.divisor(step, count) != 1 { step += 1 }
    let kept = stride(from: 0, to: result.count, by: step).map { result[$0] }
    let pixels = Double(max(result.count / count, 1))
    let steps = sums.map { Int64(($0 / pixels * 0x1p20).rounded()) }
    let extremes = (low, high)
    values.withLock { all in
      var own = all[node] ?? Values()
      own.low = min(own.low, extremes.0)
      own.high = max(own.high, extremes.1)
      own.samples += kept
      if own.channelSums.isEmpty { own.channelSums = [Int64](repeating: 0, count: count) }
      for index in steps.indices { own.channelSums[index] += steps[index] }
      own.photos += 1
      all[node] = own
    }
  }

  private static func divisor(_ first: Int, _ second: Int) -> Int {
    second == 0 ? first : divisor(second, first % second)
  }

  /// What was seen of a node; nil where nothing was.
  func values(of node: NodeID) -> Values? {
    values.withLock { all in
      guard var own = all[node] else { return nil }
      own.samples.sort()
      return own
    }
  }
}
