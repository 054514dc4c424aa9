// SPDX-License-Identifier: Apache-2.0

import ThawConsole
package import ThawTraining

extension SetCoverage {
  /// The class for which sets keep least of their promise; nil where no class has many photos.
  package func leastText(_ classNames: [String]) -> String? {
    least.flatMap { index, share in
      guard classNames.indices.contains(index) else { return nil }
      return "'\(classNames[index])', \(Format.percent(share.coverage)) of \(share.count)"
    }
  }
}
