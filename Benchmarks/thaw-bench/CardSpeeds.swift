// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import SystemPackage
import ThawBackbones
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawTensors

/// How fast the network of every card is, against that of EfficientNet-Lite0.
///
/// Speed does not depend on the weights' values, so they are made up. Both networks take turns, and the
/// middle one of the ratios counts: what else the machine does slows both.
struct CardSpeeds: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "card-speeds",
    abstract: "Photos a second of every card at its own size, against efficientnet_lite0's.")

  @Option(help: "Folder of cards.") var cards = "Pretrained"
  @Option(help: "Cards whose name contains this.") var only = ""
  @Option(help: "Compute threads.") var threads = 2
  @Option(help: "Turns that each network takes.") var rounds = 5
  @Option(help: "Photos that EfficientNet-Lite0 takes at a turn.") var images = 64
  @Flag(help: "Write the speeds into the cards.") var write = false

  func run() throws {
    ComputeThreads.configure(threads)
    let store = PretrainedStore(directory: FilePath(cards))
    let known = try store.cards().filter { only.isEmpty || $0.name.contains(only) }
    let reference = try Trunk("efficientnet_lite0", size: 224)
    let base = try reference.secondsPerPhoto(images)
    print("efficientnet_lite0 makes features of \(Int(1 / base)) photos/s in this run")
    var speeds: [String: Double] = [:]
    for card in known where card.architecture != Architecture.onnxName {
      let size = card.preprocessing.inputSize
      let kind = "\(card.architecture) \(size)"
      if speeds[kind] == nil {
        speeds[kind] = try speed(Trunk(card.architecture, size: size), reference)
      }
      // Against itself it is as fast as it is, whatever else the machine does.
      let speed = kind == "efficientnet_lite0 224" ? 1 : speeds[kind] ?? 0
      let line = String(format: "%8.3f  ", speed) + card.name + "\n"
      FileHandle.standardOutput.write(Data(line.utf8))
      if write { try Self.write(speed, into: FilePath(cards).appending(card.name + ".yml")) }
    }
  }

  private func speed(_ trunk: Trunk, _ reference: Trunk) throws -> Double {
    _ = try reference.secondsPerPhoto(8)
    // As much work as the reference's turn, roughly, but one photo a thread at least.
    let one = try trunk.secondsPerPhoto(threads) / (try reference.secondsPerPhoto(images))
    let count = max(Int(Double(images) / one) / threads * threads, threads)
    let ratios = try (0..<rounds).map { _ in
      try reference.secondsPerPhoto(images) / trunk.secondsPerPhoto(count)
    }
    return ratios.sorted()[rounds / 2]
  }

  /// Puts the speed behind the accuracy, or else before the licence.
  private static func write(_ speed: Double, into card: FilePath) throws {
    let text = try String(contentsOfFile: card.string, encoding: .utf8)
    var lines = text.components(separatedBy: "\n").filter { !$0.hasPrefix("speed: ") }
    guard let place = lines.firstIndex(where: { $0.hasPrefix("license: ") }) else { return }
    lines.insert("speed: \(String(format: speed < 0.1 ? "%.3f" : "%.2f", speed))", at: place)
    try lines.joined(separator: "\n").write(toFile: card.string, atomically: true, encoding: .utf8)
  }

  /// All of a network before the head, with photos of noise.
  private struct Trunk {
    private let plan: any InferencePlan
    private let pixels: Tensor<Float>
    private let batch: Int

    init(_ architecture: String, size side: Int, batch: Int = 32) throws {
      let size = Extent2D(height: side, width: side)
      let graph = try Architecture(named: architecture).graph(Head(classes: 10))
      let parameters = Parameters.procedural(for: graph)
      plan = try BenchmarkNetwork.engine.compileInference(
        graph, operations: Partition(graph, freezing: .freezing(to: -1, of: graph)).prefix,
        from: graph.nodes[0].id, parameters: parameters, microBatch: batch, size: size)
      self.batch = batch
      var stream = RandomStream(seed: 0, purpose: .procedural)
      pixels = Tensor(shape: [batch, 3, side, side]) { output in
        for index in output.indices { output[index] = 2 * stream.uniform() - 1 }
      }
    }

    /// Runs on `count` photos.
    func secondsPerPhoto(_ count: Int) throws -> Double {
      var features = Tensor<Float>(zeros: [batch, plan.outputStride])
      let start = ContinuousClock.now
      try pixels.withUnsafeElements { pixels in
        try features.withUnsafeMutableElements { output in
          var done = 0
          while done < count {
            let photos = min(batch, count - done)
            try plan.run(
              UnsafeBufferPointer(rebasing: pixels[..<(photos * plan.inputStride)]),
              into: UnsafeMutableBufferPointer(rebasing: output[..<(photos * plan.outputStride)]))
            done += photos
          }
        }
      }
      return start.duration(to: .now) / .seconds(1) / Double(count)
    }
  }
}
