// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawFiles

@Suite struct MemoryLimitTests {
  @Test(arguments: [
    ("512M", 512 << 20), ("1.5g", 3 << 29), ("2GiB", 2 << 30), ("4GB", 4 << 30), ("64k", 64 << 10),
    ("1T", 1 << 40), ("70000000", 70_000_000), ("100b", 100),
  ])
  func sizesAreReadAsPeopleWriteThem(text: String, bytes: Int) {
    #expect(MemoryLimit.bytes(text) == bytes)
  }

  @Test(arguments: [
    "", "M", "-1G", "0", "0.1", "1X", "1 G", "1e9", "1.2.3G", "99999999999999T", "GiB", "1iB1",
  ])
  func whatIsNoSizeIsNone(text: String) { #expect(MemoryLimit.bytes(text) == nil) }

  @Test func theKernelsTablesAreRead() {
    let table = "MemTotal:       100 kB\nMemAvailable:    24 kB\nHugePages_Total:   0\n"
    #expect(MemoryLimit.bytes(of: "MemAvailable", in: table) == 24 << 10)
    #expect(MemoryLimit.bytes(of: "MemTotal", in: table) == 100 << 10)
    #expect(MemoryLimit.bytes(of: "HugePages_Total", in: table) == nil)
    #expect(MemoryLimit.bytes(of: "Mem", in: table) == nil)
  }

  @Test func thereIsMemory() {
    #expect(MemoryLimit.resident > 1 << 20)
    #expect(MemoryLimit.available >= MemoryLimit.resident / 2)
    #expect(MemoryLimit.available <= MemoryLimit.total)
  }
}
