// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
import Glibc
import Synchronization
import ThawTensors

/// How many threads compute. The one place that sizes the thread pools under Thaw: OpenMP's (oneDNN
/// runs on it) and OpenBLAS's. The image loader's threads are not counted here.
package enum ComputeThreads {
  private static let configured = Atomic<Int>(0)

  /// The number kernels use: what ``configure(_:)`` said last, else ``physicalCores``.
  package static var count: Int {
    let count = configured.load(ordering: .relaxed)
    return count > 0 ? count : physicalCores
  }

  /// Sets the number of compute threads, at least 1. Call it before plans are compiled: a plan keeps
  /// the number it was compiled for.
  package static func configure(_ count: Int) {
    let threads = max(count, 1)
    configured.store(threads, ordering: .relaxed)
    thaw_dnnl_set_threads(CInt(clamping: threads))
    LinearAlgebra.setThreadCount(threads)
  }

  /// oneDNN's version and the instructions it uses here.
  package static var library: String {
    "\(OneDNN.name) (\(String(cString: thaw_dnnl_instructions())))"
  }

  /// How many threads work that `threads` are asked for: fewer where the environment limits them
  /// (`OMP_THREAD_LIMIT`).
  package static func granted(of threads: Int) -> Int {
    Int(thaw_dnnl_granted(CInt(clamping: threads)))
  }

  /// Calls `body` once for each number below `shares`, as plans call their lanes: for tests.
  package static func share(_ shares: Int, _ body: (Int) -> Void) {
    withoutActuallyEscaping(body) { body in
      withUnsafePointer(to: body) { body in
        thaw_dnnl_parallel(
          CInt(clamping: shares),
          { context, share in
            context?.assumingMemoryBound(to: ((Int) -> Void).self).pointee(Int(share))
          }, UnsafeMutableRawPointer(mutating: body))
      }
    }
  }

  /// Calls `body` with each of `items`, on so many threads, and throws the first error in their order.
  static func forEach<Item>(
    _ items: [Item], threads: Int, _ body: (Item) throws -> Void
  ) throws {
    let next = Atomic<Int>(0)
    let errors = UnsafeMutableBufferPointer<(any Error)?>.allocate(capacity: items.count)
    errors.initialize(repeating: nil)
    defer { errors.deinitialize().deallocate() }
    share(min(threads, items.count)) { _ in
      while true {
        let index = next.add(1, ordering: .relaxed).oldValue
        guard index < items.count else { return }
        do { try body(items[index]) } catch { errors[index] = error }
      }
    }
    if let first = errors.lazy.compactMap(\.self).first { throw first }
  }

  /// Calls `body` on each thread of a parallel region of OpenMP with its number, as a host may that
  /// calls Thaw from within one of its own: for tests.
  package static func inHostRegion(of threads: Int, _ body: (Int) -> Void) {
    withoutActuallyEscaping(body) { body in
      withUnsafePointer(to: body) { body in
        thaw_dnnl_host_region(
          CInt(clamping: threads),
          { context, member in
            context?.assumingMemoryBound(to: ((Int) -> Void).self).pointee(Int(member))
          }, UnsafeMutableRawPointer(mutating: body))
      }
    }
  }

  /// Cores this process may run on, counting the hardware threads of one core once.
  ///
  /// - Source: `sched_getaffinity` and `/sys/devices/system/cpu/cpu*/topology/thread_siblings_list`;
  ///   where that cannot be read, every hardware thread counts.
  package static let physicalCores: Int = {
    var processors = [CInt](repeating: 0, count: 1024)
    let count = Int(thaw_allowed_processors(&processors, CInt(processors.count)))
    return max(Set(processors.prefix(count).map { core(of: Int($0)) }).count, 1)
  }()

  /// A text that is the same for the hardware threads of one core.
  private static func core(of processor: Int) -> String {
    let path = "/sys/devices/system/cpu/cpu\(processor)/topology/thread_siblings_list"
    guard let file = fopen(path, "r") else { return "\(processor)" }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    guard fgets(&line, CInt(line.count), file) != nil else { return "\(processor)" }
    return String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
