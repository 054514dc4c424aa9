// SPDX-License-Identifier: Apache-2.0

import Foundation
package import SystemPackage

/// What the kernel's control groups allow this process: how containers, services and batch systems limit
/// processors and memory.
///
/// A process is in a group of every hierarchy, and the limits of the groups above it hold, too. In a
/// container the group's own path is often not to be seen, and its limits stand at the root.
package struct ControlGroup: Sendable, Equatable {
  /// Processors' worth of time; nil without a limit.
  package let processors: Double?
  /// Bytes; nil without a limit.
  package let memory: Int?

  /// Limits that are known.
  package init(processors: Double?, memory: Int?) {
    (self.processors, self.memory) = (processors, memory)
  }

  /// Those of this process.
  package static let current = ControlGroup(
    membership: text("/proc/self/cgroup"), root: "/sys/fs/cgroup")

  /// - Parameters:
  ///   - membership: the groups, as `/proc/self/cgroup` lists them: a number, controllers, and a path, with
  ///     colons between.
  ///   - root: where the hierarchies are mounted.
  /// - Source: the kernel's Documentation/admin-guide/cgroup-v2.rst, and cgroup-v1 for older systems.
  package init(membership: String, root: FilePath) {
    var (processors, memory): ([Double], [Int]) = ([], [])
    for line in membership.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      let controllers = parts[1].split(separator: ",")
      // The second version has one hierarchy, and no names of controllers.
      let mount = controllers.isEmpty ? root : root.appending(String(parts[1]))
      for group in ControlGroup.groups(String(parts[2]), below: mount) {
        func number(_ name: String) -> Double? {
          Double(ControlGroup.text(group.appending(name)).filter { !$0.isWhitespace })
        }
        if controllers.isEmpty {
          let time = ControlGroup.text(group.appending("cpu.max"))
          processors += [ControlGroup.quota(time)].compactMap(\.self)
          memory += [number("memory.max").flatMap(Int.init(exactly:))].compactMap(\.self)
        } else if controllers.contains("cpu"), let time = number("cpu.cfs_quota_us"), time > 0,
          let period = number("cpu.cfs_period_us"), period > 0
        {
          processors.append(time / period)
        } else if controllers.contains("memory"), let limit = number("memory.limit_in_bytes"),
          limit < 0x1p62
        {
          // Without a limit the first version says the largest number of pages.
          memory.append(Int(limit))
        }
      }
    }
    (self.processors, self.memory) = (processors.min(), memory.min())
  }

  /// The group at `path` and those above it, as far as they are to be seen.
  private static func groups(_ path: String, below mount: FilePath) -> [FilePath] {
    var place = mount.pushing(FilePath(String(path.drop { $0 == "/" }))).lexicallyNormalized()
    var result = [place]
    while place != mount, place.starts(with: mount), place.removeLastComponent() {
      result.append(place)
    }
    return result
  }

  /// Two numbers of microseconds, time in a period; `max` is no limit.
  private static func quota(_ text: String) -> Double? {
    let numbers = text.split(whereSeparator: \.isWhitespace).map { Double($0) }
    guard numbers.count == 2, let time = numbers[0], let period = numbers[1], period > 0 else {
      return nil
    }
    return time / period
  }

  /// The kernel's files say that they have no bytes; Foundation reads them to their end all the same.
  private static func text(_ path: FilePath) -> String {
    (try? String(contentsOfFile: path.string, encoding: .utf8)) ?? ""
  }
}
