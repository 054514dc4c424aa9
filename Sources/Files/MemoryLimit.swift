// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// How much memory this process may take.
package enum MemoryLimit {
  /// Bytes that the machine and the control group have, whoever uses them now.
  package static var total: Int {
    let machine = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    return min(machine, ControlGroup.current.memory ?? machine)
  }

  /// Bytes that are to be had now, together with those that this process has.
  ///
  /// - Source: the kernel's `MemAvailable`, which counts what can be dropped from caches, and the limit of
  ///   the control group.
  package static var available: Int {
    let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
    let free = bytes(of: "MemAvailable", in: text) ?? total
    return min(free + resident, total)
  }

  /// Bytes of this process in memory.
  package static var resident: Int {
    let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    return bytes(of: "VmRSS", in: text) ?? 0
  }

  /// A line such as `MemAvailable:   24113512 kB` of the kernel's tables.
  package static func bytes(of name: String, in text: String) -> Int? {
    for line in text.split(separator: "\n") where line.hasPrefix("\(name):") {
      let words = line.split(whereSeparator: \.isWhitespace)
      guard words.count == 3, words[2] == "kB" else { return nil }
      return Int(words[1]).map { $0 << 10 }
    }
    return nil
  }

  /// A size as people write it: `512M`, `1.5GiB`, `4g`, or bytes. Units are powers of 1024.
  ///
  /// Nil for what is no size, or none above 0.
  package static func bytes(_ text: String) -> Int? {
    let number = text.prefix { $0.isNumber || $0 == "." }
    let powers = ["": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40]
    var unit = text.dropFirst(number.count).lowercased()
    if unit.hasSuffix("ib") {
      unit.removeLast(2)
    } else if unit.count > 1, unit.hasSuffix("b") {
      unit.removeLast()
    }
    guard let value = Double(number), let power = powers[unit],
      value * Double(1 << power) >= 1, value * Double(1 << power) < 0x1p62
    else { return nil }
    return Int(value * Double(1 << power))
  }
}
