// SPDX-License-Identifier: Apache-2.0

import ThawRanks

/// What one training step costs on one rank, measured.
package struct StepCost: Sendable, Equatable, Codable {
  /// Photos of a step.
  package var batch: Int
  /// Shards of a step.
  package var shards: Int
  /// Seconds for one shard, photos included.
  package var shardSeconds: Double
  /// Seconds for what every rank does itself: adding up and the optimizer's update.
  package var updateSeconds: Double
  /// Bytes of the gradient.
  package var gradientBytes: Int
  /// Seconds a validation photo takes.
  package var validationSeconds: Double
  /// For each piece of the gradient, in the order in which they are sent, the seconds that a shard still computes
  /// when the piece is complete; empty for none.
  package var leads: [Double]

  /// A cost.
  package init(
    batch: Int, shards: Int, shardSeconds: Double, updateSeconds: Double, gradientBytes: Int,
    validationSeconds: Double, leads: [Double] = []
  ) {
    self.batch = batch
    self.shards = shards
    self.shardSeconds = shardSeconds
    self.updateSeconds = updateSeconds
    self.gradientBytes = gradientBytes
    self.validationSeconds = validationSeconds
    self.leads = leads
  }
}

/// Predicts the time of an epoch on several ranks.
package struct ScalingModel: Sendable {
  /// On one rank.
  package let cost: StepCost
  /// Between any two.
  package let link: NetworkLink
  /// Photos of an epoch.
  package let training: Int
  /// Photos that it is judged by.
  package let validation: Int

  /// A model.
  package init(_ cost: StepCost, link: NetworkLink, training: Int, validation: Int) {
    (self.cost, self.link) = (cost, link)
    (self.training, self.validation) = (training, validation)
  }

  /// What is to be expected of a number of ranks.
  package struct Row: Sendable, Codable, Equatable {
    package let ranks: Int
    /// Seconds.
    package let secondsPerEpoch: Double
    /// Times faster than one rank.
    package let speedup: Double
    /// `speedup / ranks`.
    package let efficiency: Double
    /// Seconds of a step that are computed, and that nothing is computed in.
    package let computeSecondsPerStep: Double
    package let networkSecondsPerStep: Double
    /// Shards of the rank that has most.
    package let shardsOfBusiest: Int
    package let limit: Limit
  }

  /// What keeps more ranks from being faster.
  package enum Limit: String, Sendable, Codable {
    /// Nothing much.
    case none
    /// Messages.
    case network
    /// Some ranks have more shards than others.
    case unevenShards = "uneven_shards"
    /// What every rank does itself.
    case update
  }

  /// Predicts.
  package func row(ranks: Int) -> Row {
    let tree = ShardTree(shards: cost.shards)
    let busiest = (0..<ranks).map { tree.shards(of: $0, of: ranks).count }.max() ?? 1
    let compute = Double(busiest) * cost.shardSeconds
    let network = waitingSeconds(ranks: ranks)
    let step = compute + cost.updateSeconds + network
    let one = Double(cost.shards) * cost.shardSeconds + cost.updateSeconds
    let steps = Double((training + cost.batch - 1) / max(cost.batch, 1))
    func epoch(_ step: Double, _ ranks: Int) -> Double {
      steps * step + cost.validationSeconds * Double((validation + ranks - 1) / ranks)
    }
    let speedup = epoch(one, 1) / epoch(step, ranks)
    // Beyond an even share of one rank's shards.
    let losses: [(Limit, Double)] = [
      (.network, network),
      (.unevenShards, compute - Double(cost.shards) * cost.shardSeconds / Double(ranks)),
      (.update, cost.updateSeconds * Double(ranks - 1) / Double(ranks)),
    ]
    let worst = losses.max { $0.1 < $1.1 }
    return Row(
      ranks: ranks, secondsPerEpoch: epoch(step, ranks), speedup: speedup,
      efficiency: speedup / Double(ranks), computeSecondsPerStep: compute + cost.updateSeconds,
      networkSecondsPerStep: network, shardsOfBusiest: busiest,
      limit: speedup / Double(ranks) > 0.95 ? .none : worst?.0 ?? .none)
  }

  /// Seconds that a step's messages take: notes of all to all, partial sums to the ranks that add them, sums to
  /// all. Each rank sends and receives at once; its link carries what the busiest rank sends and receives.
  package func networkSeconds(ranks: Int) -> Double {
    guard ranks > 1 else { return 0 }
    let tree = ShardTree(shards: cost.shards)
    let sums = (0..<ranks).map { tree.sums(of: tree.shards(of: $0, of: ranks)).count }
    let slice = Double(cost.gradientBytes) / Double(ranks)
    let others = Double(ranks - 1)
    // A rank's slices go to the others; for its own slice it receives everybody else's partial sums.
    let sent = Double(sums.max() ?? 1) * slice * others
    let received = Double(sums.reduce(0, +) - (sums.min() ?? 0)) * slice
    let parts = max(sent, received)
    let results = slice * others
    return 3 * link.latency + (parts + results) / link.rate
  }

  /// Seconds of a step in which messages are waited for: pieces of the gradient are sent one after the other, each
  /// from when it is complete, while the rest is computed.
  package func waitingSeconds(ranks: Int) -> Double {
    let whole = networkSeconds(ranks: ranks)
    let pieces = GradientExchange.buckets(of: cost.gradientBytes / 4).map(\.count)
    guard whole > 0, pieces.count == cost.leads.count else { return whole }
    let seconds = pieces.map { whole * Double($0) * 4 / Double(max(cost.gradientBytes, 1)) }
    var (rest, longest) = (0.0, 0.0)
    for (own, lead) in zip(seconds, cost.leads).reversed() {
      rest += own
      longest = max(longest, rest - lead)
    }
    return longest
  }
}
