// SPDX-License-Identifier: Apache-2.0

import ThawDatasets

extension Manifest {
  /// A hash of which photos there are, and what each is used for.
  var photosKey: String {
    var hash = KeyHash("photos", version: 1)
    hash.add("classes", list: classes)
    hash.add("photos", records.count)
    for record in records {
      hash.add(record.sha256, record.className)
      hash.add("split", record.split.rawValue)
    }
    return hash.key
  }
}
