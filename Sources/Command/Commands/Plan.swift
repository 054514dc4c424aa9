// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawRuns
import ThawScaling

/// `thaw plan`
struct Plan: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Predict how long fine-tuning takes on more machines.",
    discussion: """
      Measures steps of the run's fine-tuning on this machine as one rank, and adds what the messages \
      take. The head must be trained. Nothing is changed.
      """)

  @Option(name: .customLong("run"), help: "Run directory.")
  var directory: RunDirectory

  @Option(help: "Numbers of ranks, for example 1,2,4,8.")
  var ranks = "1,2,4,8"

  @Option(help: "Between the machines: 1g, 10g, 25g or 100g (bits a second).")
  var network = "10g"

  @Option(
    help: "Shards of a step (default: the recipe's; where that is 1, the largest number of ranks).")
  var shards: Int?

  @Option(help: "Photos of a step (default: the recipe's batch times its accumulation).")
  var batch: Int?

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    _ = try counts()
    guard NetworkLink(network) != nil else {
      throw ValidationError(
        "--network is '\(network)', expected \(NetworkLink.known.map(\.name).joined(separator: ", "))."
      )
    }
    for (name, value) in [("--shards", shards), ("--batch", batch)] {
      if let value, !(1...65536).contains(value) {
        throw ValidationError("\(name) is \(value), expected 1 to 65536.")
      }
    }
  }

  private func counts() throws -> [Int] {
    let words = ranks.split(separator: ",", omittingEmptySubsequences: false)
    return try words.map { word in
      guard let number = Int(word.trimmingPrefix(while: { $0 == " " })),
        (1...65536).contains(number)
      else {
        throw ValidationError("--ranks: '\(word)' is no number of ranks, expected 1 to 65536.")
      }
      return number
    }
  }

  func run() throws {
    let session = Session(global)
    let run = try session.open(directory)
    let counts = try counts()
    let settings = run.recipe.fineTune.train
    let shards =
      shards ?? (settings.shards > 1 ? settings.shards : max(counts.max() ?? 1, 1))
    guard let link = NetworkLink(network) else { return }
    let cost = try StepMeasurement(run).measure(
      batch: batch ?? settings.batch * settings.accumulation, shards: shards)
    let model = ScalingModel(
      cost, link: link, training: run.manifest.records(in: .train).count,
      validation: run.manifest.records(in: .valid).count)
    let plan = ScalingPlan(model, threads: run.context.threads, ranks: counts)
    try session.print(plan, text: plan.text)
  }
}

extension ScalingPlan {
  /// For people.
  var text: String {
    var table = TextTable(
      ">ranks", ">an epoch", ">times faster", ">efficiency", ">computed", ">on the network",
      "limited by")
    for row in rows {
      let words =
        switch row.limit {
        case .none: "-"
        case .network: "network"
        case .unevenShards: "uneven shards"
        case .update: "update"
        }
      table.append([
        "\(row.ranks)", Format.duration(seconds: row.secondsPerEpoch),
        Format.significant(row.speedup), Format.percent(row.efficiency, decimals: 0),
        "\(Format.significant(1000 * row.computeSecondsPerStep)) ms",
        "\(Format.significant(1000 * row.networkSecondsPerStep)) ms", words,
      ])
    }
    return """
      Measured here, as one rank of \(counted(threads, "thread")): steps of \(cost.batch) photos in \
      \(counted(cost.shards, "shard")), \(Format.significant(1000 * cost.shardSeconds)) ms a shard, \
      \(Format.bytes(cost.gradientBytes)) of gradient. Predicted for a network of \(link.name):

      """ + table.text(width: OutputSink.tableColumns) + (advice.map { "\n" + $0 } ?? "")
  }
}
