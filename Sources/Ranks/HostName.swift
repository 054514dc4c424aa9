// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import ThawFiles

/// Which machine this is.
package enum HostName {
  /// As the machine calls itself.
  package static let current: String = {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "unknown host" }
    return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }()

  /// The same for everything that runs on one kernel, whatever it calls itself; another after a restart.
  package static let kernel: String = {
    let bytes = (try? SystemText.of("/proc/sys/kernel/random/boot_id")) ?? []
    let text = String(decoding: bytes.prefix { $0 != 10 }, as: UTF8.self)
    return text.isEmpty ? current : text
  }()
}

/// Small files of the system, whose size is not known before they are read.
enum SystemText {
  static func of(_ path: String) throws -> [UInt8] {
    let file = try OpenFile(FilePath(path), O_RDONLY, "open")
    defer { file.closeIgnoringErrors() }
    var result: [UInt8] = []
    var bytes = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0) }
      result += bytes.prefix(count)
      if count < bytes.count { return result }
    }
  }
}
