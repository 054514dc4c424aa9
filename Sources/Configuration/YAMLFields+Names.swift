// SPDX-License-Identifier: Apache-2.0

extension YAMLFields {
  /// The keys of the mapping as they stand in the file, for mappings whose keys are data.
  package var names: [String] {
    values.sorted { first, second in
      let (a, b) = (first.value.mark, second.value.mark)
      return (a?.line ?? 0, a?.column ?? 0, first.key) < (b?.line ?? 0, b?.column ?? 0, second.key)
    }.map(\.key)
  }
}
