// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Processor time of the calling thread in seconds: unlike the clock, no busy machine stretches it.
package func threadSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
