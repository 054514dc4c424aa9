// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The largest resident size this process ever had.
enum PeakMemory {
  /// `VmHWM` of `/proc/self/status`, in bytes; 0 where the kernel does not tell.
  static var bytes: Int {
    guard let file = fopen("/proc/self/status", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, Int32(line.count), file) != nil {
      let text = String(
        decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      guard text.hasPrefix("VmHWM:") else { continue }
      return (Int(text.filter(\.isNumber)) ?? 0) * 1024
    }
    return 0
  }
}
