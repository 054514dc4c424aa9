// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Times a workload, either on command (the protocol is in `peers/contender.py`) or alone.
struct Session {
  let workload: any Workload

  /// Warms up, then answers commands until standard input ends.
  func serve() throws {
    _ = try workload.round()
    reply("{\"ready\": true, \"description\": \"\(workload.description)\"}")
    while let line = readLine() {
      let words = line.split(separator: " ", maxSplits: 1)
      switch words.first {
      case "round":
        let (seconds, images) = try timedRound()
        reply(
          "{\"seconds\": \(seconds), \"images\": \(images), "
            + "\"peak_rss_bytes\": \(PeakMemory.bytes)}")
      case "output" where words.count == 2:
        try writeOutput(to: String(words[1]))
      case "quit": return
      default: reply("{\"error\": \"unknown command\"}")
      }
    }
  }

  /// Warms up, does `rounds` rounds and prints the medians.
  func runAlone(name: String, rounds: Int) throws {
    _ = try workload.round()
    var rates: [Double] = []
    var times: [Double] = []
    for _ in 0..<rounds {
      let (seconds, images) = try timedRound()
      rates.append(Double(images) / seconds)
      times.append(seconds)
    }
    rates.sort()
    times.sort()
    let text = String(
      format: "%@: %.1f images/s (%.1f-%.1f), %.3f s a round, median of %d, peak %.0f MB", name,
      rates[rates.count / 2], rates[0], rates[rates.count - 1], times[times.count / 2], rounds,
      Double(PeakMemory.bytes) / 1e6)
    print(text)
    print("  \(workload.description)")
  }

  private func timedRound() throws -> (seconds: Double, images: Int) {
    let clock = ContinuousClock()
    let start = clock.now
    let images = try workload.round()
    return ((clock.now - start) / .seconds(1), images)
  }

  private func writeOutput(to path: String) throws {
    guard let values = try workload.output() else {
      reply("{\"error\": \"this workload has no output to compare\"}")
      return
    }
    let data = values.withUnsafeElements { Data(buffer: $0) }
    try data.write(to: URL(fileURLWithPath: path))
    reply("{\"written\": \"\(path)\", \"count\": \(values.count)}")
  }

  private func reply(_ line: String) {
    print(line)
    fflush(nil)
  }
}
