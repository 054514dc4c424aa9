// SPDX-License-Identifier: Apache-2.0

import ThawFiles
package import ThawOneDNN

extension ComputeThreads {
  /// Threads that have work for a core each: ``physicalCores``, or as many as the control group gives
  /// processors' time for. With more of them the kernel would stop all for a part of every period.
  package static let allowed: Int = {
    guard let quota = ControlGroup.current.processors else { return physicalCores }
    return min(physicalCores, max(Int(quota.rounded(.up)), 1))
  }()
}
