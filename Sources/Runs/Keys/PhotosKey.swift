// SPDX-License-Identifier: Apache-2.0

import ThawDatasets

extension KeyHash {
  /// Nothing where photos have one label each.
  mutating func add(_ labels: LabelSet?) {
    guard let labels else { return }
    add("labels", list: labels.present)
    add("unknown labels", list: labels.unknown)
  }
}

extension Manifest {
  /// A hash of which photos there are, and what each is used for.
  var photosKey: String {
    var hash = KeyHash("photos", version: 1)
    hash.add("classes", list: classes)
    hash.add("photos", records.count)
    for record in records {
      hash.add(record.sha256, record.className)
      hash.add("split", record.split.rawValue)
      hash.add(record.labels)
    }
    return hash.key
  }
}
