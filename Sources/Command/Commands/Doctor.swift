// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import SystemPackage
import ThawArchives
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawImages
import ThawOneDNN
import ThawTensors

/// `thaw doctor`
struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "What this machine offers and lacks: one screen, for a look and for bug reports.",
    discussion: "Ends with 0 also when something is amiss; --offline leaves the network out.")

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func run() throws {
    let session = Session(global)
    let examination = try Examination(
      threads: global.threads ?? ComputeThreads.physicalCores,
      store: Result { try PretrainedStore.locate() }, asksNetwork: !global.offline)
    try session.print(examination, text: examination.text)
  }
}

/// Everything that `thaw doctor` found.
struct Examination: Encodable {
  let version: String
  let compiler: String
  let machine: MachineFacts
  let libraries: [String]
  let threadsAsked: Int
  let threadsGranted: Int
  /// Where weights are kept; nil when no place is known.
  let weightsFolder: String?
  let cards: Int
  let weightsHere: Int
  /// Bytes.
  let freeHere: Int?
  /// Bytes, where weights are kept.
  let freeForWeights: Int?
  let network: String
  /// What is amiss, and the way out; empty on a healthy machine.
  let problems: [String]

  private static let gigabyte = 1 << 30

  /// - Throws: when the work is to stop.
  init(
    threads: Int, store: Result<PretrainedStore, any Error>, asksNetwork: Bool
  ) throws {
    version = thawVersion
    compiler = Self.swiftVersion
    machine = MachineFacts()
    libraries =
      [ComputeThreads.library, LinearAlgebra.library] + CodecLibraries.names
      + [Decompression.library, Hashing.library]
    threadsAsked = threads
    ComputeThreads.configure(threads)
    threadsGranted = ComputeThreads.granted(of: threads)
    freeHere = FileSystem.freeSpace(at: ".")
    var problems: [String] = []
    let found = try? store.get()
    let known = try found?.cards() ?? []
    if case .failure(let error) = store { problems.append("\(error)") }
    weightsFolder = found?.place
    cards = known.count
    weightsHere = known.count { found?.hasWeights(of: $0) ?? false }
    freeForWeights = found?.place.flatMap { FileSystem.freeSpace(at: FilePath($0)) }
    let answer = try asksNetwork ? found?.reachability(checkpoint: Interruption.check) : nil
    switch answer {
    case .answered(let server)?: network = "\(server) answers"
    case .failed(let server, let reason)?:
      network = "\(server) does not answer"
      if weightsHere < cards {
        problems.append(
          "Most weights cannot be fetched (\(reason)). Put the file of a card into its folder by hand, or"
            + " set the proxy that this network needs (https_proxy).")
      }
    case .noAddress?: network = "no card names a server"
    case nil: network = "not asked"
    }
    self.problems =
      problems + Self.problems(machine, asked: threads, granted: threadsGranted)
      + Self.problems(free: freeHere, "this folder", needed: Self.gigabyte)
      + Self.problems(free: freeForWeights, "the folder of weights", needed: Self.gigabyte)
      + (found != nil && found?.place == nil
        ? ["There is no place for weights: the folder of cards is read-only and HOME is not set."]
        : [])
  }

  private static func problems(_ machine: MachineFacts, asked: Int, granted: Int) -> [String] {
    var problems: [String] = []
    if granted < asked {
      let limit = getenv("OMP_THREAD_LIMIT").map { " (OMP_THREAD_LIMIT is \(String(cString: $0)))" }
      problems.append(
        "Of \(asked) threads only \(granted) are granted\(limit ?? ""): results are the same, slower."
      )
    }
    if let quota = machine.quota, quota < Double(asked) {
      problems.append(
        "The control group allows \(Format.significant(quota)) processors' time for \(asked)"
          + " threads; --threads \(max(Int(quota), 1)) wastes less.")
    }
    if !machine.instructions.contains("AVX2") {
      problems.append("The processor has no AVX2: expect a tenth of the usual speed.")
    }
    let memory = [machine.memoryAvailable, machine.memoryLimit].compactMap(\.self).min()
    if let memory, memory < 2 * gigabyte {
      problems.append(
        "\(Format.bytes(memory)) of memory are free; fine-tuning takes 1 to 4 GB. Use a smaller"
          + " --batch, or --no-fine-tune.")
    }
    return problems
  }

  private static func problems(free: Int?, _ place: String, needed: Int) -> [String] {
    guard let free, free < needed else { return [] }
    return ["\(Format.bytes(free)) are free in \(place); weights and features take about 1 GB."]
  }

  private static var swiftVersion: String {
    #if compiler(>=6.4)
      "Swift 6.4 or later"
    #elseif compiler(>=6.3)
      "Swift 6.3"
    #else
      "Swift 6.2"
    #endif
  }

  /// One screen for people.
  var text: String {
    func bytes(_ count: Int?) -> String { count.map { Format.bytes($0) } ?? "?" }
    var table = TextTable("", "")
    table.append(["Thaw", "\(version), built with \(compiler), on \(machine.system)"])
    table.append(["Processor", machine.processor])
    table.append(["", machine.instructions.joined(separator: ", ")])
    table.append([
      "Cores",
      "\(machine.cores)" + (machine.quota.map { ", \(Format.significant($0)) allowed" } ?? ""),
    ])
    table.append(["Threads", "\(threadsAsked) asked for, \(threadsGranted) granted"])
    table.append([
      "Memory",
      "\(bytes(machine.memory)), \(bytes(machine.memoryAvailable)) free"
        + (machine.memoryLimit.map { ", \(Format.bytes($0)) allowed" } ?? ""),
    ])
    table.append(["Disk", "\(bytes(freeHere)) free here, \(bytes(freeForWeights)) for weights"])
    for (index, library) in libraries.enumerated() {
      table.append([index == 0 ? "Libraries" : "", library])
    }
    table.append([
      "Weights", "\(weightsHere) of \(cards) cards have theirs, in \(weightsFolder ?? "no folder")",
    ])
    table.append(["Network", network])
    let rows = table.text(width: 120).split(
      separator: "\n", omittingEmptySubsequences: false
    ).dropFirst(2).dropLast().joined(separator: "\n")
    let verdict =
      problems.isEmpty
      ? "Everything is as it should be."
      : "Amiss:\n" + problems.map { "- \($0)" }.joined(separator: "\n")
    return "\(rows)\n\n\(verdict)\n"
  }
}
