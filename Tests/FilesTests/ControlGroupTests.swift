// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawFiles
import ThawTestSupport

@Suite struct ControlGroupTests {
  private let directory: TemporaryDirectory
  private var root: FilePath { directory.path }

  init() throws { directory = try TemporaryDirectory() }

  private func write(_ text: String, _ path: String) throws {
    let file = root.pushing(FilePath(path))
    try FileSystem.createDirectory(file.removingLastComponent())
    try AtomicFile.write(file, text: text)
  }

  @Test func theTightestLimitOnTheWayUpHolds() throws {
    try write("max 100000\n", "app.slice/job/cpu.max")
    try write("150000 100000\n", "app.slice/cpu.max")
    try write("max\n", "app.slice/memory.max")
    try write("2147483648\n", "app.slice/job/memory.max")
    #expect(
      ControlGroup(membership: "0::/app.slice/job\n", root: root)
        == ControlGroup(processors: 1.5, memory: 2_147_483_648))
    // Looser limits above it change nothing.
    try write("400000 100000\n", "cpu.max")
    try write("4294967296\n", "app.slice/memory.max")
    #expect(
      ControlGroup(membership: "0::/app.slice/job\n", root: root)
        == ControlGroup(processors: 1.5, memory: 2_147_483_648))
    // The same group as a container sees it.
    let inside = ControlGroup(membership: "0::/", root: root)
    #expect(inside.processors == 4 && inside.memory == nil)
    // A path of the host that a container does not see.
    #expect(ControlGroup(membership: "0::/docker/1a2b", root: root).processors == 4)
  }

  @Test func theFirstVersionHasAHierarchyAController() throws {
    try write("50000\n", "cpu,cpuacct/cpu.cfs_quota_us")
    try write("100000\n", "cpu,cpuacct/cpu.cfs_period_us")
    try write("-1\n", "cpu,cpuacct/job/cpu.cfs_quota_us")
    try write("100000\n", "cpu,cpuacct/job/cpu.cfs_period_us")
    try write("9223372036854771712\n", "memory/memory.limit_in_bytes")
    try write("1073741824\n", "memory/job/memory.limit_in_bytes")
    let membership = "4:memory:/job\n3:cpuset:/job\n2:cpu,cpuacct:/job\n0::/\n"
    #expect(
      ControlGroup(membership: membership, root: root)
        == ControlGroup(processors: 0.5, memory: 1_073_741_824))
    #expect(ControlGroup(membership: "4:memory:/\n", root: root).memory == nil)
  }

  @Test func withoutGroupsThereIsNoLimit() {
    let none = ControlGroup(processors: nil, memory: nil)
    for membership in ["", "0::/\n", "nonsense\n::\n", "0::/../..\n"] {
      #expect(ControlGroup(membership: membership, root: root) == none)
    }
  }
}
