// SPDX-License-Identifier: Apache-2.0

import ThawRanks

/// How long fine-tuning would take on more ranks, what limits it and what would help.
package struct ScalingPlan: Sendable, Encodable {
  /// What was measured here.
  package let cost: StepCost
  /// Threads of a rank.
  package let threads: Int
  package let link: NetworkLink
  /// One a number of ranks.
  package let rows: [ScalingModel.Row]
  /// What to change; nil when nothing has to.
  package let advice: String?

  /// Predicts for each of `ranks`.
  package init(_ model: ScalingModel, threads: Int, ranks: [Int]) {
    cost = model.cost
    self.threads = threads
    link = model.link
    rows = ranks.map(model.row)
    advice = rows.first { $0.limit != .none }.map { ScalingPlan.advice($0, model) }
  }

  private static func advice(_ row: ScalingModel.Row, _ model: ScalingModel) -> String {
    let start = "From \(row.ranks) ranks on"
    return switch row.limit {
    case .network:
      "\(start) the network takes \(percent(row)) of a step. Fewer thawed groups (--freeze-to) send less,"
        + " larger steps (--batch, --accumulation) send less often, a faster network sends faster."
    case .unevenShards:
      "\(start) some ranks have more shards than others: use a number of shards that the number of ranks"
        + " divides (--shards \(row.ranks))."
    case .update:
      "\(start) what every rank does itself, adding up and updating, is felt: larger steps (--batch,"
        + " --accumulation) need it less often."
    case .none: ""
    }
  }

  private static func percent(_ row: ScalingModel.Row) -> String {
    let share =
      row.networkSecondsPerStep / (row.networkSecondsPerStep + row.computeSecondsPerStep)
    return "\(Int((100 * share).rounded())) %"
  }
}
