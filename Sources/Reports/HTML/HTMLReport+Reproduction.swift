// SPDX-License-Identifier: Apache-2.0

/// How to get the same numbers again.
extension HTMLReport {
  var reproductionSection: Section? {
    guard let reproduction = content.reproduction else { return nil }
    return Section(
      id: "reproduce", title: "Reproduce",
      body: "<pre>\(reproduction.command)</pre>\n" + facts(reproduction.facts))
  }
}
