// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawFiles
import ThawOneDNN

/// What the kernel says about this machine, and what of it this process may use.
struct MachineFacts: Encodable {
  /// The processor's own name.
  let processor: String
  /// Of the instructions that matter here, those the processor has.
  let instructions: [String]
  /// Cores that this process may run on.
  let cores: Int
  /// Processors' worth of time that the control group allows; nil without a limit.
  let quota: Double?
  /// Bytes.
  let memory: Int?
  /// Bytes that could be had now.
  let memoryAvailable: Int?
  /// Bytes that the control group allows; nil without a limit.
  let memoryLimit: Int?
  let system: String

  /// Reads `/proc` and `/sys`; what cannot be read is left out.
  init() {
    let processors = Self.text("/proc/cpuinfo")
    processor = Self.value(of: "model name", in: processors) ?? "unknown"
    let flags = Set((Self.value(of: "flags", in: processors) ?? "").split(separator: " "))
    instructions = Self.known.filter { flags.contains(Substring($0.flag)) }.map(\.name)
    cores = ComputeThreads.physicalCores
    quota = ControlGroup.current.processors
    let memory = Self.text("/proc/meminfo")
    self.memory = Self.kilobytes(Self.value(of: "MemTotal", in: memory))
    memoryAvailable = Self.kilobytes(Self.value(of: "MemAvailable", in: memory))
    memoryLimit = ControlGroup.current.memory
    system =
      (Self.text("/etc/os-release").split(separator: "\n").first { $0.hasPrefix("PRETTY_NAME=") })
      .map { $0.dropFirst(12).filter { $0 != "\"" } } ?? "Linux"
  }

  private static let known: [(flag: String, name: String)] = [
    ("avx2", "AVX2"), ("fma", "FMA"), ("avx512f", "AVX-512"), ("avx512_vnni", "AVX-512 VNNI"),
    ("avx512_bf16", "AVX-512 bfloat16"), ("amx_bf16", "AMX bfloat16"), ("amx_int8", "AMX int8"),
  ]

  /// The value behind `name :` on the first line that has it.
  static func value(of name: String, in text: String) -> String? {
    for line in text.split(separator: "\n") where line.hasPrefix(name) {
      guard let colon = line.firstIndex(of: ":") else { continue }
      return String(line[line.index(after: colon)...].drop(while: \.isWhitespace))
    }
    return nil
  }

  private static func kilobytes(_ text: String?) -> Int? {
    text?.split(separator: " ").first.flatMap { Int($0) }.map { $0 * 1024 }
  }

  /// The kernel's files say that they have no bytes; Foundation reads them to their end all the same.
  private static func text(_ path: String) -> String {
    (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
  }
}
