// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawConsole
import ThawFiles
package import ThawImages

/// The memory that the largest photos take which a limit of pixels allows.
package struct MemoryNeed {
  private let pixels: Int
  private let threads: Int

  /// - Parameters:
  ///   - reading: whose limit it is.
  ///   - threads: that decode at the same time.
  package init(of reading: PixelReading, threads: Int) {
    (pixels, self.threads) = (reading.maximumPixels, threads)
  }

  /// Refuses a limit that somebody has raised beyond three quarters of the memory that this machine or its
  /// control group has: three bytes a pixel, on every thread.
  ///
  /// - Throws: ``PipelineError/usage(_:)``.
  package func check() throws(PipelineError) {
    guard pixels > PixelReading().maximumPixels else { return }
    let machine = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    let memory = min(machine, ControlGroup.current.memory ?? machine)
    let (needed, isTooMuch) = (3 * pixels).multipliedReportingOverflow(by: threads)
    guard isTooMuch || needed > memory / 4 * 3 else { return }
    throw .usage(
      "--max-pixels \(pixels): photos of that size take \(Format.bytes(isTooMuch ? .max : needed)) on"
        + " \(threads) threads, and there are \(Format.bytes(memory)). Give a lower limit or fewer"
        + " --threads.")
  }
}
